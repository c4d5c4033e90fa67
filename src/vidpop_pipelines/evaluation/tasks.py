"""What families forecast, task by task, in units in which they can be compared.

A task is what is forecast: `popularity` (a curve of scores), `views`, `like_ratio`, `popular` (a class) ... The same
task of two families has the same units here: counts are raw counts, whether a family works in ln(count + 1) or not,
and a curve of popularity scores p_d = log2(views_d / d + 1) takes part in `views` with its last day D:
views = (2^p_D - 1) * D.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.metrics import score_days, spearman_by_column, window_metrics
from vidpop_pipelines.evaluation.predictions import PredictionMatrix, to_matrix
from vidpop_pipelines.evaluation.recompute import RAW_TARGET, Kind, class_target
from vidpop_pipelines.evaluation.regression import MAIN_TARGET, base_targets, is_class, select_target

CURVE_TARGET = "popularity"
VIEWS = MAIN_TARGET
COUNTS = (VIEWS, "likes", "comments")

TaskKind = Literal["curve", "count", "number", "classes", "binary"]

# The error that families are ranked by, and that the paired bootstrap compares: its mean over videos.
MAIN_ERROR = {
    "curve": "amae",
    "count": "log_mae",
    "number": "mae",
    "classes": "error_rate",
    "binary": "error_rate",
}
# Truths of the same video in two families count as the same up to these differences, in the units of `errors`:
# scores are rounded to five digits and stored as float32.
_SAME_TRUTH = {"curve": 1e-3, "count": 0.01, "number": 1e-4, "classes": 0.0, "binary": 0.0}


@dataclass(frozen=True)
class TaskForecast:
    """The forecast of one task on the test videos of one family.

    Attributes:
        kind: What is forecast: a curve, a count, another number, one of several classes, yes or no.
        video_ids: (N,) ids, each once.
        steps: (T,) days of a curve, positions of the classes, else one 0.
        y_true: (N, T) truth, NaN where unknown; of classes 1 for the true one.
        y_pred: (N, T) forecast; of classes the probabilities.
    """

    kind: TaskKind
    video_ids: np.ndarray
    steps: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray

    def take(self, video_ids: np.ndarray) -> "TaskForecast":
        """Returns the forecast of some of its videos, in the given order."""
        rows = pd.Index(self.video_ids).get_indexer(video_ids)
        return replace(self, video_ids=video_ids, y_true=self.y_true[rows], y_pred=self.y_pred[rows])

    def window(self, steps: np.ndarray) -> "TaskForecast":
        """Returns the forecast of some of its steps."""
        inside = np.isin(self.steps, steps)
        return replace(
            self, steps=self.steps[inside], y_true=self.y_true[:, inside], y_pred=self.y_pred[:, inside]
        )

    def errors(self) -> np.ndarray:
        """Returns what the paired bootstrap compares, (N, T) or (N, 1), NaN where the truth is unknown.

        Absolute errors of curves and numbers, |ln(forecast + 1) - ln(truth + 1)| of counts, 0 or 1 of classes.
        """
        return self._distance(self.y_true, self.y_pred)

    def _distance(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        if self.kind == "count":
            return np.abs(np.log1p(y_pred) - np.log1p(y_true))
        if self.kind == "binary":
            return np.where(np.isnan(y_true), np.nan, (y_pred >= 0.5) != (y_true >= 0.5))
        if self.kind == "classes":
            wrong = np.argmax(y_pred, axis=1) != np.argmax(np.nan_to_num(y_true), axis=1)
            return np.where(np.isnan(y_true).all(axis=1), np.nan, wrong)[:, None]
        return np.abs(y_pred - y_true)

    def same_truth(self, other: "TaskForecast") -> np.ndarray:
        """Returns (N,) whether both forecasts, of the same videos and steps, are about the same truth."""
        distance = self._distance(self.y_true, other.y_true)
        unknown = np.isnan(self.y_true) & np.isnan(other.y_true)
        if self.kind == "classes":
            unknown = unknown.all(axis=1, keepdims=True)
        return (unknown | (distance <= _SAME_TRUTH[self.kind])).all(axis=1)

    def scores(self) -> dict[str, float]:
        """Returns the scores of the task's kind, the one of `MAIN_ERROR` among them; undefined ones left out."""
        from vidpop_pipelines.evaluation.classification import classification_scores
        from vidpop_pipelines.evaluation.regression import class_scores, count_scores, value_scores

        known = ~np.isnan(self.y_true).all(axis=1)
        if self.kind == "curve":
            return self._curve_scores()
        if not known.any():
            return {}
        if self.kind == "classes":
            truth = np.argmax(np.nan_to_num(self.y_true[known]), axis=1)
            scores = class_scores(truth, self.y_pred[known])
            return scores | {"error_rate": 1 - scores["accuracy"]}
        y_true, y_pred = self.y_true[known, 0], self.y_pred[known, 0]
        if self.kind == "binary":
            scores = classification_scores(y_true.astype(int), y_pred)
            return scores | {"error_rate": 1 - scores["accuracy"]}
        if self.kind == "count":
            scores = count_scores(y_true, y_pred)
            # Squared errors of ln(count + 1) in parts of the deviations from the mean on the same videos.
            normalised = {"normalised_error": 1 - scores["r2_log"]} if "r2_log" in scores else {}
            return scores | normalised
        return value_scores(y_true, y_pred)

    def _curve_scores(self) -> dict[str, float]:
        first, last = int(self.steps[0]), int(self.steps[-1])
        window = window_metrics(score_days(self.y_true, self.y_pred, self.steps), first, last)
        return {name.split("_")[0]: value for name, value in window.items()}

    def srcc(self, truth: np.ndarray) -> float:
        """Returns Spearman's correlation of the forecast of one number per video with (N,) a truth."""
        return float(spearman_by_column(truth[:, None], self.y_pred)[0])


