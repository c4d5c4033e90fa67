"""What a family's last run has left behind, checked, and what it cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.predictions import validate_predictions
from vidpop_pipelines.evaluation.recompute import Kind, check_metrics, kind_of
from vidpop_pipelines.fingerprint import hash_test_set


@dataclass(frozen=True)
class FamilyRun:
    """One family that has been run.

    Attributes:
        name: Name of the pipeline.
        kind: Kind of its forecasts.
        predictions: The test rows of its predictions table.
        metrics: Its `metrics.json`, checked against the predictions.
        unseen: Forecasts, without truth, of videos that it has neither been trained nor tested on: what
            `<name>_predict` has written last.
        costs: See `_costs`.
    """

    name: str
    kind: Kind
    predictions: pd.DataFrame
    metrics: dict[str, float]
    unseen: pd.DataFrame
    costs: dict[str, Any]


def read_run(
    name: str,
    predictions: pd.DataFrame | None,
    metrics: dict[str, float] | None,
    data_report: dict[str, Any] | None,
    run: dict[str, Any] | None,
    splits: pd.DataFrame | None = None,
    forecast: pd.DataFrame | None = None,
    forecast_data_report: dict[str, Any] | None = None,
    forecast_run: dict[str, Any] | None = None,
) -> FamilyRun | None:
    """Checks what a family's run has left behind.

    Args:
        name: Name of the pipeline.
        predictions: Its predictions table; None if the family has not been run.
        metrics: Its metrics.
        data_report: Its data report.
        run: Its `run.json`; None if it was killed, or comes from elsewhere.
        splits: The videos that it was trained and tested on.
        forecast: The forecast of `<name>_predict`, if that has been run.
        forecast_data_report: The data report of `<name>_predict`, if that has been run.
        forecast_run: The `run.json` of `<name>_predict`.

    Returns:
        The run, or None if there is none.

    Raises:
        InputError: If the predictions break the contract, there are no metrics beside them, or a metric does not
            follow from them.
    """
    if predictions is None:
        return None
    validate_predictions(predictions, f"predictions.parquet of {name}")
    if metrics is None:
        raise InputError(
            f"{name}: there are predictions but no metrics.json.",
            "both, of one run",
            f"run `kedro run --pipeline={name}` again, with the same `output`.",
        )
    check_metrics(name, predictions, metrics)
    test = predictions[predictions["split"] == "test"].reset_index(drop=True)
    costs = _costs(test, data_report or {}, run or {}, forecast_data_report or {}, forecast_run or {})
    costs["test_fingerprint"] = hash_test_set(predictions)
    return FamilyRun(name, kind_of(predictions, metrics), test, metrics, _unseen(forecast, splits), costs)


def _unseen(forecast: pd.DataFrame | None, splits: pd.DataFrame | None) -> pd.DataFrame:
    """Returns the forecasts of videos outside of the split; none where it is not known what that was."""
    if forecast is None or splits is None:
        return pd.DataFrame()
    return forecast[~forecast["video_id"].isin(splits["video_id"])].reset_index(drop=True)


def _costs(
    test: pd.DataFrame,
    data_report: dict[str, Any],
    run: dict[str, Any],
    forecast_data_report: dict[str, Any],
    forecast_run: dict[str, Any],
) -> dict[str, Any]:
    """Returns what the run took and was made from; NaN where its files do not say.

    `prediction_seconds_per_1000`: the nodes from model to predictions, over the test videos. An upper bound, since they
    forecast validation videos and baselines too; without preparing the inputs where that is a node of its own
    (encoding, decoding). `forecast_seconds_per_1000`: all nodes of `<name>_predict`, from the raw files, over the
    videos used; what the caches already held costs nothing there.
    """

    def per_thousand(seconds: float | None, n_videos: int | None) -> float:
        return 1000 * seconds / n_videos if seconds is not None and n_videos else np.nan

    def number(value: float | None) -> float:
        return np.nan if value is None else float(value)

    return {
        "protocol": run.get("protocol"),
        "environment": run.get("environment"),
        "training_seconds": number(run.get("training_seconds")),
        "prediction_seconds_per_1000": per_thousand(
            run.get("prediction_seconds"), test["video_id"].nunique()
        ),
        "forecast_seconds_per_1000": per_thousand(
            forecast_run.get("total_seconds"), forecast_data_report.get("rows_used")
        ),
        "model_megabytes": number(run.get("model_bytes")) / 1e6,
        "rows_used": data_report.get("rows_used"),
        "rows_read": data_report.get("rows_read"),
        "data_fingerprint": run.get("data_fingerprint"),
        "inputs": ", ".join(run.get("inputs", {})) or None,
        "git_commit": run.get("git_commit"),
        "mlflow_run_id": run.get("mlflow_run_id"),
    }
