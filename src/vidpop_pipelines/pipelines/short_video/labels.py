"""Who is popular: folds of like metric, and labels by quantiles of the training videos alone."""

import logging

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.splits import assign_roles, check_given_folds
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

logger = logging.getLogger(__name__)

# Videos of like metric are dealt out evenly to the folds; ten levels tell the labelled thirds apart well enough.
_LEVELS = 10


def split_videos(
    videos: pd.DataFrame, given_splits: pd.DataFrame | None, parameters: ShortVideoParameters
) -> pd.DataFrame:
    """Assigns every video to a fold, once, so that the metric is distributed alike in all folds.

    A fold depends on the ids, metrics, authors and the seed, never on the order of the rows.

    Args:
        videos: Validated videos: `video_id`, `metric`, `author`.
        given_splits: `splits.csv` beside the table (`video_id`, `fold`), or None. A split by author that is asked for
            goes before it.
        parameters: Number of folds, seed, grouping. A video without an author is a group of its own.

    Returns:
        `video_id` and `fold`, in the order of `videos`.

    Raises:
        InputError: If the given split does not fit, or there are fewer videos (or authors) than folds.
    """
    if given_splits is not None and parameters.group_by is None:
        logger.info("Folds are those of splits.csv beside the table.")
        return check_given_folds(given_splits, videos["video_id"], "splits.csv beside the table")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    in_order = videos.sort_values(["metric", "video_id"])
    n_levels = max(1, min(_LEVELS, len(videos) // parameters.n_folds))
    levels = np.arange(len(videos)) * n_levels // max(1, len(videos))
    groups = _groups(in_order, parameters)
    if len(np.unique(groups)) < parameters.n_folds:
        raise _too_few(groups, parameters)
    kind = StratifiedGroupKFold if parameters.group_by else StratifiedKFold
    splitter = kind(n_splits=parameters.n_folds, shuffle=True, random_state=parameters.seed)
    folds = pd.Series(-1, index=in_order.index)
    parts = splitter.split(levels, levels, groups if parameters.group_by else None)
    for fold, (_, held_out) in enumerate(parts):
        if not len(held_out):
            raise _too_few(groups, parameters)
        folds.iloc[held_out] = fold
    return pd.DataFrame({"video_id": videos["video_id"], "fold": folds.loc[videos.index]})


def label_videos(
    videos: pd.DataFrame, splits: pd.DataFrame, parameters: ShortVideoParameters
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Gives the extremes of the metric a label; what they are, the training videos alone say.

    Args:
        videos: Validated videos: `video_id`, `metric`, `author`.
        splits: Output of `split_videos`, in the same order.
        parameters: `share`, test fold, protocol, grouping.

    Returns:
        One row per video, in their order: `video_id`; the roles of `assign_roles` (`train`, `validation`,
        `calibration`, `test`), of which a video has several under the published protocol; `label` (1 popular, 0 not
        popular, NaN between); `metric`. And the thresholds `low` and `high`: a metric of at most `low` is labelled 0,
        of the others one of at least `high` 1.

    Raises:
        InputError: If a role is empty, or the training videos are all of one label.
    """
    groups = _groups(videos, parameters) if parameters.group_by else None
    roles = assign_roles(splits, parameters.fold, parameters.protocol, groups)
    train = roles["train"].to_numpy()
    metric = videos["metric"].to_numpy(np.float64)
    low, high = np.quantile(metric[train], [parameters.share, 1 - parameters.share]).tolist()
    label = np.where(metric <= low, 0.0, np.where(metric >= high, 1.0, np.nan))
    table = roles.assign(label=label, metric=metric)
    for name, value in {"popular": 1.0, "not popular": 0.0}.items():
        if not (label[train] == value).any():
            raise InputError(
                f"No training video is {name}: of {int(train.sum())} training videos, {len(np.unique(metric[train]))}"
                f" differ in the metric; labelled 0 is at most {low:g}, labelled 1 at least {high:g}.",
                "both labels in the training split",
                "use more videos, or a metric with more different values (short_video.metric).",
            )
    return table, {"low": low, "high": high}


def _groups(videos: pd.DataFrame, parameters: ShortVideoParameters) -> np.ndarray:
    """Returns (N,) authors; where they don't count or are unknown, a name of its own for each video."""
    alone = "video:" + videos["video_id"]
    if parameters.group_by is None:
        return alone.to_numpy(object)
    authors = videos[parameters.group_by]
    return alone.mask(authors != "", "author:" + authors).to_numpy(object)


def _too_few(groups: np.ndarray, parameters: ShortVideoParameters) -> InputError:
    units = "different authors" if parameters.group_by else "usable videos"
    return InputError(
        f"{len(np.unique(groups))} {units} cannot be split into {parameters.n_folds} folds.",
        f"at least {parameters.n_folds}",
        "add videos, or lower short_video.n_folds (at least 3).",
    )
