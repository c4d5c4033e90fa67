import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_files import paint_number, read_number, write_sound, write_video

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.video import Clip, FrameOptions, read_clip

# 48 frames in eight parts of six: the middle of each part is where its fourth frame begins.
MIDDLES = [3, 9, 15, 21, 27, 33, 39, 45]
SMALL = FrameOptions(size=64)


def numbers(clip: Clip) -> list[int]:
    return [read_number(frame) for frame in clip.frames]


def reason(path: Path, options: FrameOptions = SMALL) -> str:
    with pytest.raises(InputError) as caught:
        read_clip(path, options)
    return str(caught.value)


class TestWhichFrames:
    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("plain.mp4", {}),
            ("sound.mp4", {"sound": True}),
            ("one_keyframe.mp4", {"gop": 1000}),
            ("only_keyframes.mp4", {"gop": 1}),
            ("no_reordering.mp4", {"options": {"bf": "0"}}),
            ("open_groups.mp4", {"options": {"x264-params": "open-gop=1:bframes=4:b-adapt=0"}}),
            ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
            ("reordered.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
            ("stream.ts", {}),
            ("flash.flv", {"codec": "flv1"}),
            ("quick.mov", {}),
            ("disc.mpg", {"codec": "mpeg2video", "rate": 25}),
            ("raw.h264", {"format": "h264", "rate": 25}),  # no times, no index: all of it is decoded
        ],
    )
    def test_from_the_middle_of_equal_parts(self, tmp_path, name, how):
        clip = read_clip(write_video(tmp_path / name, 48, **how), SMALL)
        assert numbers(clip) == MIDDLES
        np.testing.assert_allclose(clip.timestamps, np.array(MIDDLES) / how.get("rate", 24), atol=1e-6)
        assert clip.frames.shape == (8, 64, 64, 3)
        assert clip.frames.dtype == np.uint8

    @pytest.mark.parametrize("name", ["rounded.webm", "rounded.mkv"])
    def test_formats_that_round_times_to_milliseconds(self, tmp_path, name):
        fast = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
        clip = read_clip(write_video(tmp_path / name, 48, **fast if name.endswith("webm") else {}), SMALL)
        assert np.abs(np.array(numbers(clip)) - MIDDLES).max() <= 1
        np.testing.assert_allclose(clip.timestamps, np.array(numbers(clip)) / 24, atol=1e-3)

    @settings(max_examples=25)
    @given(
        n_frames=st.integers(1, 70),
        wanted=st.integers(1, 12),
        gop=st.integers(1, 40),
        b_frames=st.integers(0, 4),
    )
    def test_any_number_of_any_video(self, tmp_path_factory, n_frames, wanted, gop, b_frames):
        path = tmp_path_factory.getbasetemp() / "any.mp4"
        write_video(path, n_frames, gop=gop, size=(32, 32), options={"bf": str(b_frames)})
        clip = read_clip(path, FrameOptions(n_frames=wanted, size=32, min_frames=1))
        if n_frames <= wanted:
            assert numbers(clip) == list(range(n_frames))
        else:
            assert numbers(clip) == [(2 * part + 1) * n_frames // (2 * wanted) for part in range(wanted)]
        np.testing.assert_allclose(clip.timestamps, np.array(numbers(clip)) / 24, atol=1e-6)
        assert clip.info.n_frames == n_frames
        assert clip.info.duration == pytest.approx(n_frames / 24)

    def test_equal_those_of_a_full_decode(self, tmp_path):
        path = write_video(tmp_path / "video.mp4", 60, gop=25, size=(64, 64))
        with av.open(str(path)) as container:
            every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        clip = read_clip(path, SMALL)
        for number, frame in zip(numbers(clip), clip.frames, strict=True):
            # Not resized, but converted by another routine, which rounds otherwise.
            assert np.abs(every[number].astype(int) - frame).max() <= 4

    def test_what_is_not_needed_is_not_decoded(self, tmp_path):
        path = write_video(tmp_path / "video.mp4", 100, gop=10, options={"sc_threshold": "0"})
        with av.open(str(path)) as container:
            packets = sorted((packet.pts, packet) for packet in container.demux(video=0) if packet.size)
        content = bytearray(path.read_bytes())
        needed = set(range(20, 30)) | set(range(70, 80))  # frames 25 and 75 are the middles of two parts
        for number, (_, packet) in enumerate(packets):
            if number not in needed and not packet.is_keyframe:
                content[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
        path.write_bytes(content)
        assert numbers(read_clip(path, FrameOptions(n_frames=2, size=64))) == [25, 75]
        assert "cannot be decoded" in reason(path)

    def test_variable_frame_rate_goes_by_time(self, tmp_path):
        times = [*np.arange(10) / 10, 1.0, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5]
        path = write_video(tmp_path / "variable.mp4", times=times)
        clip = read_clip(path, FrameOptions(n_frames=4, size=64))
        # The middles are 1, 3, 5 and 7 s; frame 10 is shown from 1 to 5 s.
        assert numbers(clip) == [10, 11, 15]
        np.testing.assert_allclose(clip.timestamps, [1, 5, 7], atol=1e-3)
        assert clip.info.duration == pytest.approx(8, abs=0.01)

    def test_a_short_video_gives_all_its_frames_once(self, tmp_path):
        clip = read_clip(write_video(tmp_path / "short.mp4", 3), SMALL)
        assert numbers(clip) == [0, 1, 2]
        assert len(clip.timestamps) == 3

    def test_too_short(self, tmp_path):
        path = write_video(tmp_path / "one.mp4", 1)
        assert reason(path) == "too short: 1 frame, fewer than 2"
        assert numbers(read_clip(path, FrameOptions(size=64, min_frames=1))) == [0]


class TestPicture:
    @pytest.mark.parametrize("degrees", [0, 90, 180, 270])
    def test_is_upright(self, tmp_path, degrees):
        clip = read_clip(write_video(tmp_path / "turned.mp4", size=(96, 64), rotation=degrees), SMALL)
        assert numbers(clip) == MIDDLES
        assert clip.info.rotation == degrees
        assert (clip.info.width, clip.info.height) == ((96, 64) if degrees % 180 == 0 else (64, 96))

    @pytest.mark.parametrize("size", [(97, 65), (65, 97), (33, 31), (101, 33)])
    def test_odd_sizes(self, tmp_path, size):
        clip = read_clip(write_video(tmp_path / "odd.mp4", size=size), SMALL)
        assert numbers(clip) == MIDDLES
        assert (clip.info.width, clip.info.height) == size

    def test_crop_cuts_the_centre_and_squash_keeps_everything(self, tmp_path):
        path = write_video(tmp_path / "wide.mp4", size=(128, 64))
        cropped = read_clip(path, SMALL)
        squashed = read_clip(path, FrameOptions(size=64, fit="squash"))
        expected = paint_number(3, (128, 64)).astype(int)
        assert np.abs(cropped.frames[0] - expected[:, 32:96]).mean() < 8
        assert np.abs(squashed.frames[0] - expected[:, ::2]).mean() < 8
        # The background at the sides, which crop cut off.
        assert np.abs(squashed.frames[0, :, :12] - expected[0, 0]).max() < 40
        assert read_number(squashed.frames[0]) == -1

    def test_pixels_that_are_not_square(self, tmp_path):
        path = write_video(tmp_path / "pixels.mp4", size=(64, 96), pixel_aspect=Fraction(3, 2))
        clip = read_clip(path, SMALL)
        assert (clip.info.width, clip.info.height) == (96, 96)
        assert numbers(clip) == MIDDLES

    def test_no_aliasing_when_it_shrinks(self, tmp_path):
        path = tmp_path / "stripes.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=24, options={"qp": "0"})
            stream.width = stream.height = 256
            stream.pix_fmt = "yuv444p"
            stripes = np.zeros((256, 256, 3), np.uint8)
            stripes[:, ::2] = 255
            for _ in range(4):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(stripes, format="rgb24")))
            container.mux(stream.encode(None))
        frame = read_clip(path, FrameOptions(size=32)).frames[0]
        assert np.abs(frame[:, 1:-1].astype(int) - 128).max() < 8


