import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.encoding import encode_images, encode_texts, in_threads


def save_picture(path: Path, colour: tuple[int, int, int] = (200, 30, 90), format: str = "JPEG") -> Path:
    Image.new("RGB", (64, 48), colour).save(path, format)
    return path


class TestTexts:
    def test_each_unique_text_is_encoded_once(self, tmp_path, counting_encoder):
        encoder = counting_encoder()
        texts = pd.DataFrame({"title": ["a", "b", "a"], "category": ["Music", "Music", "b"]})
        embeddings = encode_texts(texts, encoder, EmbeddingStore(tmp_path), batch_size=2)
        assert sorted(encoder.inputs) == ["Music", "a", "b"]
        assert embeddings.rows.shape == (3, 2)
        assert embeddings.rows.dtype == np.int64
        assert embeddings.vectors.dtype == np.float16
        assert isinstance(embeddings.vectors, np.memmap)
        for row, text in zip(embeddings.rows.ravel(), texts.to_numpy().ravel(), strict=True):
            np.testing.assert_array_equal(embeddings.vectors[row], encoder.vector(text))

    def test_a_second_run_encodes_nothing(self, tmp_path, counting_encoder):
        texts = np.array([f"text {i % 50}" for i in range(200)], dtype=object)
        first = encode_texts(texts, counting_encoder(), EmbeddingStore(tmp_path), batch_size=8)
        again = counting_encoder()
        second = encode_texts(texts, again, EmbeddingStore(tmp_path), batch_size=8)
        assert again.batches == []
        np.testing.assert_array_equal(first.rows, second.rows)
        np.testing.assert_array_equal(first.vectors, second.vectors)

    def test_a_later_run_encodes_what_is_new(self, tmp_path, counting_encoder):
        store = EmbeddingStore(tmp_path)
        first = encode_texts(np.array(["a", "b"], object), counting_encoder(), store, batch_size=8)
        encoder = counting_encoder()
        second = encode_texts(np.array(["c", "b", "a"], object), encoder, store, batch_size=8)
        assert encoder.inputs == ["c"]
        np.testing.assert_array_equal(second.vectors[second.rows[[2, 1]]], first.vectors[first.rows])

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, "", "  \t\n", "\u3000"])
    def test_missing_texts_have_no_row(self, tmp_path, counting_encoder, missing):
        encoder = counting_encoder()
        texts = np.array([["a", missing], [missing, "b"]], dtype=object)
        embeddings = encode_texts(texts, encoder, EmbeddingStore(tmp_path), batch_size=8)
        assert (embeddings.rows < 0).tolist() == [[False, True], [True, False]]
        assert sorted(encoder.inputs) == ["a", "b"]

    def test_no_text_at_all_writes_nothing(self, tmp_path, counting_encoder):
        for texts in (np.array([[None, ""]], object), np.empty((0, 2), object)):
            embeddings = encode_texts(
                texts, counting_encoder(), EmbeddingStore(tmp_path / "store"), batch_size=8
            )
            assert embeddings.vectors.shape == (0, 4)
            np.testing.assert_array_equal(embeddings.rows, np.full(texts.shape, -1))
        assert not (tmp_path / "store").exists()

    def test_texts_of_like_length_share_a_batch(self, tmp_path, counting_encoder):
        encoder = counting_encoder()
        texts = np.array(["x" * length for length in (3, 9, 1, 7, 5, 2)], dtype=object)
        encode_texts(texts, encoder, EmbeddingStore(tmp_path), batch_size=2)
        assert [[len(text) for text in batch] for batch in encoder.batches] == [[9, 7], [5, 3], [2, 1]]

    def test_another_encoder_has_another_table(self, tmp_path, counting_encoder):
        store, texts = EmbeddingStore(tmp_path), np.array(["a"], object)
        encode_texts(texts, counting_encoder("first"), store, batch_size=8)
        changed = counting_encoder("second")
        encode_texts(texts, changed, store, batch_size=8)
        assert changed.inputs == ["a"]
        expected = {counting_encoder(name).fingerprint[:16] for name in ("first", "second")}
        assert {folder.name for folder in tmp_path.iterdir()} == expected

    def test_what_is_no_text_is_refused_with_its_place(self, tmp_path, counting_encoder):
        texts = np.array([["a", "b"], ["c", 7]], dtype=object)
        with pytest.raises(InputError, match=r"titles: 7 at \(1, 1\) is no text"):
            encode_texts(
                texts, counting_encoder(), EmbeddingStore(tmp_path), batch_size=8, description="titles"
            )

    @settings(max_examples=25)
    @given(
        texts=st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), max_size=30)
    )
    def test_every_text_finds_its_vector(self, tmp_path_factory, counting_encoder, texts):
        store, encoder = EmbeddingStore(tmp_path_factory.mktemp("store")), counting_encoder()
        embeddings = encode_texts(np.array(texts, object), encoder, store, batch_size=4)
        for text, row in zip(texts, embeddings.rows, strict=True):
            if text is None or not text.strip():
                assert row == -1
            else:
                np.testing.assert_array_equal(embeddings.vectors[row], encoder.vector(text))
        assert len(encoder.inputs) == len(set(encoder.inputs)) == len(embeddings.vectors)


