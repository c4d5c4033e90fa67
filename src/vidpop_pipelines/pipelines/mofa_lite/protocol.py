"""Which videos are held out, calibrated on, and in which fold: assigned once, by id and seed alone."""

import hashlib

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.intervals import rows_needed
from vidpop_pipelines.evaluation.splits import assign_folds
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters

HOLD_OUT = -1


def assign_splits(video_ids: np.ndarray, parameters: MofaLiteParameters, coverage: float) -> pd.DataFrame:
    """Assigns every video its place.

    Args:
        video_ids: (N,) ids.
        parameters: Shares, number of folds, seed.
        coverage: Of the prediction intervals: small data sets give them as many rows as they need.

    Returns:
        Columns `video_id`; `fold`, -1 for the hold-out; and `calibration`: rows of a fold that are neither trained
        on nor stopped on nor blended on, by any fold.

    Raises:
        InputError: If fewer than two videos per fold are left.
    """
    n_videos = len(video_ids)
    order = np.argsort([_hash(parameters.seed, video_id) for video_id in video_ids], kind="stable")
    n_hold_out = max(1, round(parameters.hold_out * n_videos))
    n_calibration = 0
    if parameters.calibration:
        # Twice the least: with that few the width of the intervals is still mostly luck.
        n_calibration = max(round(parameters.calibration * n_videos), 2 * rows_needed(coverage))
    if n_videos - n_hold_out - n_calibration < 2 * parameters.n_folds:
        raise InputError(
            f"{n_videos} videos: {n_hold_out} are held out, {n_calibration} calibrate intervals.",
            f"at least 2 more for each of {parameters.n_folds} folds",
            "use more videos, fewer mofa_lite.n_folds, or mofa_lite.calibration=0.",
        )
    splits = pd.DataFrame({"video_id": video_ids, "fold": HOLD_OUT, "calibration": False})
    calibration, training = np.split(order[n_hold_out:], [n_calibration])
    for rows in (calibration, training):
        if len(rows):
            splits.loc[rows, "fold"] = _deal(video_ids[rows], parameters)
    splits.loc[calibration, "calibration"] = True
    return splits


def _deal(video_ids: np.ndarray, parameters: MofaLiteParameters) -> np.ndarray:
    if len(video_ids) < parameters.n_folds:  # of few calibration rows
        return np.arange(len(video_ids))
    folds = assign_folds(video_ids, n_folds=parameters.n_folds, seed=parameters.seed)
    return folds["fold"].to_numpy()


def _hash(seed: int, video_id: str) -> bytes:
    return hashlib.blake2b(f"hold-out:{seed}:{video_id}".encode(), digest_size=16).digest()


def hold_out_rows(splits: pd.DataFrame) -> np.ndarray:
    """Returns the row numbers of the hold-out."""
    return np.flatnonzero(splits["fold"] == HOLD_OUT)


def calibration_rows(splits: pd.DataFrame) -> np.ndarray:
    """Returns the row numbers that intervals are fitted on."""
    return np.flatnonzero(splits["calibration"])


def fold_rows(splits: pd.DataFrame, fold: int) -> dict[str, np.ndarray]:
    """Returns the row numbers of one fold's roles: `train`, `validation` and, both sorts, `out_of_fold`."""
    folds, calibration = splits["fold"].to_numpy(), splits["calibration"].to_numpy()
    usable = (folds != HOLD_OUT) & ~calibration
    return {
        "train": np.flatnonzero(usable & (folds != fold)),
        "validation": np.flatnonzero(usable & (folds == fold)),
        "out_of_fold": np.flatnonzero(folds == fold),
    }
