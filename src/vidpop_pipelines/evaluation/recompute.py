"""The metrics of any family once more, from its predictions table: which functions apply follows from the table.

| kind | told by | metric functions |
|---|---|---|
| `curve` | a target with several steps | `metrics.curve_metrics` |
| `classifier` | a target `metric`, the raw number beside the class | `classification.binary_metrics` |
| `log_counts` | keys `nmse_<target>`: counts as ln(count + 1) | `multi_target.multi_target_metrics` |
| `table` | none of these: counts, other numbers, classes | `regression.table_metrics` |

A family that keeps the contract of predictions and metrics needs no entry anywhere to be recomputed.
"""

import re
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from vidpop_pipelines.errors import InputError

Kind = Literal["curve", "classifier", "log_counts", "table"]

RAW_TARGET = "metric"
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
    from vidpop_pipelines.evaluation.regression import table_metrics

    return table_metrics(predictions)


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
