"""Nodes that `ensemble` and `multitask` share: from the raw table to validated and split videos."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.splits import assign_folds, check_given_folds
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters
from vidpop_pipelines.pipelines.tabular.table import validate_videos

logger = logging.getLogger(__name__)

# The newest block of time.
TEST_FOLD = 0
# Fewer training videos hold nothing that could be learned, and leave folds empty.
_FEWEST_VIDEOS = 40


def validate_training_table(
    raw: pd.DataFrame, tabular: TabularParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Validates a table with views; see `validate_videos` for results and errors."""
    videos, problems, summary = validate_videos(raw, tabular)
    if len(videos) < _FEWEST_VIDEOS:
        raise InputError(
            f"{summary['source']}: {len(videos)} usable videos.",
            f"at least {_FEWEST_VIDEOS}",
            "add videos; data_report.json of an earlier run, or the messages above, say what was left out.",
        )
    return videos, problems, summary


def validate_forecast_table(
    raw: pd.DataFrame, tabular: TabularParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Validates a table to be forecast, whose views may be absent."""
    return validate_videos(raw, tabular, labelled=False)


def split_videos(
    videos: pd.DataFrame, given_splits: pd.DataFrame | None, tabular: TabularParameters
) -> pd.DataFrame:
    """Assigns every video to a fold, once: blocks of publish time, fold 0 (the test fold) the newest.

    Args:
        videos: Validated videos.
        given_splits: `splits.csv` beside the table (`video_id`, `fold`), or None.
        tabular: Number of folds, seed.

    Returns:
        `video_id` and `fold`.
    """
    if given_splits is not None:
        logger.info("Folds are those of splits.csv beside the table.")
        return check_given_folds(given_splits, videos["video_id"], "splits.csv beside the table")
    return assign_folds(
        videos["video_id"], n_folds=tabular.n_folds, seed=tabular.seed, order=videos["published_at"]
    )


def training_rows(videos: pd.DataFrame, splits: pd.DataFrame) -> np.ndarray:
    """Returns the row numbers of the training videos, oldest first; equal times in the order of their ids."""
    rows = np.flatnonzero(splits["fold"].to_numpy() != TEST_FOLD)
    return videos.iloc[rows].assign(row=rows).sort_values(["published_at", "video_id"])["row"].to_numpy()


def held_out_rows(splits: pd.DataFrame) -> np.ndarray:
    """Returns the row numbers of the test videos."""
    return np.flatnonzero(splits["fold"].to_numpy() == TEST_FOLD)
