import pytest
import torch
from safetensors.torch import load_file, save_model
from torch import nn

from vidpop_pipelines.training.checkpoints import EpochWeights, ResumeFolder


def checkpoint(folder, step, value=0.0):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_model(layer(value), path / "model.safetensors")
    return path


def layer(value=0.0):
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, value)
    return module


def test_incomplete_checkpoint_is_not_resumed_from(tmp_path):
    resume = ResumeFolder(tmp_path / "resume", "a")
    assert resume.latest_checkpoint() is None
    first = checkpoint(resume.folder, 9)
    resume.keep_only(first)
    checkpoint(resume.folder, 18)
    assert resume.latest_checkpoint() == first


def test_latest_checkpoint_is_by_number_and_replaces_the_others(tmp_path):
    resume = ResumeFolder(tmp_path / "resume", "a")
    first, second = checkpoint(resume.folder, 9), checkpoint(resume.folder, 10)
    (first / "complete").touch()
    (second / "complete").touch()
    assert resume.latest_checkpoint() == second
    resume.keep_only(second)
    assert not first.exists() and second.exists()


@pytest.mark.parametrize("other", ["another fingerprint", None])
def test_state_of_another_training_is_deleted(tmp_path, other):
    resume = ResumeFolder(tmp_path / "resume", "a")
    resume.keep_only(checkpoint(resume.folder, 9))
    if other is None:
        (resume.folder / "fingerprint.txt").unlink()
    resume = ResumeFolder(tmp_path / "resume", other or "a")
    assert resume.latest_checkpoint() is None
    assert [path.name for path in resume.folder.iterdir()] == ["fingerprint.txt"]


def test_state_of_the_same_training_is_found_again(tmp_path):
    resume = ResumeFolder(tmp_path / "resume", "a")
    path = checkpoint(resume.folder, 9)
    resume.keep_only(path)
    assert ResumeFolder(tmp_path / "resume", "a").latest_checkpoint() == path


@pytest.mark.parametrize(("keep_all", "left"), [(False, [2, 3]), (True, [1, 2, 3])])
def test_weights_of_chosen_epochs_stay(tmp_path, keep_all, left):
    weights = EpochWeights(tmp_path / "epochs", keep_all)
    for epoch in (1, 2, 3):
        weights.add(epoch, checkpoint(tmp_path, epoch, float(epoch)))
    weights.drop_all_but({2, 3})
    assert sorted(path.name for path in weights.folder.iterdir()) == [
        f"epoch_{n:02d}.safetensors" for n in left
    ]
    model = layer()
    weights.load(2, model)
    assert model.weight.tolist() == [[2.0, 2.0]]
    assert torch.equal(load_file(weights.folder / "epoch_03.safetensors")["weight"], torch.full((1, 2), 3.0))


def test_clear_deletes_the_epochs_of_an_earlier_training_and_nothing_else(tmp_path):
    weights = EpochWeights(tmp_path, keep_all=True)
    weights.add(1, checkpoint(tmp_path / "run", 1))
    (tmp_path / "epoch_02.safetensors.partial").touch()
    (tmp_path / "config.json").touch()
    weights.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "run"]