class TestFiles:
    @pytest.mark.parametrize("name", ["with spaces ä.mp4", "視頻 🎬.mp4", "http:a name.mp4", "100%?#.mp4"])
    def test_names(self, tmp_path, name):
        assert numbers(read_clip(write_video(tmp_path / name), SMALL)) == MIDDLES

    def test_relative_paths_and_open_files(self, tmp_path, monkeypatch):
        path = write_video(tmp_path / "folder" / "video.mp4")
        monkeypatch.chdir(tmp_path)
        relative = read_clip(Path("folder/video.mp4"), SMALL)
        opened = read_clip(io.BytesIO(path.read_bytes()), SMALL)
        assert np.array_equal(relative.frames, opened.frames)
        assert relative.info == opened.info
        assert relative.info.file_size == path.stat().st_size

    def test_raw_streams_from_open_files(self, tmp_path):
        path = write_video(tmp_path / "raw.h264", format="h264", rate=25)
        assert numbers(read_clip(io.BytesIO(path.read_bytes()), SMALL)) == MIDDLES

    def test_missing_empty_and_no_file(self, tmp_path):
        (tmp_path / "empty.mp4").write_bytes(b"")
        assert reason(tmp_path / "missing.mp4") == "file not found"
        assert reason(tmp_path / "empty.mp4") == "zero bytes"
        assert reason(tmp_path) == "cannot be read: Is a directory"

    def test_what_is_no_video(self, tmp_path):
        (tmp_path / "text.mp4").write_text("not a video\n" * 500)
        target = write_video(tmp_path / "target.mp4")
        (tmp_path / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
        for name in ("text.mp4", "playlist.mp4"):
            assert reason(tmp_path / name).startswith("not a video")

    def test_only_sound(self, tmp_path):
        assert reason(write_sound(tmp_path / "song.m4a")) == "no video stream"
        assert reason(write_sound(tmp_path / "song.mp4")) == "no video stream"
        assert reason(write_sound(tmp_path / "with_cover.mp4", cover=True)) == "no video stream"

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
    @pytest.mark.parametrize("name", ["header_last.mp4", "header_first.mp4", "cluster.mkv"])
    def test_truncated(self, tmp_path, name, share):
        first = {"movflags": "faststart"} if name == "header_first.mp4" else None
        path = write_video(tmp_path / name, 240, sound=True, muxer_options=first)
        assert numbers(read_clip(path, SMALL))[0] in (14, 15)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        said = reason(path)
        assert ("cut off" if name == "header_last.mp4" else "truncated") in said

    @settings(max_examples=40)
    @given(data=st.data())
    def test_any_damage_gives_frames_or_a_reason(self, tmp_path_factory, data):
        path = tmp_path_factory.getbasetemp() / "whole.mp4"
        if not path.is_file():
            write_video(path, 30, size=(32, 32), muxer_options={"movflags": "faststart"})
        content = bytearray(path.read_bytes())
        places = st.integers(0, len(content) - 1)
        for place in data.draw(st.lists(places, max_size=20)):
            content[place] = data.draw(st.integers(0, 255))
        try:
            clip = read_clip(io.BytesIO(content[: data.draw(places) + 1]), SMALL)
        except InputError as error:
            assert str(error)
        else:
            assert len(clip.frames) >= SMALL.min_frames
            assert len(clip.frames) == len(clip.timestamps)

    def test_info(self, tmp_path):
        path = write_video(tmp_path / "video.mp4", 48, gop=12, sound=True, options={"sc_threshold": "0"})
        info = read_clip(path, SMALL).info
        assert info.duration == pytest.approx(2)
        assert info.frame_rate == pytest.approx(24)
        assert info.n_keyframes == 4
        assert 0 < info.keyframe_bytes < info.video_bytes < info.file_size == path.stat().st_size


def test_the_fingerprint_is_about_frames_alone():
    base = FrameOptions()
    assert base.fingerprint == FrameOptions(min_frames=5).fingerprint
    others = [FrameOptions(n_frames=4), FrameOptions(size=96), FrameOptions(fit="squash")]
    assert len({base.fingerprint, *(options.fingerprint for options in others)}) == 4
