"""Vectors of frozen encoders, and other rows that cost much, on disk, so that every input is processed once."""

import io
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from kedro.io import AbstractDataset

from vidpop_pipelines.errors import InputError

if TYPE_CHECKING:
    from vidpop_pipelines.features.embeddings import Encoder

logger = logging.getLogger(__name__)

KEY_DTYPE = np.dtype("S32")  # a SHA-256 digest; of fixed width, so its trailing zeros count
VECTOR_DTYPE = np.dtype("<f2")  # 11 significant bits, more than the 8 of the bfloat16 it is computed in


class EmbeddingStore:
    """A folder with one `EmbeddingTable` per encoder; created when first written to.

    Args:
        folder: Where the tables are, or will be.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def table(self, encoder: "Encoder") -> "EmbeddingTable":
        """Returns the table of an encoder; a changed encoder has another fingerprint, hence another table.

        Raises:
            InputError: If the folder of that table belongs to another encoder.
        """
        return EmbeddingTable(self.folder / encoder.fingerprint[:16], encoder)


class RowTable:
    """Rows of equal size, found by the digest of their input; grows, never changes.

    Three files: ``encoder.json`` says what made the rows; ``vectors.npy`` is an ordinary .npy file of them;
    ``keys.bin`` has the 32-byte digests of the inputs in the same order.

    Rows are appended and flushed to disk first, keys after them, so a row counts once its key is
    complete. Whatever a kill or a power failure leaves beyond the last row that has both is cut off by the
    next writer, and readers never look at it. numpy pads the header of a .npy file so that the number of
    rows can grow in place; after a kill it may count rows without a key, never too few.

    Args:
        folder: Folder of this table.
        row: What a row is: a numpy dtype with fields, or with a shape.
        description: What makes the rows; JSON.

    Raises:
        InputError: If the folder belongs to rows that are made otherwise.
    """

    def __init__(self, folder: Path, row: np.dtype, description: dict[str, Any]):
        self.folder = folder
        self.row = row
        self._vectors_path = folder / "vectors.npy"
        self._keys_path = folder / "keys.bin"
        self._description_path = folder / "encoder.json"
        self._description = description
        self._check_description()

    def __len__(self) -> int:
        """Returns the number of complete rows."""
        row_bytes = _file_size(self._vectors_path) - len(_npy_header(0, self.row))
        return max(0, min(_file_size(self._keys_path) // KEY_DTYPE.itemsize, row_bytes // self.row.itemsize))

    def vectors(self) -> np.ndarray:
        """Returns (n, ...) rows, mapped read-only: pages are read when used and not kept."""
        shape = (len(self), *self.row.shape)
        if not shape[0]:
            return np.empty(shape, self.row.base)  # nothing cannot be mapped
        header = len(_npy_header(0, self.row))
        return np.memmap(self._vectors_path, self.row.base, mode="r", offset=header, shape=shape)

    def keys(self) -> np.ndarray:
        """Returns (n,) digests in the order of the rows."""
        count = len(self)
        if not count:
            return np.empty(0, KEY_DTYPE)
        return np.fromfile(self._keys_path, KEY_DTYPE, count)

    def lookup(self, keys: np.ndarray) -> np.ndarray:
        """Finds the rows of digests; 32 bytes of memory per stored row, no Python object.

        Args:
            keys: (n,) digests; sorted ones are found fastest.

        Returns:
            (n,) int64, -1 where there is no row.
        """
        stored = self.keys()
        if not len(stored):
            return np.full(len(keys), -1, dtype=np.int64)
        order = np.argsort(stored)
        place = np.searchsorted(stored, keys, sorter=order)
        rows = order[np.minimum(place, len(order) - 1)]
        return np.where(stored[rows] == keys, rows, -1)

    @contextmanager
    def writer(self) -> Iterator["RowWriter"]:
        """Opens the table for appending, one writer at a time over all processes; waits for its turn."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.folder / ".lock"):
            self._check_description()  # again: another process may have written it in the meantime
            self._write_description()
            count = len(self)
            self._keys_path.touch()
            self._vectors_path.touch()
            with open(self._vectors_path, "r+b") as vectors, open(self._keys_path, "r+b") as keys:
                yield RowWriter(vectors, keys, count, self)

    def to_rows(self, values: np.ndarray) -> np.ndarray:
        """Gives values the type in which they are stored."""
        return values.astype(self.row.base, copy=False)

    def _check_description(self) -> None:
        if not self._description_path.is_file():
            return
        stored = json.loads(self._description_path.read_text(encoding="utf-8"))
        if stored != json.loads(json.dumps(self._description)):
            raise InputError(
                f"{self._description_path}: describes another encoder than the one in use.",
                json.dumps(self._description),
                f"delete {self.folder}; its vectors are computed again.",
            )

    def _write_description(self) -> None:
        temporary = self._description_path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._description, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, self._description_path)


