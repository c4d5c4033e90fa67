"""What a training leaves on disk: the state to resume from, and the weights of its epochs.

Everything here survives a kill at any moment: files and folders appear under their final name only when
they are complete, and something is deleted only when its successor is complete.
"""

import os
import shutil
from pathlib import Path

from torch import nn


class ResumeFolder:
    """The Trainer's checkpoints of one training; only the latest is kept.

    Args:
        folder: Where they are. Its content is deleted if it belongs to another training.
        fingerprint: Identifies the training: data, split, parameters, code.
    """

    def __init__(self, folder: Path, fingerprint: str):
        self.folder = folder
        owner = folder / "fingerprint.txt"
        if owner.is_file() and owner.read_text() == fingerprint:
            return
        # First the name, so that a kill in the middle leaves a folder that belongs to no training.
        owner.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(owner, lambda path: path.write_text(fingerprint))

    def latest_checkpoint(self) -> Path | None:
        """Returns the newest complete checkpoint."""
        complete = [path.parent for path in self.folder.glob("checkpoint-*/complete")]
        return max(complete, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)

    def keep_only(self, checkpoint: Path) -> None:
        """Marks a checkpoint as complete, then deletes all others."""
        (checkpoint / "complete").touch()
        for other in self.folder.glob("checkpoint-*"):
            if other != checkpoint:
                shutil.rmtree(other)


class EpochWeights:
    """Files `epoch_<NN>.safetensors` in a folder; of an adapter model only the adapter.

    Args:
        folder: Where they are.
        keep_all: Whether to keep those of every epoch rather than of the best and the last.
    """

    def __init__(self, folder: Path, keep_all: bool):
        self.folder = folder
        self._keep_all = keep_all

    def clear(self) -> None:
        """Deletes all files, which belong to an earlier training."""
        self._delete_except(set())

    def add(self, epoch: int, checkpoint: Path) -> None:
        """Copies the weights out of a checkpoint."""
        (source,) = checkpoint.glob("*model.safetensors")  # adapter_model.safetensors for an adapter
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self._file(epoch), lambda path: shutil.copyfile(source, path))

    def drop_all_but(self, epochs: set[int]) -> None:
        """Deletes the files of other epochs, unless all are to be kept."""
        if not self._keep_all:
            self._delete_except({self._file(epoch).name for epoch in epochs})

    def load(self, epoch: int, model: nn.Module) -> None:
        """Puts the weights of an epoch into the model."""
        from safetensors.torch import load_file, load_model

        if hasattr(model, "peft_config"):
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(model, load_file(self._file(epoch)))
        else:
            load_model(model, self._file(epoch))

    def _file(self, epoch: int) -> Path:
        return self.folder / f"epoch_{epoch:02d}.safetensors"

    def _delete_except(self, names: set[str]) -> None:
        for path in self.folder.glob("epoch_*.safetensors*"):
            if path.name not in names:
                path.unlink()


def _write(path: Path, write) -> None:
    partial = path.with_name(path.name + ".partial")
    write(partial)
    os.replace(partial, path)
