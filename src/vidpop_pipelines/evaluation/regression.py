"""Metrics of forecasts of one number, or one class, per video, computed from the predictions table.

Three kinds of target:

- a count in raw, non-negative units such as views (`regression_metrics`), scored in these units and as
  ln(value + 1), since views span many orders of magnitude;
- any other number such as a ratio, days or a rate (`plain_regression_metrics`);
- a class with one row, one probability, per class (`class_metrics`).

Which videos count depends on the truth alone, never on the forecast, as in `evaluation.metrics`: videos without
truth are left out, and a forecast that is missing on a video with truth has no metrics at all. Undefined values
are left out too, since JSON has no NaN.
"""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.metrics import defined, interval_cells, spearman_by_column
from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX, PredictionMatrix, to_matrix

logger = logging.getLogger(__name__)

FORECAST = "forecast"
UNKNOWN_GROUP = "unknown"
# The target of a table whose metrics have plain names, in raw units; those of the others begin with the target.
MAIN_TARGET = "views"


def value_scores(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, float]:
    """Score a forecast of one number per video.

    Args:
        y_true: (N,) truth, NaN where missing: these videos are left out.
        y_pred: (N,) forecast.

    Returns:
        ``rmse``, ``mae``, ``r2`` and ``srcc`` (Spearman), without the undefined: R2 needs two different true
        values, the rank correlation two different forecasts as well.
    """
    y_true, y_pred = _known(y_true, y_pred)
    rmse, mae, r2 = _errors(y_true, y_pred)
    srcc = spearman_by_column(y_true[:, None], y_pred[:, None])[0]
    return defined({"rmse": rmse, "mae": mae, "r2": r2, "srcc": srcc})


def count_scores(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, float]:
    """Score a forecast of one count, such as views, per video.

    Args:
        y_true: (N,) true counts, NaN where missing: these videos are left out.
        y_pred: (N,) forecast in the same units.

    Returns:
        The scores of `value_scores`; ``log_rmse``, ``log_mae`` and ``r2_log`` of ln(count + 1); ``mape`` and
        ``median_ape``, mean and median of |forecast - truth| / truth as fractions, over videos whose truth is not
        zero. The logarithmic ones are undefined, and left out, where a forecast is below zero.

    Raises:
        ValueError: If a true count is negative.
    """
    scores = value_scores(y_true, y_pred)
    y_true, y_pred = _known(y_true, y_pred)
    if (y_true < 0).any():
        raise ValueError("a true count is negative; score such a target with plain_regression_metrics")
    if not (y_pred < 0).any():
        log_rmse, log_mae, r2_log = _errors(np.log1p(y_true), np.log1p(y_pred))
        scores |= defined({"log_rmse": log_rmse, "log_mae": log_mae, "r2_log": r2_log})
    seen = y_true > 0
    if seen.any():
        share = np.abs(y_pred[seen] - y_true[seen]) / y_true[seen]
        scores |= defined({"mape": share.mean(), "median_ape": np.median(share)})
    return scores


