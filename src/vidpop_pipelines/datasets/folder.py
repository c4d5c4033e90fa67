"""Folders in the catalog: a plain one, and one that holds a model."""

import os
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview

from vidpop_pipelines.errors import InputError


class FolderDataset(AbstractDataset[None, Path]):
    """A folder that a node reads or fills by itself, for example file by file as training goes on.

    Args:
        filepath: The folder; it need not exist.
        metadata: Kedro metadata.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Returns the path of the folder."""
        return self._filepath

    def save(self, data: None) -> None:
        """A folder has no content of its own to be saved."""
        raise InputError(f"{self._filepath}: a node fills this folder by itself.")

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class ModelFolderDataset(AbstractDataset[Any, Any]):
    """A model in a folder, written by its own ``save(folder)`` and read by its class's ``load(folder)``.

    A kill while saving leaves either the old model, or a folder without ``config.json``, which is no
    model: that file goes first and comes last.

    Args:
        filepath: Folder of the model.
        model: Dotted name of the class.
        keep: Entries of the folder that belong to other catalog entries.
        metadata: Kedro metadata.
    """

    def __init__(
        self, filepath: str, model: str, keep: list[str] | None = None, metadata: dict[str, Any] | None = None
    ):
        self._filepath = Path(filepath)
        self._model = model
        self._keep = set(keep or [])
        self.metadata = metadata

    def load(self) -> Any:
        """Reads the model.

        Raises:
            InputError: If there is no complete model in the folder.
        """
        if not self._exists():
            raise InputError(
                f"{self._filepath}: no trained model.",
                "config.json and the files it belongs to",
                f"train it first: `kedro run --pipeline={self._filepath.name}`, with the same `output`.",
            )
        return load_obj(self._model).load(self._filepath)

    def save(self, data: Any) -> None:
        """Writes the model beside the old one, then puts it into its place."""
        staging = self._filepath.with_name(self._filepath.name + ".new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        data.save(staging)
        self._filepath.mkdir(exist_ok=True)
        old = [entry for entry in self._filepath.iterdir() if entry.name not in self._keep]
        for entry in sorted(old, key=lambda path: path.name != "config.json"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for entry in sorted(staging.iterdir(), key=lambda path: path.name == "config.json"):
            os.replace(entry, self._filepath / entry.name)
        staging.rmdir()

    def preview(self) -> JSONPreview:
        """Returns the model's `config.json`, as kedro-viz shows it."""
        return JSONPreview((self._filepath / "config.json").read_text(encoding="utf-8"))

    def size(self) -> int:
        """Returns the size of the model's files in bytes."""
        files = [path for path in self._filepath.rglob("*") if path.is_file()]
        own = [path for path in files if path.relative_to(self._filepath).parts[0] not in self._keep]
        return sum(path.stat().st_size for path in own)

    def _exists(self) -> bool:
        return (self._filepath / "config.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "model": self._model}
