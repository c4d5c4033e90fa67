"""Metrics of multi-day forecasts, computed from the predictions table.

MAE and SRC (Spearman's rank correlation, ties get their average rank) per day; AMAE and ASRC are their means
over the days of a window (SMTPD, arXiv 2503.04446, section 5). Missing days are masked.

Which days count depends on the truth alone, never on the forecast, so that all forecasts in a report are
compared on the same numbers:

- A day counts for AMAE when at least one of its values is known, for ASRC when at least two different values
  are known. Other days are left out of the mean.
- A forecast that fails on a day that counts has no AMAE (it is missing where the truth is known) or no ASRC
  (it is also undefined where the forecast is the same for all videos): the key is left out, not filled in.
"""

import logging
from collections.abc import Iterable

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX, PredictionMatrix, to_matrix

logger = logging.getLogger(__name__)


def score_days(y_true: np.ndarray, y_pred: np.ndarray, days: Iterable[int]) -> pd.DataFrame:
    """Score a forecast day by day.

    Args:
        y_true: (N, T) truth, NaN where missing.
        y_pred: (N, T) forecast.
        days: (T,) the day of each column.

    Returns:
        One row per day: ``day``, ``n_known`` (known values), ``rankable`` (at least two different ones),
        ``mae`` and ``src``, NaN where undefined.
    """
    y_true, y_pred = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    known = ~np.isnan(y_true)
    n_known = known.sum(axis=0)
    # A forecast that is missing on a known value makes the day's error NaN; it is not skipped.
    error = np.where(known, np.abs(y_pred - y_true), 0.0).sum(axis=0)
    return pd.DataFrame(
        {
            "day": np.asarray(list(days), dtype=np.int64),
            "n_known": n_known,
            "rankable": np.where(known, y_true, np.inf).min(axis=0)
            < np.where(known, y_true, -np.inf).max(axis=0),
            "mae": np.divide(error, n_known, out=np.full(len(n_known), np.nan), where=n_known > 0),
            "src": spearman_by_column(y_true, np.where(known, y_pred, np.nan)),
        }
    )


