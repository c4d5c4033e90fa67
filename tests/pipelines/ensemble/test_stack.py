"""The Ridge on top of the learners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.pipelines.ensemble.stack import fit_stack_weights, progressive_stack


def test_weights_of_two_learners_by_hand():
    # m = 0, p - m = (-1, 1), y - m = 0.5: without penalty any c with c2 - c1 = 0.5; Ridge takes (-0.25, 0.25).
    weights = fit_stack_weights(np.array([[-1.0, 1.0]] * 4), np.full(4, 0.5), alpha=1e-9)
    assert weights == pytest.approx([0.25, 0.75])


def test_a_strong_penalty_gives_equal_weights():
    rng = np.random.default_rng(0)
    weights = fit_stack_weights(rng.normal(size=(50, 4)), rng.normal(size=50), alpha=1e9)
    assert weights == pytest.approx([0.25] * 4)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0, 100), st.floats(-50, 50))
def test_weights_add_up_to_one_and_ignore_the_level(seed, alpha, level):
    rng = np.random.default_rng(seed)
    predictions, target = rng.normal(size=(20, 3)), rng.normal(size=20)
    weights = fit_stack_weights(predictions, target, alpha + 1e-6)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        fit_stack_weights(predictions + level, target + level, alpha + 1e-6), weights, atol=1e-6
    )


def test_no_fold_sees_itself_or_a_later_one():
    rng = np.random.default_rng(1)
    predictions, target = rng.normal(size=(40, 3)), rng.normal(size=40)
    folds = np.repeat([0, 1, 2, 3], 10)
    stacked, weights = progressive_stack(predictions, target, folds, n_calibration_folds=2, alpha=1.0)
    assert stacked[:10] == pytest.approx(predictions[:10].mean(axis=1))
    for first in (1, 2):
        changed = target.copy()
        changed[folds >= first] += 10
        again, _ = progressive_stack(predictions, changed, folds, n_calibration_folds=2, alpha=1.0)
        np.testing.assert_array_equal(again[folds <= first], stacked[folds <= first])
    # Calibration folds share the final weights, which were fitted on the folds before them.
    assert stacked[20:] == pytest.approx(predictions[20:] @ weights)
    assert weights == pytest.approx(fit_stack_weights(predictions[:20], target[:20], 1.0))