def class_scores(y_true: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Score the predicted probabilities of classes.

    Args:
        y_true: (N,) index of the true class, -1 where unknown: these videos are left out.
        probability: (N, C) probability of each class, C at least 2; each row adds up to 1.

    Returns:
        ``accuracy`` and ``f1_weighted`` of the most probable class, and ``log_loss``, natural logarithm; empty
        where no truth is known or the forecast is missing.

    Raises:
        ValueError: If the probabilities of a video do not add up to 1.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    known = y_true >= 0
    y_true, probability = y_true[known], probability[known].astype(np.float64)
    if not known.any() or np.isnan(probability).any():
        return {}
    total = probability.sum(axis=1, keepdims=True)
    if not np.allclose(total, 1.0, atol=1e-3) or (probability < 0).any():
        raise ValueError("the class probabilities of a video must not be negative and must add up to 1")
    y_pred = probability.argmax(axis=1)
    labels = np.arange(probability.shape[1])
    return {
        "accuracy": float(accuracy_score(y_true, y_pred)),
        "f1_weighted": float(f1_score(y_true, y_pred, average="weighted", zero_division=0)),
        # float32 probabilities add up to 1 only nearly.
        "log_loss": float(log_loss(y_true, probability / total, labels=labels)),
    }


def regression_metrics(predictions: pd.DataFrame, *, target: str, split: str = "test") -> dict[str, float]:
    """Compute all metrics of a forecast of counts, as they go into ``metrics.json``.

    Args:
        predictions: The long predictions table; the target in raw units, one step.
        target: The target to score, e.g. ``views``.
        split: Split to score.

    Returns:
        Flat mapping: the scores of `count_scores`; ``coverage``, the share of true values inside their interval;
        ``interval_width``, its mean in units of the target, and ``log_interval_width``, its mean as
        ln(upper + 1) - ln(lower + 1), both over the rows that have an interval; and ``<score>.<member>`` of each
        column ``y_pred_<member>``.

    Raises:
        InputError: If the table has no such target and split.
        ValueError: If a true value is negative, or the target has several steps.
    """
    matrix = _one_step(predictions, target, split)
    metrics = _forecast_scores(matrix, "y_pred", count_scores) | _interval_scores(matrix)
    lower, upper = matrix.columns["lower"], matrix.columns["upper"]
    has_interval = ~np.isnan(lower)
    if has_interval.any() and (lower[has_interval] >= 0).all():
        metrics["log_interval_width"] = float(np.nanmean(np.log1p(upper) - np.log1p(lower)))
    return metrics | _member_scores(matrix, count_scores)


def plain_regression_metrics(
    predictions: pd.DataFrame, *, target: str, split: str = "test"
) -> dict[str, float]:
    """Compute the metrics of a forecast of any number: no logarithms, no percentages.

    Args:
        predictions: The long predictions table; the target has one step.
        target: The target to score, e.g. ``like_ratio``.
        split: Split to score.

    Returns:
        Flat mapping: the scores of `value_scores`, ``coverage`` and ``interval_width`` as in
        `regression_metrics`, and ``<score>.<member>`` of each column ``y_pred_<member>``.

    Raises:
        InputError: If the table has no such target and split.
        ValueError: If the target has several steps.
    """
    matrix = _one_step(predictions, target, split)
    metrics = _forecast_scores(matrix, "y_pred", value_scores) | _interval_scores(matrix)
    return metrics | _member_scores(matrix, value_scores)


def class_metrics(
    predictions: pd.DataFrame, *, target: str = "lifecycle_stage", split: str = "test"
) -> dict[str, float]:
    """Compute the metrics of a forecast of classes, one row ``<target>=<class>`` per class.

    Args:
        predictions: The long predictions table; ``y_true`` is 1 for the true class, 0 for the others and NaN
            where the class is unknown; ``y_pred`` is the probability of the class.
        target: Name of the target, without the class.
        split: Split to score.

    Returns:
        Flat mapping: the scores of `class_scores`, and ``<score>.<member>`` of each column ``y_pred_<member>``.

    Raises:
        InputError: If the table has no such target and split, or a video with known class has not exactly one.
        ValueError: If the probabilities of a video do not add up to 1.
    """
    prefix = f"{target}="
    rows = predictions[predictions["target"].str.startswith(prefix)]
    # Classes take the place of steps, so that each becomes a column of the wide arrays.
    class_index = pd.factorize(rows["target"], sort=True)[0]
    matrix = to_matrix(rows.assign(target=target, step=class_index), split=split, target=target)
    one_hot = matrix.columns["y_true"]
    known = ~np.isnan(one_hot).all(axis=1)
    wrong = known & ((np.sort(one_hot, axis=1)[:, :-1] != 0).any(axis=1) | (one_hot.max(axis=1) != 1))
    if wrong.any():
        raise InputError(
            f"The predictions table does not name the true class of video {matrix.video_ids[wrong][0]} "
            f"({wrong.sum()} such videos).",
            expected=f"y_true 1 in one of the rows {prefix}<class> of a video and 0 in all others",
            remedy="Run the pipeline that writes this file again.",
        )
    y_true = np.where(known, np.argmax(one_hot == 1, axis=1), -1)

    def score(column: str) -> dict[str, float]:
        return class_scores(y_true, matrix.columns[column])

    metrics = score("y_pred")
    for member in matrix.members():
        metrics |= {f"{key}.{member}": value for key, value in score(f"{MEMBER_PREFIX}{member}").items()}
    return metrics


def metrics_by_group(
    predictions: pd.DataFrame, groups: pd.Series, *, target: str, split: str = "test"
) -> pd.DataFrame:
    """Score a forecast of counts and its members in groups of videos, e.g. by age when views were read.

    Args:
        predictions: The long predictions table; the target in raw units, one step.
        groups: Group of each video, indexed by video id. Groups are listed in the order of their categories
            (`pandas.cut` makes them) or else sorted; videos without a group are the group ``unknown``.
        target: The target to score.
        split: Split to score.

    Returns:
        One row per group and forecast: ``group``, ``forecast`` (``forecast`` or the name of the member),
        ``count`` (videos with truth), ``log_rmse``, ``log_mae``, ``median_ape`` and ``coverage``, NaN where
        undefined (coverage of members always). Groups without any video are left out.

    Raises:
        InputError: If the table has no such target and split.
        ValueError: If a video is not in the index of ``groups``, or one is there twice.
    """
    matrix = _one_step(predictions, target, split)
    absent = ~pd.Index(matrix.video_ids).isin(groups.index)
    if not groups.index.is_unique:
        raise ValueError("groups has a video twice in its index")
    if absent.any():
        raise ValueError(f"{absent.sum()} videos have no entry in groups, e.g. {matrix.video_ids[absent][0]}")
    codes, names = pd.factorize(groups.loc[matrix.video_ids], sort=True)
    y_true = matrix.columns["y_true"][:, 0]
    inside, has_both, _ = (cells[:, 0] for cells in interval_cells(matrix))
    forecasts = {FORECAST: matrix.columns["y_pred"]} | matrix.members()
    table = []
    # Code -1, no group, comes last.
    for code, name in [*enumerate(names.astype(str)), (-1, UNKNOWN_GROUP)]:
        members = codes == code
        if not members.any():
            continue
        for forecast, values in forecasts.items():
            scores = count_scores(y_true[members], values[members, 0])
            row = {"group": name, "forecast": forecast, "count": int((~np.isnan(y_true[members])).sum())}
            row |= {key: scores.get(key, np.nan) for key in ("log_rmse", "log_mae", "median_ape")}
            covered = inside[members & has_both] if forecast == FORECAST else np.array([])
            table.append(row | {"coverage": covered.mean() if len(covered) else np.nan})
    return pd.DataFrame(table)


def scores_by_forecast(metrics: dict[str, float]) -> pd.DataFrame:
    """Lay the metrics of a forecast and of its members out as a table.

    Args:
        metrics: Flat mapping with keys ``<score>`` and ``<score>.<member>``.

    Returns:
        One row per forecast: ``forecast`` (``forecast``, then the members) and a column per score, NaN where a
        forecast does not have it.
    """
    scores: dict[str, dict[str, float]] = {FORECAST: {}}
    for key, value in metrics.items():
        score, _, member = key.partition(".")
        scores.setdefault(member or FORECAST, {})[score] = value
    return pd.DataFrame.from_dict(scores, orient="index").rename_axis("forecast").reset_index()


def _known(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y_true, y_pred = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    known = ~np.isnan(y_true)
    return y_true[known], y_pred[known]


def _errors(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, float, float]:
    """Return RMSE, MAE and R2; NaN where undefined."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    if not len(y_true) or np.isnan(y_pred).any():
        return np.nan, np.nan, np.nan
    r2 = r2_score(y_true, y_pred) if np.ptp(y_true) > 0 else np.nan
    return root_mean_squared_error(y_true, y_pred), mean_absolute_error(y_true, y_pred), r2


def _one_step(predictions: pd.DataFrame, target: str, split: str) -> PredictionMatrix:
    matrix = to_matrix(predictions, split=split, target=target)
    if len(matrix.steps) > 1:
        raise ValueError(f"target {target} has {len(matrix.steps)} steps; score it with curve_metrics")
    return matrix


def _forecast_scores(
    matrix: PredictionMatrix, column: str, scores: Callable[[np.ndarray, np.ndarray], dict[str, float]]
) -> dict[str, float]:
    y_true, y_pred = matrix.columns["y_true"][:, 0], matrix.columns[column][:, 0]
    missing = np.isnan(y_pred) & ~np.isnan(y_true)
    if missing.any():
        logger.warning("%s has no forecast for %d videos: left out of the metrics.", column, missing.sum())
        return {}
    return scores(y_true, y_pred)


def _member_scores(
    matrix: PredictionMatrix, scores: Callable[[np.ndarray, np.ndarray], dict[str, float]]
) -> dict[str, float]:
    return {
        f"{key}.{member}": value
        for member in matrix.members()
        for key, value in _forecast_scores(matrix, f"{MEMBER_PREFIX}{member}", scores).items()
    }


def _interval_scores(matrix: PredictionMatrix) -> dict[str, float]:
    inside, has_both, width = interval_cells(matrix)
    metrics = {}
    if has_both.any():
        metrics["coverage"] = float(inside[has_both].mean())
        metrics["interval_width"] = float(np.nanmean(width))
    return metrics


def table_metrics(predictions: pd.DataFrame) -> dict[str, float]:
    """Computes the metrics of all targets of a family that forecasts counts, other numbers and classes.

    Args:
        predictions: The long predictions table.

    Returns:
        Those of `MAIN_TARGET` under their plain names, those of the other targets with the target in front.
    """
    metrics = {}
    for target in base_targets(predictions):
        rows = select_target(predictions, target)
        if target == MAIN_TARGET:
            metrics |= regression_metrics(rows, target=target)
        else:
            score = class_metrics if is_class(rows) else plain_regression_metrics
            metrics |= {f"{target}_{key}": value for key, value in score(rows, target=target).items()}
    return metrics


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
