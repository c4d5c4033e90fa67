"""Who is trained on, who is tested on: folds, and the role of every video when one fold is the test fold.

A fold depends on the video's id and the seed alone, never on the order of the rows, so that a re-sorted file
gives the same split. Ids are ordered by a cryptographic hash: it is the same on every machine and Python.
"""

import hashlib
import heapq
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidpop_pipelines.errors import InputError

ROLES = ("train", "validation", "calibration", "test")
Protocol = Literal["honest", "published"]

# The honest protocol needs a fold to test on, one to stop and calibrate on, and one to train on.
MIN_FOLDS = 3


def assign_folds(
    video_ids: Sequence[str],
    *,
    n_folds: int = 5,
    seed: int,
    groups: Sequence | None = None,
    order: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Assign every video to a fold.

    Without ``groups`` and ``order`` the folds are random, their sizes differ by at most one.

    Args:
        video_ids: (N,) ids.
        n_folds: Number of folds. Five as in SMTPD: a fifth of the data to test on.
        seed: Seed of the random assignment; unused with ``order``.
        groups: (N,) e.g. the user of each video: no group spans two folds, and folds are as equal in size as
            the groups allow (largest group first into the smallest fold). A video whose group is missing or
            empty is a group of its own.
        order: (N,) numbers or datetimes, e.g. the publish time: folds are contiguous blocks, fold 0 the
            newest.

    Returns:
        Columns ``video_id`` and ``fold``, in the order of ``video_ids``.

    Raises:
        InputError: If an id repeats, if there are too few folds, videos or groups, if an ``order`` value is
            missing, or if ``groups`` and ``order`` are both given.
    """
    ids = _unique_ids(video_ids)
    if n_folds < MIN_FOLDS:
        raise _too_few_folds(f"n_folds is {n_folds}")
    if groups is not None and order is not None:
        raise InputError(
            "The split is asked for both by group and by order.",
            expected="either group_by or order_by",
            remedy="Remove one of them: blocks of time cut through groups.",
        )
    if order is None:
        folds = _deal(ids, n_folds, f"{n_folds} folds", salt=f"folds:{seed}", groups=groups)
    else:
        folds = _blocks_by_order(ids, order, n_folds)
    return pd.DataFrame({"video_id": ids, "fold": folds})


def assign_roles(
    folds: pd.DataFrame, fold: int, protocol: Protocol, groups: Sequence | None = None
) -> pd.DataFrame:
    """Give every video its roles when ``fold`` is the test fold.

    ``honest``: one role each. The fold after the test fold is halved into validation (early stopping,
    selection, blending) and calibration (conformal intervals only); the other folds are trained on.
    ``published``: the split of the paper, where the test fold is the validation set too; nothing is left for
    calibration. Only for comparison with published numbers.

    Args:
        folds: Columns ``video_id`` and ``fold``, as from `assign_folds`.
        fold: The test fold.
        protocol: ``honest`` or ``published``.
        groups: (N,) group of each row of ``folds``; no group gets two roles (with ``honest``).

    Returns:
        ``video_id`` and one boolean column per role: ``train``, ``validation``, ``calibration``, ``test``.

    Raises:
        InputError: If ``fold`` or ``protocol`` is unknown, a group spans two folds, or a role stays empty.
    """
    numbers = folds["fold"].to_numpy()
    n_folds = int(numbers.max()) + 1
    if fold not in range(n_folds):
        raise InputError(f"There is no fold {fold}.", f"a fold from 0 to {n_folds - 1}", "Change the fold.")
    if groups is not None:
        _check_groups_within_folds(numbers, _group_keys(folds["video_id"].to_numpy(), groups))
    test = numbers == fold
    if protocol == "published":
        validation, calibration = test, np.zeros_like(test)
    elif protocol == "honest":
        held_out = np.flatnonzero(numbers == (fold + 1) % n_folds)
        held_out_groups = None if groups is None else np.asarray(groups, dtype=object)[held_out]
        halves = _deal(
            folds["video_id"].to_numpy()[held_out],
            2,
            "a validation and a calibration half",
            salt="calibration",
            groups=held_out_groups,
        )
        validation, calibration = np.zeros_like(test), np.zeros_like(test)
        validation[held_out[halves == 0]] = True
        calibration[held_out[halves == 1]] = True
    else:
        raise InputError(
            f"Unknown split protocol {protocol!r}.", "honest or published", "Change the protocol."
        )
    train = ~(test | validation | calibration)
    return pd.DataFrame(
        {
            "video_id": folds["video_id"].to_numpy(),
            "train": train,
            "validation": validation,
            "calibration": calibration,
            "test": test,
        }
    )


def check_given_folds(given: pd.DataFrame, video_ids: Sequence[str], source: str) -> pd.DataFrame:
    """Check a split that the user brings along and bring it into the order of the videos.

    Args:
        given: Columns ``video_id`` and ``fold``, e.g. read from ``splits.csv`` (ids as text).
            Videos that are not in ``video_ids`` are ignored: they were left out for another reason.
        video_ids: (N,) ids of the videos to be split.
        source: File named in the error messages.

    Returns:
        Columns ``video_id`` and ``fold`` (int), in the order of ``video_ids``.

    Raises:
        InputError: If a column or a video is missing, an id repeats, or folds are not the integers 0, 1, ...
            with at least three of them in use.
    """
    absent = [name for name in ("video_id", "fold") if name not in given.columns]
    if absent:
        raise InputError(
            f"{source} has no column {' and '.join(absent)}.",
            expected="the columns video_id and fold",
            remedy="Add or rename the column.",
        )
    given = given.assign(video_id=_unique_ids(given["video_id"], source))
    numbers = pd.to_numeric(given["fold"], errors="coerce")
    bad = ~(numbers.ge(0) & numbers.mod(1).eq(0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{source}, data row {row + 1}, column fold: {str(given['fold'].iloc[row])!r} is not a fold.",
            expected="an integer, 0 or more",
            remedy="Number the folds 0, 1, 2, ...",
        )
    ids = _unique_ids(video_ids)
    fold_by_id = pd.Series(numbers.to_numpy(), index=given["video_id"])
    unknown = [video_id for video_id in ids if video_id not in fold_by_id.index]
    if unknown:
        raise InputError(
            f"{source} has no fold for {len(unknown)} of {len(ids)} videos, e.g. {', '.join(unknown[:3])}.",
            expected="one row for every video",
            remedy=f"Add the missing videos, or remove {source} to have folds assigned.",
        )
    result = fold_by_id.loc[ids].to_numpy().astype(np.int64)
    used = np.unique(result)
    if len(used) < MIN_FOLDS:
        raise _too_few_folds(f"{source} uses {len(used)} folds")
    if used[-1] != len(used) - 1:
        raise InputError(
            f"{source} uses the folds {', '.join(map(str, used))}.",
            expected=f"the folds 0 to {len(used) - 1}, without a gap",
            remedy="Renumber the folds.",
        )
    return pd.DataFrame({"video_id": ids, "fold": result})


def _too_few_folds(problem: str) -> InputError:
    return InputError(
        f"Too few folds: {problem}.",
        expected=f"at least {MIN_FOLDS}: one to test, one to validate and calibrate, one to train on",
        remedy="Use more folds.",
    )


def _unique_ids(video_ids: Sequence[str], source: str = "The data") -> np.ndarray:
    ids = pd.Series(np.asarray(video_ids, dtype=object))
    if ids.isna().any():
        raise InputError(
            f"{source}, data row {int(ids.isna().idxmax()) + 1}: video_id is empty.",
            expected="an id in every row",
            remedy="Fill in or remove the row.",
        )
    ids = ids.astype(str)
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"{source} names {len(repeated)} videos more than once, e.g. {', '.join(repeated[:3])}.",
            expected="every video_id once: a video in two folds would leak from training into the test",
            remedy="Remove the repeated rows.",
        )
    return ids.to_numpy(dtype=object)


def _group_keys(ids: np.ndarray, groups: Sequence | None) -> np.ndarray:
    """Name the group of every video; a video without a group is alone in one named after its id."""
    alone = "video:" + pd.Series(ids, dtype="str")
    if groups is None:
        return alone.to_numpy(dtype=object)
    labels = pd.Series(np.asarray(groups, dtype=object))
    if len(labels) != len(ids):
        raise ValueError(f"{len(labels)} groups for {len(ids)} videos")
    named = labels.notna() & labels.ne("")
    return alone.mask(named, "group:" + labels.astype("str")).to_numpy(dtype=object)


def _check_groups_within_folds(folds: np.ndarray, keys: np.ndarray) -> None:
    folds_per_group = pd.Series(folds).groupby(keys).nunique()
    spanning = folds_per_group.index[folds_per_group > 1]
    if len(spanning):
        example = spanning[0].partition(":")[2]
        raise InputError(
            f"{len(spanning)} groups have videos in more than one fold, e.g. {example}.",
            expected="every group in one fold",
            remedy="Correct the given split, or do not ask for a split by group.",
        )


def _deal(
    ids: np.ndarray, n_parts: int, parts_name: str, *, salt: str, groups: Sequence | None
) -> np.ndarray:
    """Deal whole groups into parts of near-equal size, largest first, ties in the order of their hash."""
    codes, keys = pd.factorize(_group_keys(ids, groups))
    if len(keys) < n_parts:
        what = "videos" if groups is None else "groups"
        raise InputError(
            f"Too few {what} ({len(keys)}) to form {parts_name}.",
            expected=f"at least {n_parts} {what}",
            remedy="Use more data or fewer folds"
            + (", or split without groups." if groups is not None else "."),
        )
    sizes = np.bincount(codes)
    hashes = [hashlib.blake2b(f"{salt}:{key}".encode(), digest_size=16).digest() for key in keys]
    part_of_group = np.empty(len(keys), dtype=np.int64)
    parts = [(0, part) for part in range(n_parts)]
    for group in sorted(range(len(keys)), key=lambda group: (-sizes[group], hashes[group])):
        size, part = parts[0]
        part_of_group[group] = part
        heapq.heapreplace(parts, (size + sizes[group], part))
    return part_of_group[codes]


def _blocks_by_order(ids: np.ndarray, order: npt.ArrayLike, n_folds: int) -> np.ndarray:
    """Cut the videos, newest first, into contiguous blocks; equal times are ordered by id."""
    values = pd.Series(order).reset_index(drop=True)
    if len(values) != len(ids):
        raise ValueError(f"{len(values)} order values for {len(ids)} videos")
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)):
        raise ValueError(f"order must hold numbers or datetimes, not {values.dtype}: text sorts by letters")
    if values.isna().any():
        first = int(np.flatnonzero(values.isna())[0])
        raise InputError(
            f"{int(values.isna().sum())} of {len(ids)} videos have no value to order by, e.g. {ids[first]}.",
            expected="a publish time (or other order) for every video",
            remedy="Fill in the values, leave these videos out, or use random folds.",
        )
    if len(ids) < n_folds:
        raise InputError(
            f"{len(ids)} videos cannot be cut into {n_folds} blocks.",
            expected=f"at least {n_folds} videos",
            remedy="Use more data or fewer folds.",
        )
    by_id = np.argsort(ids)
    newest_first = by_id[values.iloc[by_id].argsort(kind="stable").to_numpy()][::-1]
    folds = np.empty(len(ids), dtype=np.int64)
    for fold, block in enumerate(np.array_split(newest_first, n_folds)):
        folds[block] = fold
    return folds
