"""Metrics of forecasts of several numbers per video, computed from the predictions table: NMSE and Score.

NMSE = sum of squared errors / sum of squared deviations of the truth from its mean on the same rows, over the
whole set at once (1 is as good as that mean, 0 perfect). Score is the mean of NMSE over the targets.
"""

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.metrics import defined
from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX


def nmse(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Compute the normalised mean squared error of each target.

    Args:
        y_true: (N, T) truth.
        y_pred: (N, T) forecast.

    Returns:
        (T,) errors; NaN where all true values are equal, or a forecast is missing.
    """
    y_true, y_pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    error = np.square(y_pred - y_true).sum(axis=0)
    spread = np.square(y_true - y_true.mean(axis=0)).sum(axis=0)
    return np.divide(error, spread, out=np.full(len(spread), np.nan), where=spread > 0)


def score_forecasts(predictions: pd.DataFrame) -> pd.DataFrame:
    """Score all forecast columns of a predictions table, whatever its splits and folds.

    Args:
        predictions: The long table, several targets with one step each; only the wanted rows.

    Returns:
        Index: `forecast` and the members; columns: `nmse_<target>` in the order of the table, and `score`.
    """
    columns = [name for name in predictions if name == "y_pred" or name.startswith(MEMBER_PREFIX)]
    scores = {}
    for target, rows in predictions.groupby("target", sort=False):
        truth = np.tile(rows[["y_true"]].to_numpy(), len(columns))
        scores[f"nmse_{target}"] = nmse(truth, rows[columns].to_numpy())
    names = [name.removeprefix(MEMBER_PREFIX).replace("y_pred", "forecast") for name in columns]
    table = pd.DataFrame(scores, index=pd.Index(names, name="forecast"))
    return table.assign(score=table.mean(axis=1, skipna=False))


def multi_target_metrics(predictions: pd.DataFrame) -> dict[str, float]:
    """Compute all metrics, as they go into ``metrics.json``.

    Args:
        predictions: The long table; the hold-out is `test`, out-of-fold forecasts are `val`.

    Returns:
        Flat mapping: `nmse_<target>` and `score` on test rows, `oof_score` on out-of-fold rows, each also as
        `<key>.<member>`; `coverage` and `interval_width` on test rows. Undefined values are left out.
    """
    metrics = {}
    for split, rename in (("test", lambda key: key), ("val", lambda key: f"oof_{key}")):
        table = score_forecasts(predictions[predictions["split"] == split])
        for name, row in table.iterrows():
            keys = row.index if split == "test" else ["score"]
            suffix = "" if name == "forecast" else f".{name}"
            metrics |= {f"{rename(key)}{suffix}": row[key] for key in keys}
    test = predictions[predictions["split"] == "test"]
    inside = test["y_true"].between(test["lower"], test["upper"])
    known = test["lower"].notna() & test["y_true"].notna()
    if known.any():
        metrics["coverage"] = inside[known].mean()
        width = test["upper"].astype(np.float64) - test["lower"]
        metrics["interval_width"] = width[known].mean()
    return defined(metrics)
