"""Predictions with known errors, as the families write them, without any training."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.metrics import curve_metrics
from vidpop_pipelines.evaluation.predictions import build_predictions
from vidpop_pipelines.evaluation.recompute import recompute_metrics

IDS = np.array([f"v{number:03d}" for number in range(60)], dtype=object)
LOG_VIEWS = np.random.default_rng(0).normal(9.0, 2.0, len(IDS))


def noise(seed: int, size: float) -> np.ndarray:
    """Returns errors of a known mean absolute size, one per video."""
    values = np.random.default_rng(seed).normal(size=len(IDS))
    return size * values / np.abs(values).mean()


def views_table(
    error: np.ndarray, *, ids: np.ndarray = IDS, rows: slice = slice(None), units: str = "views"
) -> pd.DataFrame:
    """Returns predictions of views whose errors in ln(views + 1) are given; units `views` or `log1p`."""
    log_true = LOG_VIEWS[rows]
    log_pred = log_true + error[rows]
    values = [np.expm1(log_true), np.expm1(log_pred)] if units == "views" else [log_true, log_pred]
    y_true, y_pred = (column[:, None] for column in values)
    common = {"target": "views", "steps": [0], "y_true": y_true, "dtype": np.float64}
    parts = [
        build_predictions(ids[rows], y_pred, split="test", fold=-1, **common),
        build_predictions([f"old {name}" for name in ids[rows]], y_pred, split="val", fold=0, **common),
    ]
    return pd.concat(parts, ignore_index=True)


def curve_table(error: np.ndarray, *, first_day: int = 1, n_days: int = 4) -> pd.DataFrame:
    """Returns predictions of popularity scores, whose last day is the views of `views_table`."""
    days = np.arange(first_day, n_days + 1)
    shift = (days - n_days) * 0.1
    truth = np.log2(np.expm1(LOG_VIEWS) / n_days + 1)[:, None] + shift
    forecast = np.log2(np.expm1(LOG_VIEWS + error) / n_days + 1)[:, None] + shift
    return build_predictions(
        IDS, forecast, target="popularity", steps=days, split="test", fold=0, y_true=truth, dtype=np.float64
    )


def classifier_table(seed: int, strength: float) -> pd.DataFrame:
    """Returns predictions of a classifier whose probabilities follow the views more or less closely."""
    rank = strength * (LOG_VIEWS - LOG_VIEWS.mean()) + np.random.default_rng(seed).normal(size=len(IDS))
    probability = (1 / (1 + np.exp(-rank)))[:, None]
    label = (np.median(LOG_VIEWS) < LOG_VIEWS).astype(float)[:, None]
    common = {"steps": [0], "split": "test", "fold": 0, "dtype": np.float64}
    return pd.concat(
        [
            build_predictions(IDS, probability, target="popular", y_true=label, **common),
            build_predictions(IDS, probability, target="metric", y_true=LOG_VIEWS[:, None], **common),
        ],
        ignore_index=True,
    )


def metrics_of(predictions: pd.DataFrame) -> dict[str, float]:
    """Returns the metrics that a family publishes with such predictions."""
    if (predictions["target"] == "popularity").all():
        days = sorted(int(day) for day in predictions["step"].unique())
        return curve_metrics(predictions, [(days[0], days[-1]), (2, days[-1])])
    is_logarithm = (predictions["target"] == "views").all() and predictions["y_true"].max() < 50
    return recompute_metrics(predictions, {"nmse_views": 0.0} if is_logarithm else {})


def write_run(output: Path, family: str, predictions: pd.DataFrame, **run) -> Path:
    """Writes predictions, metrics, data report and `run.json` of a family; returns its reporting folder."""
    reporting, outputs = output / "08_reporting" / family, output / "07_model_output" / family
    for folder in (reporting, outputs):
        folder.mkdir(parents=True)
    predictions.to_parquet(outputs / "predictions.parquet")
    files = {
        "metrics": metrics_of(predictions),
        "data_report": {"rows_read": 100, "rows_used": 90, "left_out": [], "missing": []},
        "run": {"pipeline": family, "protocol": "honest", "training_seconds": 12.5} | run,
    }
    for name, content in files.items():
        (reporting / f"{name}.json").write_text(json.dumps(content))
    return reporting
