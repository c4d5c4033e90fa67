import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from vidpop_pipelines.evaluation.calibration import TemperatureScaling, out_of_fold_probabilities
from vidpop_pipelines.evaluation.classification import expected_calibration_error


def overconfident(n=4000, temperature=3.0, seed=0):
    """Labels drawn by the probabilities of `logits / temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, n)
    return logits, (rng.random(n) < expit(logits / temperature)).astype(float)


def test_finds_the_temperature_that_labels_were_drawn_with():
    logits, labels = overconfident()
    scaling = TemperatureScaling.fit(logits, labels)
    assert scaling.temperature == pytest.approx(3.0, rel=0.1)
    before = expected_calibration_error(labels, expit(logits))
    assert expected_calibration_error(labels, scaling.apply(logits)) < before / 3


def test_applies_by_hand():
    np.testing.assert_allclose(TemperatureScaling(2.0).apply([0.0, 2.0]), [0.5, 1 / (1 + np.exp(-1))])


def test_a_few_rows_that_are_all_right_do_not_make_it_certain():
    # Smoothed targets are 3/4 and 1/4: log odds of ln 3 for logits of 1.
    scaling = TemperatureScaling.fit([1.0, 1.0, -1.0, -1.0], [1, 1, 0, 0])
    assert scaling.temperature == pytest.approx(1 / np.log(3), rel=1e-3)


def test_a_model_that_is_wrong_gets_probabilities_of_one_half():
    probability = TemperatureScaling.fit([2.0, -2.0], [0, 1]).apply([2.0, -2.0])
    np.testing.assert_allclose(probability, 0.5, atol=0.02)


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.integers(0, 1)), min_size=1, max_size=30),
    st.lists(st.integers(-20, 20), min_size=2),
)
def test_order_and_class_stay(rows, new):
    logits, labels = zip(*rows, strict=True)
    new = np.sort(new)
    probability = TemperatureScaling.fit(logits, labels).apply(new)
    assert (np.diff(probability) >= 0).all()
    np.testing.assert_array_equal(probability >= 0.5, new >= 0)


def test_each_fold_is_scaled_by_the_others():
    logits, labels = overconfident(40)
    probability = out_of_fold_probabilities(logits, labels, seed=0)
    changed = labels.copy()
    changed[7] = 1 - changed[7]
    again = out_of_fold_probabilities(logits, changed, seed=0)
    # A row's own label says nothing about its own probability, nor about the others of its fold.
    same = probability == again
    assert same[7] and same.sum() == 4
    np.testing.assert_array_equal(out_of_fold_probabilities([1.0], [1], seed=0) > 0.5, [True])
