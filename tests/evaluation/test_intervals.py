import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.intervals import ConformalIntervals, conformal_rank, rows_needed


def residuals(*values: float) -> dict:
    """One step whose forecast is 0, so that the residuals are the truth."""
    y_true = np.array(values, dtype=float).reshape(-1, 1)
    return {"y_true": y_true, "y_pred": np.zeros_like(y_true), "steps": [1]}


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (9, 9),  # ceil(10 * 0.9) = 9: the largest
        (10, 10),  # ceil(11 * 0.9) = ceil(9.9) = 10: the largest
        (19, 18),  # ceil(20 * 0.9) = 18
    ],
)
def test_quantile_by_hand(n, expected):
    errors = np.random.default_rng(0).permutation(np.arange(1, n + 1)) * np.where(np.arange(n) % 2, -1, 1)
    assert ConformalIntervals.fit(**residuals(*errors)).half_widths.tolist() == [expected]


def test_rank_is_exact_where_floating_point_is_not():
    assert 100 * 0.55 > 55
    assert conformal_rank(99, 0.55) == 55


@pytest.mark.parametrize(("coverage", "rows"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.5, 1), (0.99, 99)])
def test_rows_needed(coverage, rows):
    assert rows_needed(coverage) == rows
    ConformalIntervals.fit(**residuals(*range(rows)), coverage=coverage)
    with pytest.raises(InputError, match=rf"(?s)has {rows - 1} known.*at least {rows} calibration rows"):
        ConformalIntervals.fit(**residuals(*range(rows - 1)), coverage=coverage)


def test_missing_days_are_masked_per_step():
    y_true = np.column_stack(
        [np.arange(1.0, 20.0), np.where(np.arange(19) < 9, np.arange(19) * 10.0, np.nan)]
    )
    intervals = ConformalIntervals.fit(y_true, np.zeros_like(y_true), steps=[2, 3])
    assert intervals.half_widths.tolist() == [18.0, 80.0]
    y_true[0, 1] = np.nan
    with pytest.raises(InputError, match="Step 3 has 8 known"):
        ConformalIntervals.fit(y_true, np.zeros_like(y_true), steps=[2, 3])


def test_apply_is_symmetric_and_keeps_the_dtype():
    intervals = ConformalIntervals.fit(**residuals(*range(1, 10)))
    lower, upper = intervals.apply(np.array([[10.0], [20.0]], dtype=np.float32))
    assert lower.tolist() == [[1.0], [11.0]] and upper.tolist() == [[19.0], [29.0]]
    assert lower.dtype == upper.dtype == np.float32


def test_minimum_raises_both_ends():
    intervals = ConformalIntervals.fit(**residuals(*range(1, 10)))
    lower, upper = intervals.apply(np.array([[5.0], [-12.0]]), minimum=0.0)
    assert lower.tolist() == [[0.0], [0.0]] and upper.tolist() == [[14.0], [0.0]]


def test_scale_makes_wider_intervals_where_errors_are_larger():
    scale = np.array([[1.0], [10.0]] * 5)
    intervals = ConformalIntervals.fit(y_true=3 * scale, y_pred=np.zeros((10, 1)), steps=[1], scale=scale)
    assert intervals.half_widths.tolist() == [3.0]
    lower, upper = intervals.apply(np.zeros((2, 1)), scale=[[2.0], [4.0]])
    assert lower.tolist() == [[-6.0], [-12.0]] and upper.tolist() == [[6.0], [12.0]]
    with pytest.raises(ValueError, match="scale"):
        intervals.apply(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="positive"):
        intervals.apply(np.zeros((2, 1)), scale=[[0.0], [1.0]])


@pytest.mark.parametrize("coverage", [0, 1, 1.5, 90])
def test_coverage_must_be_a_probability(coverage):
    with pytest.raises(InputError, match=f"coverage is {coverage}"):
        ConformalIntervals.fit(**residuals(*range(20)), coverage=coverage)


def test_wrong_shapes_and_missing_forecasts_are_refused():
    intervals = ConformalIntervals.fit(**residuals(*range(1, 10)))
    with pytest.raises(ValueError, match="expected 1 steps"):
        intervals.apply(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        ConformalIntervals.fit(np.ones((9, 1)), np.full((9, 1), np.nan), steps=[1])


def test_same_after_json():
    y_true = np.random.default_rng(0).normal(size=(30, 3))
    intervals = ConformalIntervals.fit(y_true, np.zeros_like(y_true), steps=[2, 3, 4], coverage=0.8)
    read = ConformalIntervals.from_dict(json.loads(json.dumps(intervals.to_dict())))
    assert (read.coverage, read.steps, read.scaled) == (0.8, (2, 3, 4), False)
    assert read.half_widths.tolist() == intervals.half_widths.tolist()


@settings(max_examples=30)
@given(
    n=st.integers(19, 60),
    coverage=st.sampled_from([0.5, 0.8, 0.9, 0.95]),
    scaled=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_marginal_coverage_on_exchangeable_data(n, coverage, scaled, seed):
    # Over repeated calibration the coverage of continuous scores is exactly rank / (n + 1). Every column is a
    # repetition with its own calibration rows and one new row; 4000 give a standard error below 0.008.
    rng = np.random.default_rng(seed)
    shape = (n + 1, 4000)
    scale = rng.uniform(0.1, 10, shape)
    y_pred = rng.normal(size=shape)
    y_true = y_pred + scale * rng.standard_t(3, shape)
    known, new = slice(0, n), slice(n, None)
    intervals = ConformalIntervals.fit(
        y_true[known],
        y_pred[known],
        steps=range(4000),
        coverage=coverage,
        scale=scale[known] if scaled else None,
    )
    lower, upper = intervals.apply(y_pred[new], scale=scale[new] if scaled else None)
    measured = ((lower <= y_true[new]) & (y_true[new] <= upper)).mean()
    expected = conformal_rank(n, coverage) / (n + 1)
    assert coverage <= expected
    assert abs(measured - expected) < 5 * 0.008
