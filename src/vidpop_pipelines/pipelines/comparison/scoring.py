"""Scores by task: each family on its own test videos, and families side by side on the videos that they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.comparison import paired_bootstrap, paired_bootstrap_srcc
from vidpop_pipelines.evaluation.tasks import (
    MAIN_ERROR,
    VIEWS,
    TaskForecast,
    borrow_truth,
    classifier_ranking,
    forecasts_of,
    shared_videos,
)
from vidpop_pipelines.pipelines.comparison.family_run import FamilyRun
from vidpop_pipelines.pipelines.comparison.parameters import ComparisonParameters

OWN, SHARED = "own test videos", "shared test videos"
# All families by the rank correlation of what they forecast with the views: classifiers have no other score there.
RANKING = "ranking by views"
DIFFERENCE_COLUMNS = [
    "task",
    "score",
    "better",
    "worse",
    "n_videos",
    "difference",
    "lower",
    "upper",
    "probability",
    "told_apart",
]


@dataclass(frozen=True)
class SharedScores:
    """Families side by side.

    Attributes:
        scores: One row per task and family: `view`, `task`, `family`, `n_videos`, `error_name`, `error`, and scores.
        differences: One row per task, score and pair of families, columns `DIFFERENCE_COLUMNS`.
        notes: Who could not be compared, and why.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    notes: list[str]


def task_forecasts(runs: list[FamilyRun]) -> dict[str, dict[str, TaskForecast]]:
    """Returns task to family to forecast, tasks and families in their order."""
    tasks: dict[str, dict[str, TaskForecast]] = {}
    for run in runs:
        for task, forecast in forecasts_of(run.predictions, run.kind).items():
            tasks.setdefault(task, {})[run.name] = forecast
    return tasks


def _with_unseen(runs: list[FamilyRun], notes: list[str]) -> dict[str, dict[str, TaskForecast]]:
    """Returns `task_forecasts` and, where other families know the truth, forecasts of videos beyond the own test."""
    tasks = {task: _common_steps(forecasts) for task, forecasts in task_forecasts(runs).items()}
    unseen: dict[str, dict[str, TaskForecast]] = {}
    for run in runs:
        if not run.unseen.empty and run.kind != "classifier":
            table = run.unseen.assign(y_true=np.nan, split="test")
            for task, forecast in forecasts_of(table, run.kind).items():
                if task in tasks and set(tasks[task][run.name].steps) <= set(forecast.steps):
                    steps = tasks[task][run.name].steps
                    unseen.setdefault(task, {})[run.name] = forecast.window(steps)
    for task, further in unseen.items():
        tasks[task], gained = borrow_truth(tasks[task], further)
        for name, count in gained.items():
            notes.append(
                f"{task}: {name} takes part with {count} videos of its forecast.parquet, too, which it was neither"
                " trained nor tested on; their truth is that of the other families."
            )
    return tasks


def score_own_videos(runs: list[FamilyRun]) -> pd.DataFrame:
    """Scores every family on all of its own test videos; rows as in `SharedScores.scores`."""
    rows = []
    for task, forecasts in task_forecasts(runs).items():
        for family, forecast in _common_steps(forecasts).items():
            rows.append(_row(OWN, task, family, forecast, forecast.scores()))
    for row in rows:
        # Correlations that a classifier has with its own raw metric.
        run = next(run for run in runs if run.name == row["family"])
        if run.kind == "classifier":
            row |= {name: run.metrics[name] for name in ("srcc", "plcc") if name in run.metrics}
    return pd.DataFrame(rows)


def score_shared_videos(runs: list[FamilyRun], parameters: ComparisonParameters) -> SharedScores:
    """Scores families on the test videos that they share, with paired bootstrap intervals of differences."""
    rows, differences, notes = [], [], []
    tasks = _with_unseen(runs, notes)
    for task, forecasts in tasks.items():
        if len(forecasts) > 1:
            chosen = _take_shared(task, forecasts, parameters, notes)
            rows += [_row(SHARED, task, name, one, one.scores()) for name, one in chosen.items()]
            differences += _error_differences(task, chosen, parameters)
            if task == VIEWS:
                differences += _rank_differences(task, _truth(chosen), _values(chosen), parameters)
    classifiers = {run.name: classifier_ranking(run.predictions) for run in runs if run.kind == "classifier"}
    if classifiers and VIEWS in tasks:
        truth, values, ids = _with_classifiers(tasks[VIEWS], classifiers, parameters, notes)
        for name, forecast in values.items():
            rows.append(_ranking_row(name, truth, forecast, len(ids)))
        differences += _rank_differences(RANKING, truth, values, parameters)
    table = pd.DataFrame(differences, columns=DIFFERENCE_COLUMNS)
    return SharedScores(pd.DataFrame(rows), table, notes)


def _row(view: str, task: str, family: str, forecast: TaskForecast, scores: dict[str, float]) -> dict:
    name = MAIN_ERROR[forecast.kind]
    known = int((~np.isnan(forecast.y_true).all(axis=1)).sum())
    row = {"view": view, "task": task, "family": family, "n_videos": known}
    return row | {"error_name": name, "error": scores.get(name, np.nan)} | scores


