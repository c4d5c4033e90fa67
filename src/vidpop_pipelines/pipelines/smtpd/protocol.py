"""Which days are forecast and evaluated, and which rows have which role in a fold."""

from typing import Literal, Protocol

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.splits import assign_roles
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdInstance, SmtpdParameters


def forecast_days(inputs: SmtpdInputs, instance: SmtpdInstance) -> list[int]:
    """Returns the forecast days: 2..D with early popularity, 1..D without."""
    return list(range(2 if instance.early_popularity else 1, inputs.n_days + 1))


def evaluation_window(days: list[int], parameters: SmtpdParameters) -> tuple[int, int]:
    """Returns first and last day of the window that the best epoch is chosen on.

    Raises:
        InputError: If the window is not within the forecast days.
    """
    first, last = parameters.eval_from or days[0], parameters.eval_to or days[-1]
    if first < days[0] or last > days[-1]:
        raise InputError(
            f"The evaluation window is days {first} to {last}.",
            f"days within {days[0]} to {days[-1]}, which are forecast",
            "change smtpd.eval_from and smtpd.eval_to.",
        )
    return first, last


class SplitRules(Protocol):
    """Parameters or a trained forecaster: whoever says how a fold is split."""

    protocol: Literal["honest", "published"]
    group_by: str | None


def rows_of(splits: pd.DataFrame, fold: int, inputs: SmtpdInputs, rules: SplitRules) -> dict[str, np.ndarray]:
    """Returns the row numbers of each role (train, validation, calibration, test) for a test fold."""
    groups = inputs.videos[rules.group_by] if rules.group_by else None
    roles = assign_roles(splits, fold, rules.protocol, groups)
    return {name: np.flatnonzero(roles[name]) for name in ("train", "validation", "calibration", "test")}
