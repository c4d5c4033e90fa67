import json
from pathlib import Path

import pytest

from vidpop_pipelines.datasets.folder import FolderDataset, ModelFolderDataset
from vidpop_pipelines.datasets.optional import OptionalDataset
from vidpop_pipelines.errors import InputError


class Word:
    """The smallest model: one word."""

    def __init__(self, word: str):
        self.word = word

    def save(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(self.word))
        (folder / f"{self.word}.txt").write_text(self.word)

    @classmethod
    def load(cls, folder: Path) -> "Word":
        return cls(json.loads((folder / "config.json").read_text()))


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    # load_obj imports by name, and this file is no importable module under pytest's importlib mode.
    monkeypatch.setattr("vidpop_pipelines.datasets.folder.load_obj", lambda name: Word)
    return ModelFolderDataset(str(tmp_path / "model"), model="Word", keep=["epochs"])


def test_save_replaces_the_old_model_but_not_what_belongs_to_others(dataset, tmp_path):
    dataset.save(Word("old"))
    (tmp_path / "model" / "epochs").mkdir()
    dataset.save(Word("new"))
    assert dataset.load().word == "new"
    assert {entry.name for entry in (tmp_path / "model").iterdir()} == {"config.json", "new.txt", "epochs"}
    assert not (tmp_path / "model.new").exists()


def test_folder_without_config_is_no_model(dataset, tmp_path):
    assert not dataset.exists()
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="no trained model"):
        dataset.load()


def test_failed_save_leaves_the_old_model(dataset):
    class Broken(Word):
        def save(self, folder):
            super().save(folder)
            raise OSError("disk full")

    dataset.save(Word("old"))
    with pytest.raises(Exception, match="disk full"):
        dataset.save(Broken("new"))
    assert dataset.load().word == "old"


def test_folder_dataset_gives_its_path(tmp_path):
    assert FolderDataset(str(tmp_path / "absent")).load() == tmp_path / "absent"


def test_optional_dataset_is_none_where_nothing_is(tmp_path):
    dataset = OptionalDataset({"type": "json.JSONDataset", "filepath": str(tmp_path / "value.json")})
    assert dataset.load() is None
    (tmp_path / "value.json").write_text("[1]")
    assert dataset.load() == [1]


def test_size_counts_the_models_own_files_only(dataset, tmp_path):
    dataset.save(Word("four"))
    (tmp_path / "model/epochs").mkdir()
    (tmp_path / "model/epochs/1.bin").write_bytes(b"0" * 1000)
    assert dataset.size() == len('"four"') + len("four")


def test_preview_is_the_models_config(dataset):
    dataset.save(Word("first"))
    assert json.loads(dataset.preview()) == "first"
