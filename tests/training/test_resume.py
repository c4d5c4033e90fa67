"""A training that is killed and started again ends as if nothing had happened, bit for bit."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("training_under_kill.py")


def train_under_kill(folder, scenarios):
    finished = subprocess.run(
        [sys.executable, SCRIPT, folder, *scenarios], capture_output=True, text=True, timeout=600
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def outcome(folder):
    epochs = {path.name: path.read_bytes() for path in (folder / "epochs").iterdir()}
    assert [path.name for path in (folder / "resume").glob("checkpoint-*")] == ["checkpoint-20"]
    return (folder / "result.safetensors").read_bytes(), (folder / "history.json").read_text(), epochs


def assert_all_equal(folder, scenarios):
    uninterrupted = outcome(folder / "-")
    # Best and last epoch differ, or the test could not tell whether both were kept through a kill.
    assert set(uninterrupted[2]) == {"epoch_01.safetensors", "epoch_05.safetensors"}
    for scenario in scenarios:
        assert outcome(folder / scenario) == uninterrupted, scenario


def n_operations(folder):
    return int((folder / "operations.txt").read_text())


def test_killed_training_resumes_bit_for_bit(tmp_path):
    # Before, in the middle of and after checkpoints; several kills one after the other; after the last epoch.
    scenarios = ["-", "8", "19", "45", "5,5,12,9,30", "60"]
    train_under_kill(tmp_path, scenarios)
    assert_all_equal(tmp_path, scenarios)
    # A training killed after most of its work is not done again.
    assert n_operations(tmp_path / "45") < n_operations(tmp_path / "-") - 25


@pytest.mark.slow
def test_killed_at_any_operation_on_a_file(tmp_path):
    train_under_kill(tmp_path, ["-"])
    last = n_operations(tmp_path / "-")
    assert last > 40
    scenarios = [str(operation) for operation in range(1, last + 1)]
    train_under_kill(tmp_path, scenarios)
    assert_all_equal(tmp_path, scenarios)


@pytest.mark.slow
def test_processes_of_torchrun_train_one_model(tmp_path):
    def outputs():
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        finished = subprocess.run([*command, SCRIPT, tmp_path], capture_output=True, text=True, timeout=600)
        assert finished.returncode == 0, finished.stderr
        return [
            (
                (tmp_path / f"result{process}.safetensors").read_bytes(),
                (tmp_path / f"history{process}.json").read_text(),
            )
            for process in (0, 1)
        ]

    first, second = outputs()
    assert first == second
    # A batch for each process at every step: half as many steps as one process takes.
    assert [path.name for path in (tmp_path / "resume").glob("checkpoint-*")] == ["checkpoint-10"]
    assert outputs() == [first, second]
