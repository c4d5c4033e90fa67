import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpop_pipelines.evaluation.multi_target import multi_target_metrics, nmse, score_forecasts


def test_nmse_by_hand():
    # First target: 1, 3, 5 deviate from its mean by 2, 0, 2: 8 in squares. Errors 1, 0, 2: 5 in squares.
    truth = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 3.0]])
    forecast = np.array([[2.0, 0.0], [3.0, 1.0], [3.0, 3.0]])
    # Second target: mean 1, deviations 1, 1, 2: 6; error 1.
    np.testing.assert_allclose(nmse(truth, forecast), [5 / 8, 1 / 6])


def test_nmse_is_over_the_whole_set_not_a_mean_of_parts():
    truth, forecast = np.array([[0.0], [2.0], [10.0], [14.0]]), np.array([[1.0], [1.0], [12.0], [12.0]])
    parts = [nmse(truth[:2], forecast[:2])[0], nmse(truth[2:], forecast[2:])[0]]
    assert parts == [1.0, 1.0] and nmse(truth, forecast)[0] == pytest.approx(10 / 131)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(0.5, 3), st.floats(-50, 50))
def test_nmse_of_the_mean_is_one_and_units_do_not_matter(values, factor, shift):
    truth = np.array(values)[:, None]
    if np.var(truth) < 1e-6:
        return
    assert nmse(truth, np.full_like(truth, truth.mean()))[0] == pytest.approx(1)
    forecast = truth + 1
    assert nmse(truth, forecast)[0] == pytest.approx(
        nmse(factor * truth + shift, factor * forecast + shift)[0], rel=1e-6
    )


def test_constant_truth_has_no_nmse():
    assert np.isnan(nmse(np.ones((3, 1)), np.ones((3, 1)))).all()


def predictions(**changes) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "split": ["test"] * 3 + ["val"] * 3,
            "target": "views",
            "y_true": [1.0, 3.0, 5.0, 0.0, 2.0, 4.0],
            "y_pred": [2.0, 3.0, 3.0, 0.0, 2.0, 2.0],
            "lower": [0.0, 2.0, 2.5, 0.0, 0.0, 0.0],
            "upper": [4.0, 4.0, 3.5, 9.0, 9.0, 9.0],
            "y_pred_mean": [3.0] * 3 + [2.0] * 3,
        }
        | changes
    )
    likes = table.assign(target="likes", y_pred=table["y_true"])
    return pd.concat([table, likes], ignore_index=True)


def test_metrics_by_hand():
    metrics = multi_target_metrics(predictions())
    assert metrics == {
        "nmse_views": 5 / 8,
        "nmse_likes": 0,
        "score": 5 / 16,
        "nmse_views.mean": 1,
        "nmse_likes.mean": 1,
        "score.mean": 1,
        "oof_score": 4 / 8 / 2,
        "oof_score.mean": 1,
        "coverage": 2 / 3,
        "interval_width": 7 / 3,
    }


def test_without_intervals_there_is_no_coverage():
    metrics = multi_target_metrics(predictions(lower=np.nan, upper=np.nan))
    assert "coverage" not in metrics and "interval_width" not in metrics


def test_table_of_scores_keeps_names_and_order():
    table = score_forecasts(predictions().query("split == 'test'"))
    assert list(table.index) == ["forecast", "mean"]
    assert list(table.columns) == ["nmse_views", "nmse_likes", "score"]
