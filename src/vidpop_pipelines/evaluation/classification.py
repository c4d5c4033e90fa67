"""Metrics of a classifier of two classes, computed from the predictions table.

The table has two targets: the class (``y_true`` 0 or 1, ``y_pred`` the probability of 1), of the labelled videos,
and the raw metric that the class was cut from (the same probability), of all videos. A video counts as predicted 1
where the probability is at least one half.
"""

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.metrics import defined, interval_cells, spearman_by_column
from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX, to_matrix

# As by Guo et al. (ICML 2017) but for fewer bins: test sets here may have a hundred videos.
N_BINS = 10


def classification_scores(y_true: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Score the probabilities of class 1.

    Args:
        y_true: (N,) 0 or 1.
        probability: (N,) between 0 and 1.

    Returns:
        ``accuracy``; ``f1_weighted``, ``precision_weighted``, ``recall_weighted``: means over the classes, weighted
        by their true frequency, 0 for a class that is never predicted; ``roc_auc``, left out where only one class
        is there; ``ece``.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

    predicted = (probability >= 0.5).astype(int)
    precision, recall, f1, _ = precision_recall_fscore_support(
        y_true, predicted, average="weighted", zero_division=0
    )
    scores = {
        "accuracy": accuracy_score(y_true, predicted),
        "f1_weighted": f1,
        "precision_weighted": precision,
        "recall_weighted": recall,
        "ece": expected_calibration_error(y_true, probability),
    }
    if len(np.unique(y_true)) == 2:
        scores["roc_auc"] = roc_auc_score(y_true, probability)
    return {name: float(value) for name, value in scores.items()}


def reliability_table(y_true: np.ndarray, probability: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """Compare probabilities with frequencies, in bins of equal width.

    Args:
        y_true: (N,) 0 or 1.
        probability: (N,) between 0 and 1.
        n_bins: Number of bins; the last one includes 1.

    Returns:
        One row per bin that is not empty: ``n`` videos, mean ``probability``, ``frequency`` of class 1.
    """
    # In float32 0.3 is just above the edge of a bin, in float64 just below: decide as the table stores it.
    bins = np.minimum((np.asarray(probability, np.float64) * n_bins).astype(int), n_bins - 1)
    rows = pd.DataFrame({"bin": bins, "probability": probability, "frequency": y_true}).astype(np.float64)
    table = rows.groupby("bin").agg(
        n=("bin", "size"), probability=("probability", "mean"), frequency=("frequency", "mean")
    )
    return table.reset_index(drop=True)


def expected_calibration_error(y_true: np.ndarray, probability: np.ndarray, n_bins: int = N_BINS) -> float:
    """Return the mean distance of probability and frequency over the bins, weighted by their videos."""
    table = reliability_table(y_true, probability, n_bins)
    distance = (table["probability"] - table["frequency"]).abs()
    return float(np.average(distance, weights=table["n"]))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's correlation; NaN where one of the two is constant or there are fewer than two values."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def binary_metrics(
    predictions: pd.DataFrame, *, target: str, raw_target: str, split: str = "test"
) -> dict[str, float]:
    """Compute all metrics of a classifier, as they go into ``metrics.json``.

    Args:
        predictions: The long predictions table.
        target: The class.
        raw_target: The raw metric.
        split: Split to score.

    Returns:
        Flat mapping: the scores of `classification_scores` on labelled videos; ``srcc`` and ``plcc``, Spearman's
        and Pearson's correlation of the probability with the raw metric over all videos; ``coverage``, the share
        of labels (as numbers, 0 or 1) inside their interval, and ``interval_width``, its mean; each score also as
        ``<score>.<member>``. Undefined values are left out.

    Raises:
        InputError: If the table lacks a target in the split.
    """
    labelled = to_matrix(predictions, split=split, target=target)
    everything = to_matrix(predictions, split=split, target=raw_target)
    metrics: dict[str, float] = {}
    for column in ["y_pred", *(f"{MEMBER_PREFIX}{name}" for name in labelled.members())]:
        scores = classification_scores(labelled.columns["y_true"][:, 0], labelled.columns[column][:, 0])
        raw, probability = everything.columns["y_true"], everything.columns[column]
        scores["srcc"] = float(spearman_by_column(raw, probability)[0])
        scores["plcc"] = pearson(raw[:, 0], probability[:, 0])
        suffix = "" if column == "y_pred" else f".{column.removeprefix(MEMBER_PREFIX)}"
        metrics |= {f"{name}{suffix}": value for name, value in scores.items()}
    inside, known, width = interval_cells(labelled)
    if known.any():
        metrics |= {"coverage": float(inside[known].mean()), "interval_width": float(np.nanmean(width))}
    return defined(metrics)
