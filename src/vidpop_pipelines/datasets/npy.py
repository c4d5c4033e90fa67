"""Arrays in `.npy` files: one file, or a folder of them; memory-mapped, and never unpickled."""

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from vidpop_pipelines.errors import InputError

_NUMBERS = "fiu"  # kinds of numpy dtypes: floating point, signed and unsigned integers


def open_npy(path: Path) -> np.ndarray:
    """Maps the array of a `.npy` file into memory, read only.

    Any real dtype, byte order and memory order (C or Fortran) is taken as it is.

    Args:
        path: The file.

    Returns:
        The array, whose values are read from disk as they are needed.

    Raises:
        InputError: If there is no such file, if it is not a complete `.npy` file, has no values, holds Python
            objects (reading them would run code from the file) or anything else than real numbers.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.", "a .npy file", "check the path.")
    _check_header(path)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}).",
            "a complete file, as numpy.save writes it",
            "copy or write the file again: it may be truncated.",
        ) from None


def _check_header(path: Path) -> None:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            # Version 3 differs from 2 only in the encoding of field names, and fields are refused below.
            shape, _, dtype = readers.get(version, readers[(2, 0)])(file)
    except ValueError as error:
        raise InputError(
            f"{path}: not a .npy file ({error}).", "a file as numpy.save writes it", "write the file again."
        ) from None
    if dtype.hasobject:
        raise InputError(
            f"{path}: holds Python objects, which only pickle could read.",
            "an array of numbers",
            "save it as numbers: numpy.save(path, array.astype('float32'), allow_pickle=False).",
        )
    if dtype.kind not in _NUMBERS:
        raise InputError(f"{path}: dtype {dtype}.", "an array of real numbers", "convert it to float32.")
    if 0 in shape:
        raise InputError(f"{path}: empty, shape {shape}.", "at least one row and one column")


class NpyDataset(AbstractDataset[np.ndarray, np.ndarray]):
    """One `.npy` file.

    Args:
        filepath: The file.
        metadata: Kedro metadata.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> np.ndarray:
        """Maps the array into memory; see `open_npy`."""
        return open_npy(self._filepath)

    def save(self, data: np.ndarray) -> None:
        """Writes the array, whole or not at all."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._filepath.with_name(self._filepath.name + ".new")
        with open(unfinished, "wb") as file:
            np.save(file, data, allow_pickle=False)
        os.replace(unfinished, self._filepath)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


@dataclass(frozen=True)
class NpyFolder:
    """What a folder of arrays holds.

    Attributes:
        path: The folder, for messages.
        arrays: Memory-mapped arrays by file name without suffix, sorted by name.
        lines: Lines of the text files by file name without suffix.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    lines: dict[str, list[str]]


class NpyFolderDataset(AbstractDataset[None, NpyFolder]):
    """A folder of `.npy` files, and text files with one entry per row.

    Args:
        filepath: The folder.
        arrays: Patterns of the files to be mapped, for example ``["*_features.npy"]``; others are not opened.
        texts: Names of the text files; each may be absent.
        metadata: Kedro metadata.
    """

    def __init__(
        self,
        filepath: str,
        arrays: list[str],
        texts: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        self._filepath = Path(filepath)
        self._arrays = arrays
        self._texts = texts or []
        self.metadata = metadata

    def load(self) -> NpyFolder:
        """Maps the arrays and reads the texts.

        Raises:
            InputError: If the folder is missing or a file is not what it says, see `open_npy`.
        """
        if not self._filepath.is_dir():
            raise InputError(f"{self._filepath}: no such folder.", "a folder of .npy files")
        chosen = [
            path
            for path in sorted(self._filepath.iterdir())
            if any(fnmatch(path.name, pattern) for pattern in self._arrays)
        ]
        texts = [self._filepath / name for name in self._texts]
        return NpyFolder(
            path=self._filepath,
            arrays={path.stem: open_npy(path) for path in chosen},
            lines={path.stem: _read_lines(path) for path in texts if path.is_file()},
        )

    def preview(self) -> TablePreview:
        """Returns the arrays' names, sizes and types, as kedro-viz shows them."""
        arrays = self.load().arrays
        rows = [[name, *map(str, (array.shape, array.dtype))] for name, array in arrays.items()]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": ["array", "shape", "dtype"], "data": rows}
        )

    def save(self, data: None) -> None:
        """Raw data is never written."""
        raise InputError(f"{self._filepath}: raw data is read only.")

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "arrays": self._arrays, "texts": self._texts}


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}).", "UTF-8, one entry per line") from None
