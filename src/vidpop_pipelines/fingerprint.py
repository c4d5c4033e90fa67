"""Digests of files, folders, arrays and code: what a run was made from, and whether work can be resumed."""

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_large_file(path: Path, n_blocks: int = 64, block_bytes: int = 65_536) -> str:
    """Returns the SHA-256 of a file's size and of at most 4 MiB of its content.

    Small files are read whole, of larger ones evenly spaced blocks, the first and the last among them. Meant for
    videos: two encodings differ in size and nearly everywhere. Some bytes changed in place may go unnoticed.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size}\n".encode())
    with open(path, "rb") as file:
        if size <= n_blocks * block_bytes:
            digest.update(file.read())
        else:
            for block in range(n_blocks):
                file.seek(block * (size - block_bytes) // (n_blocks - 1))
                digest.update(file.read(block_bytes))
    return digest.hexdigest()


def hash_folder(path: Path) -> str:
    """Returns the SHA-256 of the names and sizes of a folder's files, and of the contents of arrays.

    Other contents are left out on purpose: a folder holds up to hundreds of thousands of pictures, and the
    embedding cache hashes each one it uses anyway. Arrays of the same shape have the same size whatever they hold.
    """
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\n".encode())
            if file.suffix == ".npy":
                digest.update(hash_file(file).encode())
    return digest.hexdigest()


def hash_path(path: Path) -> str:
    """Returns `hash_folder` of a folder and `hash_file` of a file."""
    return hash_folder(path) if path.is_dir() else hash_file(path)


def hash_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of numeric arrays: dtype, shape and content."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@functools.cache
def hash_code() -> str:
    """Returns the SHA-256 of this package's Python files, as they were at the first call in this process.

    A process goes on with the modules that it has imported, whatever becomes of their files.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def combine(*parts: Any) -> str:
    """Returns one digest of JSON-serialisable parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def hash_table(table: pd.DataFrame) -> str:
    """Returns the SHA-256 of a table's column names and rows; the index does not count."""
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return combine(list(table.columns), hash_arrays([rows]))


def hash_test_set(predictions: pd.DataFrame) -> str:
    """Returns the SHA-256 of what a predictions table is scored on: its test videos and their truth."""
    keys = ["video_id", "target", "step"]
    test = predictions.loc[predictions["split"] == "test", [*keys, "y_true"]]
    return hash_table(test.astype({"video_id": object, "target": object}).sort_values(keys))
