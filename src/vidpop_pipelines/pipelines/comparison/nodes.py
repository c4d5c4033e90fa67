"""Nodes of the comparison: from what the families have left behind to one leaderboard, its figures and its report."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.comparison.parameters import ComparisonParameters

_KEYS = ["view", "task", "rank", "family", "n_videos", "error_name", "error"]
_BEHIND = ["behind_best", "behind_best_lower", "behind_best_upper"]


def collect_runs(runs: dict[str, list]) -> tuple[list, list[str]]:
    """Returns the runs that exist, and the names of the families that have not been run.

    Args:
        runs: Family to a list with its `FamilyRun`, empty if it has not been run.

    Raises:
        InputError: If no family has been run.
    """
    present = [run for found in runs.values() for run in found]
    absent = [name for name, found in runs.items() if not found]
    if not present:
        raise InputError(
            "There is nothing to compare: no family has been run.",
            f"predictions.parquet of at least one of {', '.join(absent)}",
            f"run for example `kedro run --pipeline={absent[0]}` first, with the same `output`; `kedro run` alone"
            " runs every family and compares them.",
        )
    return present, absent


def score_own_videos(runs: list) -> pd.DataFrame:
    """Scores each family on its own test videos; see `scoring.score_own_videos`."""
    from vidpop_pipelines.pipelines.comparison.scoring import score_own_videos

    return score_own_videos(runs)


def score_shared_videos(runs: list, parameters: ComparisonParameters) -> tuple[Any, pd.DataFrame]:
    """Scores families side by side.

    Returns:
        The `scoring.SharedScores`, and its table of differences.
    """
    from vidpop_pipelines.pipelines.comparison.scoring import score_shared_videos

    shared = score_shared_videos(runs, parameters)
    return shared, shared.differences


def build_leaderboard(runs: list, own: pd.DataFrame, shared: Any) -> pd.DataFrame:
    """Joins all scores and what each run cost.

    Args:
        runs: Families that have been run.
        own: Scores on their own test videos.
        shared: Scores on shared videos, and their differences.

    Returns:
        One row per view, task and family, best first within shared views, which alone have a `rank`; the difference
        of the error to that of the best family with its bootstrap interval; then the costs of the run.
    """
    scores = pd.concat([shared.scores, own], ignore_index=True)
    is_shared = scores["view"] != own["view"].iloc[0]
    ranks = scores.groupby(["view", "task"])["error"].rank(method="min")
    scores["rank"] = ranks.where(is_shared).astype("Int64")
    scores[_BEHIND] = np.nan
    best = scores[scores["rank"] == 1].drop_duplicates("task").set_index("task")["family"]
    for row in shared.differences.itertuples():
        here = is_shared & (scores["task"] == row.task) & (scores["family"] == row.worse)
        here &= scores["error_name"] == row.score
        if row.better == best.get(row.task):
            scores.loc[here, _BEHIND] = [-row.difference, -row.upper, -row.lower]
    costs = pd.DataFrame([{"family": run.name} | run.costs for run in runs])
    place = scores.groupby(["view", "task"], sort=False).ngroup()
    ordered = scores.assign(place=place).sort_values(["place", "rank"], kind="stable")
    rest = [name for name in scores if name not in (*_KEYS, *_BEHIND)]
    return ordered[[*_KEYS, *_BEHIND, *rest]].merge(costs, on="family", how="left")
