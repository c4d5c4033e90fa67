"""The line under the learners."""

import numpy as np
import pytest

from vidpop_pipelines.pipelines.tabular.trend import LinearTrend, recency_weights

NAMES = ["other", "log_subscribers", "log_age_hours"]


@pytest.fixture
def trend() -> tuple[LinearTrend, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 3))
    target = 3 + 2 * features[:, 1] - features[:, 2]
    return LinearTrend.fit(features, NAMES, target, np.ones(len(target))), features, target


def test_a_line_is_recovered_and_goes_on_beyond_the_data(trend):
    fitted, features, target = trend
    np.testing.assert_allclose(fitted.predict(features, NAMES), target, atol=0.05)
    far = np.array([[0.0, 100.0, 0.0]])
    assert fitted.predict(far, NAMES)[0] == pytest.approx(203, rel=0.01)


def test_contributions_and_intercept_add_up(trend):
    fitted, features, _ = trend
    total = sum(fitted.contributions(features, NAMES).values()) + fitted.intercept
    np.testing.assert_allclose(total, fitted.predict(features, NAMES))


def test_a_missing_value_takes_the_place_of_the_mean(trend):
    fitted, features, _ = trend
    mean = np.nanmean(features, axis=0)
    missing = np.array([[0.0, np.nan, 1.0]])
    same = np.array([[0.0, mean[1], 1.0]])
    assert fitted.predict(missing, NAMES)[0] == pytest.approx(fitted.predict(same, NAMES)[0])


def test_without_any_of_its_features_it_is_the_weighted_mean():
    fitted = LinearTrend.fit(np.zeros((2, 1)), ["other"], np.array([1.0, 4.0]), np.array([2.0, 1.0]))
    assert fitted.predict(np.zeros((1, 1)), ["other"]).tolist() == [2.0]


def test_saving_and_loading(trend, tmp_path):
    fitted, features, _ = trend
    fitted.save(tmp_path)
    again = LinearTrend.load(tmp_path).predict(features, NAMES)
    np.testing.assert_array_equal(again, fitted.predict(features, NAMES))


def test_recency_weights_by_hand():
    assert recency_weights(np.array([0.0, 365.0, 730.0]), 365.0) == pytest.approx([1 / 3, 1 / 2, 1])
    assert recency_weights(np.array([0.0, 365.0]), None).tolist() == [1, 1]
