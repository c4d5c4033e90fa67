import shutil
import signal
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from video_files import read_number, write_video

from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.video import FrameOptions, read_clip
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.short_video import frames as module
from vidpop_pipelines.pipelines.short_video.frames import Frames, decode_frames
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

OPTIONS = FrameOptions(n_frames=4, size=32)


def make_folder(folder: Path, n: int = 6) -> pd.DataFrame:
    """Writes videos of 8, 9, ... frames and returns their table."""
    paths = [write_video(folder / f"v{number}.mp4", 8 + number, size=(32, 32)) for number in range(n)]
    return pd.DataFrame({"video_id": [path.stem for path in paths], "path": [str(path) for path in paths]})


def decode(videos: pd.DataFrame, cache: Path, options: FrameOptions = OPTIONS, share: float = 0.5):
    parameters = ShortVideoParameters(csv="", videos="", max_broken_share=share)
    instance = SimpleNamespace(frames=options)
    return decode_frames(videos, EmbeddingStore(cache), instance, parameters, ComputeOptions())


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that were decoded."""
    names = []

    def read(path, options):
        names.append(path.name)
        return read_clip(path, options)

    monkeypatch.setattr(module, "read_clip", read)
    return names


class TestDecoding:
    def test_frames_times_and_counts(self, tmp_path):
        videos = make_folder(tmp_path / "videos", 2)
        short = write_video(tmp_path / "short.mp4", 3, size=(32, 32))
        videos.loc[2] = ["short", str(short)]
        usable, frames, problems = decode(videos, tmp_path / "cache")
        assert usable.equals(videos)
        assert problems.empty
        assert len(frames) == 3
        assert frames.counts.tolist() == [4, 4, 3]
        pixels = frames.read(np.array([2, 0]))
        assert pixels.shape == (2, 4, 32, 32, 3)
        # The last one fills up: no frame is ever black.
        assert [read_number(frame) for frame in pixels[0]] == [0, 1, 2, 2]
        assert [read_number(frame) for frame in pixels[1]] == [1, 3, 5, 7]
        expected = np.array([[1, 3, 5, 7], [1, 3, 5, 7], [0, 1, 2, np.nan]]) / 24
        np.testing.assert_allclose(frames.timestamps, expected, atol=1e-6)
        assert frames.durations.tolist() == pytest.approx([8 / 24, 9 / 24, 3 / 24])
        assert frames.info["n_frames"].tolist() == [8, 9, 3]

    def test_equals_reading_each_file(self, tmp_path):
        videos = make_folder(tmp_path / "videos")
        _, frames, _ = decode(videos, tmp_path / "cache")
        clips = [read_clip(Path(path), OPTIONS) for path in videos["path"]]
        in_memory = Frames.from_clips(clips, OPTIONS.n_frames)
        rows = np.arange(len(videos))
        np.testing.assert_array_equal(frames.read(rows), in_memory.read(rows))
        np.testing.assert_array_equal(frames.timestamps, in_memory.timestamps)
        assert frames.info.equals(in_memory.info)

    def test_is_mapped_and_stays_so(self, tmp_path):
        _, frames, _ = decode(make_folder(tmp_path / "videos", 2), tmp_path / "cache")
        assert isinstance(frames.pixels, np.memmap)
        assert deepcopy(frames) is frames
        copied = frames.read(np.array([0]))
        assert type(copied) is np.ndarray
        assert not np.shares_memory(copied, frames.pixels)
        with pytest.raises(ValueError, match="read-only"):
            frames.pixels[0] = 0

    def test_broken_videos_are_left_out_and_named(self, tmp_path):
        videos = make_folder(tmp_path / "videos", 5)
        (tmp_path / "videos" / "v1.mp4").unlink()
        (tmp_path / "videos" / "v2.mp4").write_bytes(b"")
        (tmp_path / "videos" / "v3.mp4").write_text("no video")
        usable, frames, problems = decode(videos.set_axis([3, 5, 7, 9, 11]), tmp_path / "cache", share=0.6)
        assert usable["video_id"].tolist() == ["v0", "v4"]
        assert usable.index.tolist() == [0, 1]
        assert frames.info["n_frames"].tolist() == [8, 12]
        assert problems["video_id"].tolist() == ["v1", "v2", "v3"]
        assert problems["column"].unique().tolist() == ["video_path"]
        assert problems["reason"].str[:11].tolist() == ["file not fo", "zero bytes", "not a video"]
        assert problems["left_out"].all()

    def test_too_many_broken_ones_are_an_error(self, tmp_path):
        videos = make_folder(tmp_path / "videos", 4)
        (tmp_path / "videos" / "v1.mp4").write_bytes(b"")
        assert len(decode(videos, tmp_path / "cache", share=0.25)[0]) == 3
        message = "(?s)1 of 4 videos cannot be used, e.g. '.*v1.mp4' .*zero bytes.*at most 20%"
        with pytest.raises(InputError, match=message):
            decode(videos, tmp_path / "cache", share=0.2)
        with pytest.raises(InputError, match="1 of 1 videos cannot be used"):
            decode(videos.iloc[[1]], tmp_path / "cache", share=1.0)

    def test_a_wrong_folder_shows_before_anything_is_decoded(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos", 2)
        videos.loc[2] = ["missing", str(tmp_path / "missing.mp4")]
        with pytest.raises(InputError, match="(?s)1 of 3 videos cannot be used.*1 times: file not found"):
            decode(videos, tmp_path / "cache", share=0.2)
        assert decoded == []

    def test_the_same_content_twice(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos", 2)
        copy = shutil.copy(videos["path"][0], tmp_path / "copy.mp4")
        videos.loc[2] = ["copy", str(copy)]
        _, frames, problems = decode(videos, tmp_path / "cache")
        assert len(decoded) == 2
        assert frames.rows[0] == frames.rows[2] != frames.rows[1]
        assert problems.to_dict("split")["data"] == [["copy", "video_path", "the same content as v0", False]]


class TestCache:
    def test_the_second_run_decodes_nothing(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos")
        _, first, _ = decode(videos, tmp_path / "cache")
        assert sorted(decoded) == [f"v{number}.mp4" for number in range(6)]
        decoded.clear()
        _, second, _ = decode(videos.iloc[::-1], tmp_path / "cache")
        assert decoded == []
        np.testing.assert_array_equal(second.read(np.arange(6)), first.read(np.arange(6))[::-1])

    def test_what_counts_is_the_content(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos")
        decode(videos, tmp_path / "cache")
        moved = tmp_path / "elsewhere"
        shutil.move(tmp_path / "videos", moved)
        write_video(moved / "v3.mp4", 20, size=(32, 32))
        decoded.clear()
        videos["path"] = [str(moved / Path(path).name) for path in videos["path"]]
        _, frames, _ = decode(videos, tmp_path / "cache")
        assert decoded == ["v3.mp4"]
        assert frames.info["n_frames"].tolist() == [8, 9, 10, 20, 12, 13]

    def test_other_options_are_another_table(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos", 2)
        first = decode(videos, tmp_path / "cache")[1]
        second = decode(videos, tmp_path / "cache", FrameOptions(n_frames=4, size=32, fit="squash"))[1]
        assert len(decoded) == 4
        assert first.fingerprint() != second.fingerprint()
        assert first.fingerprint() == decode(videos, tmp_path / "cache")[1].fingerprint()

    def test_too_short_is_asked_of_stored_videos_too(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos")
        decode(videos, tmp_path / "cache")
        decoded.clear()
        longer = OPTIONS.model_copy(update={"min_frames": 10})
        usable, _, problems = decode(videos, tmp_path / "cache", longer)
        assert decoded == []
        assert usable["video_id"].tolist() == ["v2", "v3", "v4", "v5"]
        assert problems["reason"].tolist() == [f"too short: {n} frames, fewer than 10" for n in (8, 9)]

    def test_a_file_that_changes_while_it_is_read(self, tmp_path, monkeypatch):
        videos = make_folder(tmp_path / "videos", 1)

        def read(path, options):
            clip = read_clip(path, options)
            write_video(path, 30, size=(32, 32))
            return clip

        monkeypatch.setattr(module, "read_clip", read)
        with pytest.raises(InputError, match="v0.mp4 changed while it was being read"):
            decode(videos, tmp_path / "cache")

    def test_goes_on_after_a_kill(self, tmp_path, decoded):
        videos = make_folder(tmp_path / "videos", 8)
        videos.to_csv(tmp_path / "videos.csv", index=False)
        command = [sys.executable, "-c", _KILLED, __file__, str(tmp_path)]
        child = subprocess.run(command, capture_output=True)
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        _, frames, _ = decode(videos, tmp_path / "cache")
        assert len(decoded) == len(set(decoded)) == 8 - 3
        assert frames.info["n_frames"].tolist() == list(range(8, 16))
        clips = [read_clip(Path(path), OPTIONS) for path in videos["path"]]
        np.testing.assert_array_equal(frames.read(np.arange(8)), np.stack([clip.frames for clip in clips]))


# Writes one video at a time and dies while it writes the fourth: its frames are there, its key is not.
_KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, str(Path(sys.argv[1]).parents[2] / "helpers"))
spec = importlib.util.spec_from_file_location("tests_of_frames", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
from vidpop_pipelines.datasets import embedding_store
flush, calls = embedding_store._flush, []

def dying(file):
    calls.append(file)
    flush(file)
    if len(calls) == 7:  # two for each video before
        os.kill(os.getpid(), signal.SIGKILL)

embedding_store._flush = dying
tests.module._BATCH_BYTES = 1
folder = Path(sys.argv[2])
tests.decode(pd.read_csv(folder / "videos.csv"), folder / "cache")
"""
