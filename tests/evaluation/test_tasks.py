import numpy as np
import pandas as pd
import planted
import pytest

from vidpop_pipelines.evaluation.tasks import TaskForecast, forecasts_of, last_day_views, shared_videos


def numbers(ids: str, y_true: list[float], kind: str = "number") -> TaskForecast:
    truth = np.array(y_true)[:, None]
    return TaskForecast(kind, np.array(list(ids), dtype=object), np.array([0]), truth, truth + 1)


def test_views_of_all_kinds_are_the_same_views():
    error = planted.noise(1, 0.3)
    log_counts = forecasts_of(planted.views_table(error, units="log1p"), "log_counts")["views"]
    table = forecasts_of(planted.views_table(error), "table")["views"]
    curve = forecasts_of(planted.curve_table(error), "curve")["views"]
    for forecast in (log_counts, table, curve):
        np.testing.assert_allclose(forecast.y_true[:, 0], np.expm1(planted.LOG_VIEWS), rtol=1e-9)
        assert forecast.scores()["log_mae"] == pytest.approx(0.3)
        nmse = np.mean(error**2) / np.var(planted.LOG_VIEWS)
        assert forecast.scores()["normalised_error"] == pytest.approx(nmse)


def test_last_day_of_a_curve_by_hand():
    # log2(700 / 7 + 1) on day 7, and a score below zero, which is no view.
    truth = np.log2(101.0)
    steps, y_true, y_pred = np.array([6, 7]), np.array([[5, truth]]), np.array([[5, -1]])
    forecast = TaskForecast("curve", np.array(["a"], object), steps, y_true, y_pred)
    views = last_day_views(forecast)
    assert views.y_true[0, 0] == pytest.approx(700) and views.y_pred[0, 0] == 0


def test_errors_of_classes_by_hand():
    y_true = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, np.nan]])
    y_pred = np.array([[0.4, 0.6], [0.1, 0.9], [0.5, 0.5]])
    forecast = TaskForecast("classes", np.array(["a", "b", "c"], object), np.arange(2), y_true, y_pred)
    np.testing.assert_array_equal(forecast.errors()[:, 0], [0, 1, np.nan])
    assert forecast.scores()["error_rate"] == 0.5


def test_videos_of_a_test_set_are_averaged_over_folds():
    table = planted.views_table(planted.noise(1, 0.1)).query("split == 'test'")
    other = table.assign(fold=1, y_pred=table["y_pred"] * 3)
    forecast = forecasts_of(pd.concat([table, other]), "table")["views"]
    np.testing.assert_allclose(forecast.y_pred[:, 0], 2 * table["y_pred"])


def test_shared_videos_have_the_same_known_truth():
    a = numbers("abcde", [1, 2, 3, np.nan, 5])
    b = numbers("edcbz", [5, 4, 3.5, 2, 9])
    families, ids = shared_videos({"a": a, "b": b}, fewest=2)
    assert families == ["a", "b"]
    assert list(ids) == ["b", "e"]


def test_family_without_enough_in_common_is_left_out_and_not_the_others():
    truth = list(range(10))
    forecasts = {
        "few": numbers("klmnopqrsa", truth),
        "first": numbers("abcdefghij", truth),
        "second": numbers("abcdefghij", truth),
    }
    families, ids = shared_videos(forecasts, fewest=5)
    assert families == ["first", "second"] and len(ids) == 10
    assert shared_videos({"few": forecasts["few"], "first": forecasts["first"]}, fewest=5)[0] == []