def forecasts_of(predictions: pd.DataFrame, kind: Kind) -> dict[str, TaskForecast]:
    """Returns the forecasts of a family's test videos by task.

    A video that several folds test is averaged over them.

    Args:
        predictions: The long predictions table.
        kind: Kind of the family, from `recompute.kind_of`.
    """
    if kind == "classifier":
        target = class_target(predictions)
        return {target: _forecast(to_matrix(predictions, split="test", target=target), "binary")}
    tasks = {}
    for target in base_targets(predictions):
        rows = select_target(predictions, target)
        if kind == "curve":
            forecast = _forecast(to_matrix(rows, split="test", target=target), "curve")
            tasks[target] = forecast
            if target == CURVE_TARGET:
                tasks[VIEWS] = last_day_views(forecast)
        elif is_class(rows):
            classes = rows.assign(target=target, step=pd.factorize(rows["target"], sort=True)[0])
            tasks[target] = _forecast(to_matrix(classes, split="test", target=target), "classes")
        elif kind == "log_counts":
            matrix = to_matrix(rows, split="test", target=target)
            tasks[target] = _forecast(matrix, "count", lambda values: np.maximum(np.expm1(values), 0.0))
        else:
            number: TaskKind = "count" if target in COUNTS else "number"
            tasks[target] = _forecast(to_matrix(rows, split="test", target=target), number)
    return tasks


def classifier_ranking(predictions: pd.DataFrame) -> TaskForecast:
    """Returns a classifier's probabilities of all its test videos, labelled or not, beside the raw metric."""
    return _forecast(to_matrix(predictions, split="test", target=RAW_TARGET), "number")


def last_day_views(curve: TaskForecast) -> TaskForecast:
    """Turns the scores of the last day D into views until that day, (2^p - 1) * D; scores below 0 are 0 views."""
    day = int(curve.steps[-1])

    def views(scores: np.ndarray) -> np.ndarray:
        return np.maximum(np.exp2(scores[:, -1:]) - 1, 0.0) * day

    return replace(
        curve, kind="count", steps=np.array([0]), y_true=views(curve.y_true), y_pred=views(curve.y_pred)
    )


def _forecast(
    matrix: PredictionMatrix, kind: TaskKind, convert: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> TaskForecast:
    codes, video_ids = pd.factorize(matrix.video_ids)
    y_true, y_pred = (
        pd.DataFrame(convert(matrix.columns[name].astype(np.float64))).groupby(codes).mean().to_numpy()
        for name in ("y_true", "y_pred")
    )
    return TaskForecast(kind, np.asarray(video_ids, dtype=object), matrix.steps, y_true, y_pred)


def borrow_truth(
    forecasts: dict[str, TaskForecast], unseen: dict[str, TaskForecast]
) -> tuple[dict[str, TaskForecast], dict[str, int]]:
    """Adds forecasts of videos whose truth only other families know.

    Args:
        forecasts: Family to its forecast of one task, all with the same steps.
        unseen: Family to its forecast of further videos, of which it knows no truth.

    Returns:
        The forecasts, longer by the videos that another family has tested, with that one's truth; and how many videos
        each family has gained.
    """
    joined, gained = dict(forecasts), {}
    for name, further in unseen.items():
        own, truth = forecasts[name], np.full(further.y_pred.shape, np.nan)
        for other in (forecast for family, forecast in forecasts.items() if family != name):
            rows = pd.Index(other.video_ids).get_indexer(further.video_ids)
            fill = (rows >= 0) & np.isnan(truth).all(axis=1)
            truth[fill] = other.y_true[rows[fill]]
        known = ~np.isnan(truth).all(axis=1) & ~np.isin(further.video_ids, own.video_ids)
        if known.any():
            gained[name] = int(known.sum())
            joined[name] = replace(
                own,
                video_ids=np.concatenate([own.video_ids, further.video_ids[known]]),
                y_true=np.concatenate([own.y_true, truth[known]]),
                y_pred=np.concatenate([own.y_pred, further.y_pred[known]]),
            )
    return joined, gained


def shared_videos(forecasts: dict[str, TaskForecast], fewest: int) -> tuple[list[str], np.ndarray]:
    """Finds families that share test videos with the same truth, as many families as possible.

    As long as all together share fewer than `fewest` videos, the family whose absence leaves most is left out.

    Args:
        forecasts: Family to its forecast of one task, all with the same steps.
        fewest: Smallest number of videos that a comparison is worth making on.

    Returns:
        The families, in their order, and the ids that they share, in the order of the first; none of either where
        no two families share enough.
    """
    families = list(forecasts)
    while len(families) > 1:
        shared = _agreed(forecasts, families)
        if len(shared) >= fewest:
            return families, shared
        without = [[name for name in families if name != absent] for absent in families]
        # Of equally good ones the last family is left out: the order of the registry decides.
        families = max(reversed(without), key=lambda rest: len(_agreed(forecasts, rest)))
    return [], np.array([], dtype=object)


def _agreed(forecasts: dict[str, TaskForecast], families: list[str]) -> np.ndarray:
    """Returns the videos of which all families have a known and the same truth."""
    first = forecasts[families[0]]
    shared = first.video_ids[~np.isnan(first.y_true).all(axis=1)]
    for name in families[1:]:
        shared = shared[np.isin(shared, forecasts[name].video_ids)]
        if len(shared):
            shared = shared[first.take(shared).same_truth(forecasts[name].take(shared))]
    return shared