def _ranking_row(family: str, truth: np.ndarray, forecast: np.ndarray, n_videos: int) -> dict:
    from vidpop_pipelines.evaluation.metrics import spearman_by_column

    srcc = float(spearman_by_column(truth[:, None], forecast[:, None])[0])
    row = {"view": SHARED, "task": RANKING, "family": family, "n_videos": n_videos}
    return row | {"error_name": "1 - srcc", "error": 1 - srcc, "srcc": srcc}


def _common_steps(forecasts: Mapping[str, TaskForecast]) -> dict[str, TaskForecast]:
    """Cuts curves to the days that all families forecast; one without common days keeps its own."""
    steps = None
    for forecast in forecasts.values():
        steps = forecast.steps if steps is None else np.intersect1d(steps, forecast.steps)
    if steps is None or not len(steps):
        return dict(forecasts)
    return {name: forecast.window(steps) for name, forecast in forecasts.items()}


def _take_shared(
    task: str, forecasts: dict[str, TaskForecast], parameters: ComparisonParameters, notes: list[str]
) -> dict[str, TaskForecast]:
    if len({tuple(forecast.steps) for forecast in forecasts.values()}) > 1:
        notes.append(f"{task}: {', '.join(forecasts)} forecast no day in common.")
        return {}
    families, video_ids = shared_videos(forecasts, parameters.fewest_shared_videos)
    absent = [name for name in forecasts if name not in families]
    if absent:
        whom = ", ".join(absent)
        notes.append(
            f"{task}: {whom} could not be compared with {'the others' if families else 'each other'}: fewer than"
            f" {parameters.fewest_shared_videos} test videos in common whose truth is the same."
        )
    return {name: forecasts[name].take(video_ids) for name in families}


def _with_classifiers(
    views: dict[str, TaskForecast],
    classifiers: dict[str, TaskForecast],
    parameters: ComparisonParameters,
    notes: list[str],
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Returns views, forecasts by family and ids of the videos that forecasts of views share with classifiers."""
    families, video_ids = shared_videos(views, parameters.fewest_shared_videos)
    if not families:
        families = list(views)[:1]
        video_ids = views[families[0]].video_ids[~np.isnan(views[families[0]].y_true[:, 0])]
    for name, forecast in classifiers.items():
        both = video_ids[np.isin(video_ids, forecast.video_ids)]
        if len(both) < parameters.fewest_shared_videos:
            notes.append(
                f"{RANKING}: {name} could not be compared with the others: fewer than"
                f" {parameters.fewest_shared_videos} test videos in common."
            )
        else:
            families.append(name)
            video_ids = both
    if not set(families) & set(classifiers):
        return np.array([]), {}, np.array([])
    forecasts = {name: (views | classifiers)[name].take(video_ids) for name in families}
    return _truth(forecasts), _values(forecasts), video_ids


def _truth(forecasts: dict[str, TaskForecast]) -> np.ndarray:
    """Returns (N,) the truth of the first family, which that of the others equals."""
    return next(iter(forecasts.values())).y_true[:, 0] if forecasts else np.array([])


def _values(forecasts: dict[str, TaskForecast]) -> dict[str, np.ndarray]:
    return {name: forecast.y_pred[:, 0] for name, forecast in forecasts.items()}


def _options(parameters: ComparisonParameters) -> dict:
    return parameters.model_dump(include={"seed", "n_resamples", "confidence"})


def _error_differences(
    task: str, forecasts: dict[str, TaskForecast], parameters: ComparisonParameters
) -> list[dict]:
    errors = {name: forecast.errors() for name, forecast in forecasts.items()}
    rows = []
    for a, b in combinations(errors, 2):
        result = paired_bootstrap(errors[a], errors[b], **_options(parameters))
        score = MAIN_ERROR[forecasts[a].kind]
        rows.append(_difference(task, score, a, b, len(forecasts[a].video_ids), result))
    return rows


def _rank_differences(
    task: str, truth: np.ndarray, values: dict[str, np.ndarray], parameters: ComparisonParameters
) -> list[dict]:
    if not len(truth) or np.ptp(truth) == 0:
        return []
    # A constant forecast ranks nothing.
    ranked = {name: forecast for name, forecast in values.items() if np.ptp(forecast) > 0}
    rows = []
    for a, b in combinations(ranked, 2):
        result = paired_bootstrap_srcc(truth, ranked[a], ranked[b], **_options(parameters))
        rows.append(_difference(task, "1 - srcc", a, b, len(truth), result))
    return rows


def _difference(task: str, score: str, a: str, b: str, n_videos: int, result) -> dict:
    """Returns one row, the better family first: its error minus the other's is at most zero."""
    difference, lower, upper, probability = (
        result.difference,
        result.lower,
        result.upper,
        result.probability,
    )
    if difference > 0:
        a, b = b, a
        difference, lower, upper, probability = -difference, -upper, -lower, 1 - probability
    told_apart = bool(upper < 0)
    values = [task, score, a, b, n_videos, difference, lower, upper, probability, told_apart]
    return dict(zip(DIFFERENCE_COLUMNS, values, strict=True))