class EmbeddingTable(RowTable):
    """Vectors of one encoder: rows of `hidden_size` float16.

    Args:
        folder: Folder of this table.
        encoder: What makes the vectors.

    Raises:
        InputError: If the folder belongs to another encoder.
    """

    def __init__(self, folder: Path, encoder: "Encoder"):
        description = {
            "fingerprint": encoder.fingerprint,
            "hidden_size": encoder.hidden_size,
            **encoder.description,
        }
        super().__init__(folder, np.dtype((VECTOR_DTYPE, (encoder.hidden_size,))), description)

    def to_rows(self, values: np.ndarray) -> np.ndarray:
        """Rounds to float16.

        Raises:
            InputError: If a number is not finite or too large for float16.
        """
        with np.errstate(over="ignore"):  # turned into an error just below
            halves = super().to_rows(values)
        if not np.isfinite(halves).all():
            largest = np.finfo(VECTOR_DTYPE).max
            raise InputError(
                f"The encoder gave {values[~np.isfinite(halves)][0]}, which cannot be stored.",
                f"finite numbers between -{largest:.0f} and {largest:.0f}",
                "check the weights of the encoder, or use another one.",
            )
        return halves


class RowWriter:
    """Appends to the two files of a table; comes from `RowTable.writer`.

    Args:
        vectors: ``vectors.npy``, open for reading and writing.
        keys: ``keys.bin``, open for reading and writing.
        count: Complete rows; anything beyond is cut off.
        table: Whose files they are.
    """

    def __init__(self, vectors: BinaryIO, keys: BinaryIO, count: int, table: RowTable):
        self._vectors, self._keys = vectors, keys
        self._count, self._table = count, table
        self._vectors.truncate(self._write_header() + count * table.row.itemsize)
        self._keys.truncate(count * KEY_DTYPE.itemsize)

    def append(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Adds rows; they survive a kill or power failure once this returns.

        Args:
            keys: (n,) digests that the table does not have.
            vectors: (n, ...) rows: (n, hidden_size) numbers for a table of embeddings.

        Raises:
            InputError: If the table cannot hold a value, see its `to_rows`.
            ValueError: If the shapes do not fit.
        """
        if vectors.shape != (len(keys), *self._table.row.shape):
            expected = " x ".join(map(str, self._table.row.shape))
            raise ValueError(f"{vectors.shape} vectors for {len(keys)} keys of {expected or 'no'} numbers")
        rows = self._table.to_rows(vectors)
        self._count += len(keys)
        self._vectors.seek(0, os.SEEK_END)
        self._vectors.write(rows.tobytes())
        self._write_header()
        _flush(self._vectors)
        self._keys.seek(0, os.SEEK_END)
        self._keys.write(keys.astype(KEY_DTYPE).tobytes())
        _flush(self._keys)

    def _write_header(self) -> int:
        """Writes the header for the present number of rows and returns its length."""
        self._vectors.seek(0)
        return self._vectors.write(_npy_header(self._count, self._table.row))


class EmbeddingStoreDataset(AbstractDataset[None, EmbeddingStore]):
    """Hands a node the store of its encoder; the encoding functions write to it piece by piece.

    Args:
        filepath: Folder of the store; it need not exist.
        metadata: Kedro metadata.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> EmbeddingStore:
        """Returns the store; touches nothing on disk."""
        return EmbeddingStore(self._filepath)

    def save(self, data: None) -> None:
        """A store is never saved as a whole."""
        raise InputError(
            f"{self._filepath}: a store of embeddings cannot be the output of a node.",
            "a store as an input",
            "let the node fill it through features.encoding.encode_texts or encode_images.",
        )

    def _exists(self) -> bool:
        return any(self._filepath.glob("*/encoder.json"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    # The operating system drops the lock of a killed process.
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("Waiting for the run that writes to %s", path.parent)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _npy_header(count: int, row: np.dtype) -> bytes:
    """Returns the header of a .npy file; its length does not depend on the number of rows."""
    header = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(row.base),
        "fortran_order": False,
        "shape": (count, *row.shape),
    }
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()
