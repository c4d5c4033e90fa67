import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mofa_folders import small_parameters

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.mofa_lite.protocol import (
    assign_splits,
    calibration_rows,
    fold_rows,
    hold_out_rows,
)


def ids(n_videos):
    return np.array([f"v{row}" for row in range(n_videos)], dtype=object)


@settings(max_examples=30)
@given(
    n_videos=st.integers(60, 300),
    n_folds=st.integers(3, 10),
    seed=st.integers(0, 99),
    calibration=st.sampled_from([0.0, 0.05, 0.2]),
)
def test_every_row_has_one_place_and_no_fold_sees_hold_out_or_calibration(
    n_videos, n_folds, seed, calibration
):
    parameters = small_parameters(n_folds=n_folds, seed=seed, calibration=calibration)
    splits = assign_splits(ids(n_videos), parameters, 0.9)
    held_out, calibrated = hold_out_rows(splits), calibration_rows(splits)
    assert len(held_out) == round(0.1 * n_videos)
    out_of_fold = []
    for fold in range(n_folds):
        rows = fold_rows(splits, fold)
        out_of_fold.append(rows["out_of_fold"])
        trained = np.concatenate([rows["train"], rows["validation"]])
        assert len(rows["validation"]) and len(np.unique(trained)) == len(trained)
        assert not np.isin(trained, np.concatenate([held_out, calibrated])).any()
        assert len(trained) + len(held_out) + len(calibrated) == n_videos
    everything = np.concatenate([held_out, *out_of_fold])
    assert sorted(everything) == list(range(n_videos))


def test_split_depends_on_ids_and_seed_not_on_the_order_of_rows():
    parameters = small_parameters()
    order = np.random.default_rng(0).permutation(100)
    splits = assign_splits(ids(100), parameters, 0.9)
    shuffled = assign_splits(ids(100)[order], parameters, 0.9)
    again = shuffled.set_index("video_id").loc[splits["video_id"]].reset_index()
    assert again.equals(splits)
    other = assign_splits(ids(100), small_parameters(seed=1), 0.9)
    assert set(hold_out_rows(other)) != set(hold_out_rows(splits))


def test_few_videos_get_as_many_calibration_rows_as_intervals_need():
    splits = assign_splits(ids(100), small_parameters(calibration=0.01), 0.9)
    assert len(calibration_rows(splits)) == 18  # twice the 9 that a coverage of 0.9 needs
    with pytest.raises(InputError, match="at least 2 more for each of 3 folds"):
        assign_splits(ids(24), small_parameters(), 0.9)
