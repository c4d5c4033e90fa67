"""The history of a training, one row per epoch, and what follows from it: the best epoch, whether to stop."""

from dataclasses import dataclass

import pandas as pd

VALIDATION = "validation_"


@dataclass(frozen=True)
class Monitor:
    """The metric by which epochs are judged.

    Args:
        metric: A column of the history, for example `validation_amae`.
        greater_is_better: False for errors, true for scores.
        patience: Epochs without improvement after which training stops; None never stops.
    """

    metric: str
    greater_is_better: bool
    patience: int | None

    def best_epoch(self, history: pd.DataFrame) -> int:
        """Returns the first epoch with the best value; 0 while no epoch has a number."""
        values = history[self.metric].dropna() if len(history) else pd.Series(dtype=float)
        if values.empty:
            return 0
        return int(values.idxmax() if self.greater_is_better else values.idxmin())

    def is_exhausted(self, history: pd.DataFrame) -> bool:
        """Returns whether more epochs than `patience` allows have passed since the best one."""
        return self.patience is not None and len(history) - self.best_epoch(history) >= self.patience


def epoch_history(log_history: list[dict[str, float]]) -> pd.DataFrame:
    """Turns the log of the Trainer into one row per evaluated epoch.

    Args:
        log_history: `TrainerState.log_history`.

    Returns:
        Columns `train_loss`, `learning_rate`, `validation_<metric>`; index `epoch`, from 1. The
        Trainer's own validation loss is left out: it averages batches, whatever their size.
    """
    rows: dict[int, dict[str, float]] = {}
    for entry in log_history:
        row = rows.setdefault(round(entry["epoch"]), {})
        if "loss" in entry:
            row |= {"train_loss": entry["loss"], "learning_rate": entry["learning_rate"]}
        row |= {
            name.removeprefix("eval_"): value
            for name, value in entry.items()
            if name.startswith(f"eval_{VALIDATION}")
        }
    evaluated = {
        epoch: row for epoch, row in rows.items() if any(name.startswith(VALIDATION) for name in row)
    }
    return pd.DataFrame.from_dict(evaluated, orient="index").rename_axis("epoch")