class TestImages:
    def test_each_content_is_encoded_once(self, tmp_path, counting_encoder):
        red = save_picture(tmp_path / "red.jpg")
        blue = save_picture(tmp_path / "blue.jpg", (0, 0, 255))
        same = tmp_path / "same.jpg"
        same.write_bytes(red.read_bytes())
        store, encoder = EmbeddingStore(tmp_path / "store"), counting_encoder()
        embeddings, problems = encode_images([red, None, blue, same], encoder, store, batch_size=8)
        assert problems.empty
        assert list(problems.columns) == ["index", "reason", "used"]
        assert len(encoder.inputs) == 2
        assert embeddings.rows[1] == -1
        assert embeddings.rows[0] == embeddings.rows[3] != embeddings.rows[2]
        expected = encoder.vector(encoder.prepare(Image.open(blue)))
        np.testing.assert_array_equal(embeddings.vectors[embeddings.rows[2]], expected)

        again = counting_encoder()
        second, _ = encode_images([red, None, blue, same], again, store, batch_size=8)
        assert again.batches == []
        np.testing.assert_array_equal(second.rows, embeddings.rows)

    def test_a_changed_picture_is_encoded_again(self, tmp_path, counting_encoder):
        path, store = save_picture(tmp_path / "a.jpg"), EmbeddingStore(tmp_path / "store")
        before, _ = encode_images([path], counting_encoder(), store, batch_size=8)
        save_picture(path, (0, 255, 0))
        encoder = counting_encoder()
        after, _ = encode_images([path], encoder, store, batch_size=8)
        assert len(encoder.inputs) == 1
        assert after.rows[0] != before.rows[0]

    def test_bad_files_are_reported_and_have_no_row(self, tmp_path, counting_encoder):
        good = save_picture(tmp_path / "good.jpg")
        content = good.read_bytes()
        paths = {"good": good, "absent": tmp_path / "absent.jpg", "folder": tmp_path / "folder.jpg"}
        paths["folder"].mkdir()
        for name, bad in {
            "empty": b"",
            "truncated": content[: len(content) // 2],
            "twin": content[: len(content) // 2],
            "html": b"<html>404</html>",
        }.items():
            paths[name] = tmp_path / f"{name}.jpg"
            paths[name].write_bytes(bad)
        encoder = counting_encoder()
        for _ in range(2):  # a second run reports the same
            embeddings, problems = encode_images(
                list(paths.values()), encoder, EmbeddingStore(tmp_path / "store"), batch_size=2
            )
            assert embeddings.rows.tolist() == [0, -1, -1, -1, -1, -1, -1]
            assert problems["index"].tolist() == [1, 2, 3, 4, 5, 6]
            assert not problems["used"].any()
            reasons = dict(zip(list(paths)[1:], problems["reason"], strict=True))
            assert reasons["absent"] == "file not found"
            assert reasons["folder"].startswith("cannot be read: ")
            assert reasons["empty"] == "zero bytes"
            assert reasons["truncated"].startswith("cannot be decoded: ")
            assert "truncated" in reasons["truncated"].lower()
            assert reasons["twin"] == reasons["truncated"]
            assert reasons["html"] == "cannot be decoded: not a known picture format"
        assert len(encoder.inputs) == 1

    def test_a_png_named_jpg_is_used_and_noted(self, tmp_path, counting_encoder):
        paths = [
            save_picture(tmp_path / "a.jpg", format="PNG"),
            save_picture(tmp_path / "b.png", format="PNG"),
        ]
        for _ in range(2):
            embeddings, problems = encode_images(
                paths, counting_encoder(), EmbeddingStore(tmp_path / "store"), batch_size=8
            )
            assert (embeddings.rows >= 0).all()
            assert problems.to_dict("records") == [
                {"index": 0, "reason": "PNG content in a .jpg file", "used": True}
            ]

    def test_a_file_that_changes_meanwhile_is_refused(self, tmp_path, counting_encoder, monkeypatch):
        path, read, reads = save_picture(tmp_path / "a.jpg"), Path.read_bytes, []

        def read_bytes(self: Path) -> bytes:
            reads.append(self)
            if len(reads) == 2:  # first it is inspected, then decoded
                save_picture(path, (0, 255, 0))
            return read(self)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        with pytest.raises(InputError, match="a.jpg changed while it was being read"):
            encode_images([path], counting_encoder(), EmbeddingStore(tmp_path / "store"), batch_size=8)

    def test_no_picture_at_all(self, tmp_path, counting_encoder):
        for paths in ([], [None, None]):
            embeddings, problems = encode_images(
                paths, counting_encoder(), EmbeddingStore(tmp_path / "store"), batch_size=8
            )
            assert embeddings.rows.tolist() == [-1] * len(paths)
            assert problems.empty
        assert not (tmp_path / "store").exists()


def test_threads_stay_a_bounded_number_of_results_ahead():
    started = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            started.append(item)
        return item * item

    results = in_threads(work, range(100), ahead=5)
    for expected in range(100):
        assert next(results) == expected * expected
        with lock:
            assert len(started) <= expected + 1 + 5 + 1
    assert list(results) == []


# A slow encoder in a process of its own, for the tests that kill it or run two at once.
SCRIPT = textwrap.dedent("""
    import hashlib, sys, time
    import numpy as np
    from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
    from vidpop_pipelines.features.encoding import encode_texts

    class Encoder:
        hidden_size = 16
        description = {"encoder": "slow"}
        fingerprint = "5" * 64
        def lengths(self, texts):
            return np.array([len(text) for text in texts])
        def encode(self, inputs):
            print(len(inputs), flush=True)
            time.sleep(float(sys.argv[2]))
            digests = [hashlib.sha256(text.encode()).digest()[:16] for text in inputs]
            return np.stack([np.frombuffer(digest, np.uint8) for digest in digests]).astype(np.float32)

    texts = np.array([f"text number {i * i}" for i in range(400)], object)
    embeddings = encode_texts(texts, Encoder(), EmbeddingStore(sys.argv[1]), batch_size=10)
    np.save(sys.argv[1] + ".npy", np.asarray(embeddings.vectors[embeddings.rows]))
""")


def start(folder: Path, seconds_per_batch: float = 0.0) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(seconds_per_batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def finish(process: subprocess.Popen) -> int:
    """Returns the number of texts that the process encoded."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return sum(int(line) for line in output.split())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_continues_where_it_was(tmp_path):
    assert finish(start(tmp_path / "whole")) == 400

    process = start(tmp_path / "killed", 0.02)
    for _ in range(8):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.npy").exists()

    encoded = finish(start(tmp_path / "killed"))
    assert 0 < encoded <= 400 - 7 * 10
    for name in ("vectors.npy", "keys.bin", "encoder.json"):
        whole, killed = ((tmp_path / run / "5555555555555555" / name) for run in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), np.load(tmp_path / "killed.npy"))


def test_two_runs_at_once_share_the_work(tmp_path):
    processes = [start(tmp_path / "shared", 0.01) for _ in range(2)]
    assert sum(finish(process) for process in processes) == 400
    assert (tmp_path / "shared" / "5555555555555555" / "keys.bin").stat().st_size == 400 * 32
