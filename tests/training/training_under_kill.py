"""Trains in child processes that are killed by SIGKILL at a chosen operation on a file; for test_resume.py.

Usage: training_under_kill.py FOLDER SCENARIO ... A scenario is a list of operations, such as 20,5: the first
child is killed at its 20th operation on a file, the second, which resumes, at its 5th, and a last one runs
through. Scenario "-" kills none. Each works in FOLDER/<scenario> and leaves there result.safetensors,
history.json and operations.txt, the number of operations of the last child. Under torchrun it just trains,
in FOLDER.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from vidpop_pipelines.training.batches import BatchDataset
from vidpop_pipelines.training.options import TrainingOptions
from vidpop_pipelines.training.trainer import train

N_TRAIN, N_VALIDATION = 33, 11
WATCHED = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.copyfile", "os.utime")


class Network(nn.Module):
    """Dropout and batch normalization: both have state that a resumed training must have too."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )
        self.register_buffer("training_progress", torch.tensor(0.0), persistent=False)

    def forward(self, inputs, labels):
        logits = self.layers(inputs)
        loss = (logits - labels).abs().mean() + (1 - self.training_progress) * logits.square().mean()
        return {"loss": loss, "logits": logits}


def fetch(rows):
    inputs = np.random.default_rng(0).normal(size=(N_TRAIN + N_VALIDATION, 4)).astype(np.float32)[rows]
    return {"inputs": inputs, "labels": inputs[:, :2] * 2}


def compute_metrics(predictions, labels):
    return {"mae": float(np.abs(predictions - labels).mean())}


def run(folder: Path) -> None:
    torch.manual_seed(3)
    model = Network()
    result = train(
        model,
        BatchDataset(np.arange(N_TRAIN), fetch),
        BatchDataset(np.arange(N_TRAIN, N_TRAIN + N_VALIDATION), fetch),
        TrainingOptions(epochs=5, batch_size=8, learning_rate=0.2, plateau_patience=0, precision="fp32"),
        seed=3,
        compute_metrics=compute_metrics,
        monitor="mae",
        fingerprint="same",
        resume_folder=folder / "resume",
        epochs_folder=folder / "epochs",
    )
    process = os.environ.get("RANK", "")  # of torchrun
    save_file(model.state_dict(), folder / f"result{process}.safetensors")
    (folder / f"history{process}.json").write_text(result.history.to_json(double_precision=15))


def watch(folder: Path, on_operation) -> None:
    def hook(event, arguments):
        if event in WATCHED and any(str(folder) in str(argument) for argument in arguments):
            on_operation()

    sys.addaudithook(hook)


def train_and_die(folder: Path, operation: int) -> None:
    left = operation

    def count_down():
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(folder, count_down)
    run(folder)


def train_through(folder: Path) -> None:
    operations = []
    watch(folder, lambda: operations.append(1))
    run(folder)
    (folder / "operations.txt").write_text(str(len(operations)))


def in_child(function, *arguments) -> int:
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        run(Path(sys.argv[1]))
        return
    for scenario in sys.argv[2:]:
        folder = Path(sys.argv[1]) / scenario
        folder.mkdir(parents=True)
        for operation in scenario.split(",") if scenario != "-" else []:
            if in_child(train_and_die, folder, int(operation)) != -signal.SIGKILL:
                raise SystemExit(f"{scenario}: not killed at operation {operation}")
        if in_child(train_through, folder) != 0:
            raise SystemExit(f"{scenario}: the last training failed")


if __name__ == "__main__":
    main()
