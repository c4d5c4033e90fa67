import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.pipelines.smtpd.parameters import CatBoostOptions
from vidpop_pipelines.pipelines.smtpd.training import best_network_weight, fit_catboost


def test_network_weight_is_half_way_between_a_half_and_the_best_share():
    truth = np.array([[1.0, 2.0], [3.0, np.nan]])
    assert best_network_weight(truth, network=truth, catboost=truth + 1) == pytest.approx(0.75)
    assert best_network_weight(truth, network=truth + 1, catboost=truth) == pytest.approx(0.25)
    # Errors of +1 and -1 cancel at a share of one half.
    assert best_network_weight(truth, network=truth + 1, catboost=truth - 1) == pytest.approx(0.5)


def test_catboost_ignores_rows_without_a_target():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=80), "category": ["a", "b"] * 40})
    target = table["x"].to_numpy() * 3
    poisoned = np.append(target, [np.nan] * 20)
    more = pd.concat([table, table[:20]], ignore_index=True)
    options = CatBoostOptions(iterations=20)
    first = fit_catboost(table, target, table[:10], target[:10], options, 0).predict(table)
    second = fit_catboost(more, poisoned, table[:10], target[:10], options, 0).predict(table)
    np.testing.assert_array_equal(first, second)