def spearman_by_column(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each column; NaN where undefined or where y lacks a value of x."""
    x_ranks = pd.DataFrame(x).rank().to_numpy()
    y_ranks = pd.DataFrame(y).rank().to_numpy()
    n = (~np.isnan(x_ranks)).sum(axis=0)
    comparable = n == (~np.isnan(y_ranks)).sum(axis=0)
    # Average ranks always have the mean (n + 1) / 2; ranks are multiples of 1/2, so a constant column
    # gives exactly zero below.
    x_centred = np.nan_to_num(x_ranks - (n + 1) / 2)
    y_centred = np.nan_to_num(y_ranks - (n + 1) / 2)
    scale = np.sqrt((x_centred**2).sum(axis=0) * (y_centred**2).sum(axis=0))
    defined = comparable & (scale > 0)
    covariance = (x_centred * y_centred).sum(axis=0)
    return np.clip(np.divide(covariance, scale, out=np.full(len(n), np.nan), where=defined), -1.0, 1.0)


def day_metrics(predictions: pd.DataFrame, *, forecast: str = "y_pred", split: str = "test") -> pd.DataFrame:
    """Score one forecast column of the predictions table day by day.

    Args:
        predictions: The long predictions table of one target.
        forecast: Column to score: ``y_pred`` or ``y_pred_<member>``.
        split: Split to score.

    Returns:
        The table of `score_days`.
    """
    matrix = to_matrix(predictions, columns=["y_true", forecast], split=split)
    return score_days(matrix.columns["y_true"], matrix.columns[forecast], matrix.steps)


def window_metrics(days: pd.DataFrame, first_day: int, last_day: int) -> dict[str, float]:
    """Average MAE and SRC over a window of days.

    Args:
        days: Table of `score_days`.
        first_day: First day of the window.
        last_day: Last day of the window, included.

    Returns:
        ``amae_<first>_<last>`` and ``asrc_<first>_<last>``, each only where it is defined (see the module).

    Raises:
        InputError: If the window names a day that was not forecast: its mean over fewer days would
            carry the wrong name.
    """
    absent = sorted(set(range(first_day, last_day + 1)) - set(days["day"]))
    if absent or first_day > last_day:
        raise InputError(
            f"The evaluation window {first_day} to {last_day} does not fit the forecast"
            + (f": day {absent[0]} is not forecast." if absent else "."),
            expected=f"days between {days['day'].min()} and {days['day'].max()}, first day before last day",
            remedy="Change the window (eval_from, eval_to); with early popularity forecasts start at day 2.",
        )
    window = days[days["day"].between(first_day, last_day)]
    averages = {
        "amae": window.loc[window["n_known"] > 0, "mae"].mean(skipna=False),
        "asrc": window.loc[window["rankable"], "src"].mean(skipna=False),
    }
    return defined({f"{name}_{first_day}_{last_day}": value for name, value in averages.items()})


def interval_by_day(predictions: pd.DataFrame, *, split: str = "test") -> pd.DataFrame:
    """Measure the prediction intervals day by day.

    Args:
        predictions: The long predictions table of one target.
        split: Split to measure.

    Returns:
        One row per day: ``day``, ``n_known`` (known values that have an interval), ``coverage`` (the share of
        these inside their interval) and ``width`` (mean of upper minus lower over all intervals), NaN where
        undefined.
    """
    matrix = to_matrix(predictions, columns=["y_true", "lower", "upper"], split=split)
    inside, known, width = interval_cells(matrix)
    n_known = known.sum(axis=0)
    has_interval = ~np.isnan(width)
    n_intervals = has_interval.sum(axis=0)
    undefined = np.full(len(matrix.steps), np.nan)
    return pd.DataFrame(
        {
            "day": matrix.steps.astype(np.int64),
            "n_known": n_known,
            "coverage": np.divide(inside.sum(axis=0), n_known, out=undefined.copy(), where=n_known > 0),
            "width": np.divide(
                np.nansum(width, axis=0), n_intervals, out=undefined.copy(), where=n_intervals > 0
            ),
        }
    )


def interval_cells(matrix: PredictionMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per cell: truth inside the interval, truth and interval both there, width of the interval."""
    y_true, lower, upper = (matrix.columns[name] for name in ("y_true", "lower", "upper"))
    inside = (lower <= y_true) & (y_true <= upper)
    width = upper.astype(np.float64) - lower
    return inside, ~np.isnan(y_true) & ~np.isnan(width), width


def curve_metrics(
    predictions: pd.DataFrame, windows: Iterable[tuple[int, int]], *, split: str = "test"
) -> dict[str, float]:
    """Compute all metrics of a multi-day forecast, as they go into ``metrics.json``.

    Args:
        predictions: The long predictions table of one target.
        windows: (first day, last day) of each window.
        split: Split to score.

    Returns:
        Flat mapping: ``amae_<from>_<to>``, ``asrc_<from>_<to>``, ``mae_day_<d>``, ``src_day_<d>``,
        ``coverage`` and ``interval_width`` of the forecast, and ``<key>.<member>`` of each column
        ``y_pred_<member>``. All are taken over the pooled rows of the split. Undefined values are left out,
        since JSON has no NaN.

    Raises:
        InputError: If the table has no such split or a window does not fit the forecast days.
    """
    windows = list(windows)
    matrix = to_matrix(predictions, split=split)
    metrics = _forecast_metrics(matrix, "y_pred", windows)
    inside, known, width = interval_cells(matrix)
    if known.any():
        metrics["coverage"] = float(inside[known].mean())
        metrics["interval_width"] = float(np.nanmean(width))
    for member in matrix.members():
        scores = _forecast_metrics(matrix, f"{MEMBER_PREFIX}{member}", windows)
        metrics |= {f"{key}.{member}": value for key, value in scores.items()}
    return metrics


def _forecast_metrics(
    matrix: PredictionMatrix, forecast: str, windows: list[tuple[int, int]]
) -> dict[str, float]:
    days = score_days(matrix.columns["y_true"], matrix.columns[forecast], matrix.steps)
    metrics = {}
    for first_day, last_day in windows:
        metrics |= window_metrics(days, first_day, last_day)
    for row in days.itertuples():
        metrics |= defined({f"mae_day_{row.day}": row.mae, f"src_day_{row.day}": row.src})
    undefined = days.loc[days["rankable"] & days["src"].isna(), "day"].tolist()
    if undefined:
        logger.warning(
            "%s has no rank correlation on day %s (constant or missing forecast): left out of the metrics.",
            forecast,
            ", ".join(map(str, undefined)),
        )
    return metrics


def defined(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics that have a value, as plain floats: JSON has no NaN."""
    return {key: float(value) for key, value in metrics.items() if not np.isnan(value)}
