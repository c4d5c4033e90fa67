import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kedro.io import DataCatalog

from vidpop_pipelines.datasets.embedding_store import (
    KEY_DTYPE,
    EmbeddingStore,
    EmbeddingStoreDataset,
    EmbeddingTable,
)
from vidpop_pipelines.errors import InputError

HEADER_BYTES = 128


@dataclass
class Encoder:
    hidden_size: int = 3
    fingerprint: str = "0123456789abcdef" * 4
    description: dict = field(default_factory=lambda: {"encoder": "none"})


def make_keys(*names) -> np.ndarray:
    return np.array([hashlib.sha256(str(name).encode()).digest() for name in names], dtype=KEY_DTYPE)


def make_vectors(count: int, first: float = 0) -> np.ndarray:
    return np.arange(first, first + count * 3, dtype=np.float32).reshape(count, 3)


@pytest.fixture
def table(tmp_path) -> EmbeddingTable:
    """A table with the rows "a" to "d", written in two pieces."""
    table = EmbeddingStore(tmp_path / "store").table(Encoder())
    with table.writer() as writer:
        writer.append(make_keys("a", "b"), make_vectors(2))
        writer.append(make_keys("c", "d"), make_vectors(2, 6))
    return table


class TestTable:
    def test_finds_what_was_appended(self, table):
        assert len(table) == 4
        rows = table.lookup(make_keys("d", "x", "a", "a"))
        assert rows.tolist() == [3, -1, 0, 0]
        assert rows.dtype == np.int64
        np.testing.assert_array_equal(table.vectors()[rows[[0, 2]]], [[9, 10, 11], [0, 1, 2]])

    def test_an_empty_table_touches_nothing(self, tmp_path):
        table = EmbeddingStore(tmp_path / "store").table(Encoder())
        assert len(table) == 0
        assert table.vectors().shape == (0, 3)
        assert table.lookup(make_keys("a")).tolist() == [-1]
        assert not (tmp_path / "store").exists()

    def test_the_files_are_what_they_are_said_to_be(self, table):
        assert table.folder.name == "0123456789abcdef"
        vectors = np.load(table.folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        assert vectors.dtype == np.float16
        np.testing.assert_array_equal(vectors, make_vectors(4))
        assert (table.folder / "keys.bin").read_bytes() == make_keys(*"abcd").tobytes()
        assert '"encoder": "none"' in (table.folder / "encoder.json").read_text()

    def test_vectors_are_mapped_and_read_only(self, table):
        vectors = table.vectors()
        assert isinstance(vectors, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            vectors[0, 0] = 1

    def test_a_reader_keeps_its_rows_while_the_table_grows(self, table):
        before = table.vectors()
        with table.writer() as writer:
            writer.append(make_keys("e"), make_vectors(1, 50))
        np.testing.assert_array_equal(before, make_vectors(4))
        assert len(table.vectors()) == 5

    def test_digests_that_end_in_zero_bytes_are_told_apart(self, tmp_path):
        keys = np.array([b"k" * 31 + b"\0", b"k" * 31 + b"\1", b"\0" * 32, b"\0" * 31 + b"\1"], KEY_DTYPE)
        table = EmbeddingStore(tmp_path).table(Encoder())
        with table.writer() as writer:
            writer.append(keys, make_vectors(4))
        assert table.lookup(keys[::-1]).tolist() == [3, 2, 1, 0]
        assert table.lookup(np.array([b"k" * 30], KEY_DTYPE)).tolist() == [-1]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 70000.0])
    def test_numbers_that_float16_cannot_hold_are_refused(self, table, value):
        vectors = make_vectors(2)
        vectors[1, 2] = value
        with (
            table.writer() as writer,
            pytest.raises(InputError, match=r"(?s)cannot be stored.*-65504 and 65504"),
        ):
            writer.append(make_keys("e", "f"), vectors)
        assert len(table) == 4

    def test_wrong_shapes_are_refused(self, table):
        with table.writer() as writer:
            for keys, vectors in ((make_keys("e"), make_vectors(2)), (make_keys("e"), np.zeros((1, 4)))):
                with pytest.raises(ValueError, match="vectors for 1 keys of 3 numbers"):
                    writer.append(keys, vectors)
        assert len(table) == 4

    def test_a_folder_of_another_encoder_is_refused(self, table):
        store = EmbeddingStore(table.folder.parent)
        same_start = Encoder(fingerprint=Encoder.fingerprint[:16] + "f" * 48)
        for other in (same_start, Encoder(hidden_size=4), Encoder(description={"encoder": "changed"})):
            with pytest.raises(InputError, match=r"(?s)another encoder.*delete"):
                store.table(other)

    def test_writers_take_turns(self, table):
        order = []
        inside = threading.Event()

        def second_writer():
            inside.wait(10)
            with EmbeddingStore(table.folder.parent).table(Encoder()).writer() as writer:
                order.append("second")
                writer.append(make_keys("f"), make_vectors(1))

        thread = threading.Thread(target=second_writer)
        thread.start()
        with table.writer() as writer:
            inside.set()
            thread.join(0.3)
            assert thread.is_alive()
            writer.append(make_keys("e"), make_vectors(1))
            order.append("first")
        thread.join(10)
        assert order == ["first", "second"]
        assert table.lookup(make_keys("e", "f")).tolist() == [4, 5]


