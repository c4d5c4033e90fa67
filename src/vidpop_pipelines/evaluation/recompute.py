"""The metrics of any family once more, from its predictions table: which functions apply follows from the table.

| kind | told by | metric functions |
|---|---|---|
| `curve` | a target with several steps | `metrics.curve_metrics` |
| `classifier` | a target `metric`, the raw number beside the class | `classification.binary_metrics` |
| `log_counts` | keys `nmse_<target>`: counts as ln(count + 1) | `multi_target.multi_target_metrics` |
| `table` | none of these: counts, other numbers, classes | `regression.*_metrics` |

A family that keeps the contract of predictions and metrics needs no entry anywhere to be recomputed.
"""

import re
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX

Kind = Literal["curve", "classifier", "log_counts", "table"]

RAW_TARGET = "metric"
# The target of a table whose metrics have plain names, in raw units; those of the others begin with the target.
MAIN_TARGET = "views"
RELATIVE_TOLERANCE = 1e-6

_WINDOW = re.compile(r"amae_(\d+)_(\d+)$")


def kind_of(predictions: pd.DataFrame, metrics: Mapping[str, float]) -> Kind:
    """Returns the kind of a family (see the module) from its predictions and the names of its metrics."""
    if predictions.groupby("target")["step"].nunique().gt(1).any():
        return "curve"
    if (predictions["target"] == RAW_TARGET).any():
        return "classifier"
    return "log_counts" if any(name.startswith("nmse_") for name in metrics) else "table"


def recompute_metrics(predictions: pd.DataFrame, metrics: Mapping[str, float]) -> dict[str, float]:
    """Computes the metrics of a family from its predictions table, with the project's own functions.

    Args:
        predictions: The long predictions table.
        metrics: What the family published; only the names are read, for its kind and its windows of days.

    Returns:
        Flat mapping with the names of `metrics.json`.
    """
    kind = kind_of(predictions, metrics)
    if kind == "curve":
        from vidpop_pipelines.evaluation.metrics import curve_metrics

        found = sorted({match.groups() for match in map(_WINDOW.match, metrics) if match})
        return curve_metrics(predictions, [(int(first), int(last)) for first, last in found])
    if kind == "classifier":
        from vidpop_pipelines.evaluation.classification import binary_metrics

        return binary_metrics(predictions, target=class_target(predictions), raw_target=RAW_TARGET)
    if kind == "log_counts":
        from vidpop_pipelines.evaluation.multi_target import multi_target_metrics

        return multi_target_metrics(predictions)
    return _table_metrics(predictions)


def class_target(predictions: pd.DataFrame) -> str:
    """Returns the target of a classifier that holds the class.

    Raises:
        InputError: If there is not exactly one beside the raw metric.
    """
    others = [name for name in predictions["target"].unique() if name != RAW_TARGET]
    if len(others) != 1:
        raise InputError(
            f"The predictions of a classifier have the targets {', '.join(others) or '(none)'} beside"
            f" '{RAW_TARGET}'.",
            "one target with the class",
        )
    return others[0]


def select_target(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Returns the rows of a target, all its classes if it has some, without members that never forecast it."""
    names = predictions["target"]
    rows = predictions[(names == target) | names.str.startswith(f"{target}=")]
    foreign = [name for name in rows if name.startswith(MEMBER_PREFIX) and rows[name].isna().all()]
    return rows.drop(columns=foreign)


def base_targets(predictions: pd.DataFrame) -> list[str]:
    """Returns the targets of a table, classes (`lifecycle_stage=growth` ...) once under their common name."""
    return list(dict.fromkeys(name.partition("=")[0] for name in predictions["target"].unique()))


def is_class(rows: pd.DataFrame) -> bool:
    """Tells whether the rows of one target hold a row per class."""
    return bool(rows["target"].str.contains("=", regex=False).any())


def _table_metrics(predictions: pd.DataFrame) -> dict[str, float]:
    from vidpop_pipelines.evaluation.regression import (
        class_metrics,
        plain_regression_metrics,
        regression_metrics,
    )

    metrics = {}
    for target in base_targets(predictions):
        rows = select_target(predictions, target)
        if target == MAIN_TARGET:
            metrics |= regression_metrics(rows, target=target)
        else:
            score = class_metrics if is_class(rows) else plain_regression_metrics
            metrics |= {f"{target}_{key}": value for key, value in score(rows, target=target).items()}
    return metrics


def check_metrics(family: str, predictions: pd.DataFrame, metrics: Mapping[str, float]) -> None:
    """Checks that published metrics follow from the predictions beside them.

    Args:
        family: Name of the pipeline, for the message.
        predictions: Its predictions table.
        metrics: Its `metrics.json`.

    Raises:
        InputError: Naming every metric that does not follow, with the published and the recomputed value.
    """
    recomputed = recompute_metrics(predictions, metrics)
    problems = []
    for name, published in metrics.items():
        value = recomputed.get(name)
        if value is None:
            problems.append(f"{name}: {published!r} in metrics.json, but it does not follow from predictions")
        elif not abs(value - published) <= RELATIVE_TOLERANCE * max(abs(value), abs(published)):
            problems.append(f"{name}: {published!r} in metrics.json, {value!r} from predictions.parquet")
    if problems:
        shown = problems[:10] + ([f"and {len(problems) - 10} more"] if len(problems) > 10 else [])
        raise InputError(
            f"Metrics of {family} do not follow from its predictions:\n  " + "\n  ".join(shown),
            f"metrics.json and predictions.parquet of one run, equal within {RELATIVE_TOLERANCE:g} (relative)",
            f"run `kedro run --pipeline={family}` again, with the same `output`; do not edit the files by hand.",
        )