class TestRecovery:
    """Whatever a kill may leave behind, the complete rows are found and writing continues."""

    def check(self, table: EmbeddingTable, complete: int) -> None:
        assert len(table) == complete
        expected = [row if row < complete else -1 for row in range(4)]
        assert table.lookup(make_keys(*"abcd")).tolist() == expected
        np.testing.assert_array_equal(table.vectors(), make_vectors(4)[:complete])
        with table.writer() as writer:
            writer.append(make_keys("x"), make_vectors(1, 90))
        assert table.lookup(make_keys("x")).tolist() == [complete]
        expected_vectors = np.concatenate([make_vectors(4)[:complete], make_vectors(1, 90)])
        np.testing.assert_array_equal(np.load(table.folder / "vectors.npy"), expected_vectors)
        keys = make_keys(*"abcd"[:complete], "x").tobytes()
        assert (table.folder / "keys.bin").read_bytes() == keys

    @pytest.mark.parametrize(("lost_bytes", "complete"), [(1, 3), (31, 3), (32, 3), (33, 2), (128, 0)])
    def test_keys_cut_short(self, table, lost_bytes, complete):
        cut(table.folder / "keys.bin", lost_bytes)
        self.check(table, complete)

    @pytest.mark.parametrize(
        ("lost_bytes", "complete"), [(1, 3), (6, 3), (7, 2), (24, 0), (24 + HEADER_BYTES, 0)]
    )
    def test_vectors_cut_short(self, table, lost_bytes, complete):
        cut(table.folder / "vectors.npy", lost_bytes)
        self.check(table, complete)

    @pytest.mark.parametrize("surplus", [b"\1", b"\1" * 6, b"\1" * 20])
    def test_vectors_without_keys(self, table, surplus):
        with open(table.folder / "vectors.npy", "ab") as file:
            file.write(surplus)
        self.check(table, 4)

    def test_an_old_or_torn_header(self, table):
        with open(table.folder / "vectors.npy", "r+b") as file:
            file.write(b"\0" * HEADER_BYTES)
        self.check(table, 4)

    def test_a_kill_before_the_first_vector(self, table):
        (table.folder / "vectors.npy").unlink()
        (table.folder / "keys.bin").unlink()
        self.check(table, 0)

    def test_a_lost_description(self, table):
        (table.folder / "encoder.json").unlink()
        self.check(table, 4)
        assert (table.folder / "encoder.json").is_file()


def cut(path: Path, n_bytes: int) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - n_bytes)


ROWS = st.lists(st.integers(0, 500), unique=True, max_size=40)


@settings(max_examples=40)
@given(data=st.data(), names=ROWS, queries=st.lists(st.integers(0, 500), max_size=20))
def test_lookup_returns_what_was_put_in(tmp_path_factory, data, names, queries):
    numbers = st.floats(-65000, 65000, width=32)
    vectors = data.draw(arrays(np.float32, (len(names), 3), elements=numbers, fill=numbers))
    pieces = sorted(data.draw(st.lists(st.integers(0, len(names)), max_size=4)))
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    for part in np.split(np.arange(len(names)), pieces):
        with store.table(Encoder()).writer() as writer:  # a run per piece
            writer.append(make_keys(*(names[row] for row in part)), vectors[part])
    table = store.table(Encoder())
    rows = table.lookup(make_keys(*queries))
    assert rows.tolist() == [names.index(query) if query in names else -1 for query in queries]
    found = np.array([names.index(query) for query in queries if query in names], dtype=int)
    stored = np.asarray(table.vectors()[rows[rows >= 0]], dtype=np.float32)
    np.testing.assert_allclose(stored, vectors[found], rtol=2**-11, atol=2**-25)


class TestDataset:
    def test_hands_over_the_store(self, tmp_path):
        config = {
            "texts": {
                "type": "vidpop_pipelines.datasets.embedding_store.EmbeddingStoreDataset",
                "filepath": str(tmp_path / "store"),
                "metadata": {"kedro-viz": {"layer": "feature"}},
            }
        }
        catalog = DataCatalog.from_config(config)
        store = catalog.load("texts")
        assert store.folder == tmp_path / "store"
        assert not catalog.exists("texts")
        assert not store.folder.exists()
        with store.table(Encoder()).writer() as writer:
            writer.append(make_keys("a"), make_vectors(1))
        assert catalog.exists("texts")
        assert str(tmp_path / "store") in str(catalog["texts"])

    def test_is_never_saved(self, tmp_path):
        dataset = EmbeddingStoreDataset(str(tmp_path))
        with pytest.raises(InputError, match="cannot be the output of a node"):
            dataset.save(EmbeddingStore(tmp_path))
