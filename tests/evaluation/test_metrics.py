import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.metrics import (
    curve_metrics,
    day_metrics,
    interval_by_day,
    score_days,
    window_metrics,
)
from vidpop_pipelines.evaluation.predictions import build_predictions

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 1)


def table(y_true, y_pred, *, first_day: int = 1, **others) -> pd.DataFrame:
    y_pred = np.asarray(y_pred, dtype=float)
    return build_predictions(
        [f"v{row}" for row in range(len(y_pred))],
        y_pred,
        target="popularity_score",
        steps=range(first_day, first_day + y_pred.shape[1]),
        **({"split": "test", "fold": 0, "y_true": y_true} | others),
    )


def test_mae_of_three_numbers():
    # |2 - 1| + |2 - 2| + |1 - 4| = 4, over 3 videos.
    days = score_days(column(1, 2, 4), column(2, 2, 1), [7])
    assert days["mae"].tolist() == [pytest.approx(4 / 3)]
    assert days["day"].tolist() == [7] and days["n_known"].tolist() == [3]


def test_spearman_with_ties_by_hand():
    # Ranks 1, 2.5, 2.5, 4 and 3, 1, 2, 4; centred: -1.5, 0, 0, 1.5 and 0.5, -1.5, -0.5, 1.5.
    # Sum of products 1.5, sums of squares 4.5 and 5: 1.5 / sqrt(22.5) = 1 / sqrt(10).
    days = score_days(column(1, 2, 2, 4), column(3, 1, 2, 5), [1])
    assert days["src"].tolist() == [pytest.approx(10**-0.5)]


def test_spearman_without_ties_by_hand():
    # Rank differences 0, -1, 1, 0: 1 - 6 * 2 / (4 * 15) = 0.8; an increasing transform changes nothing.
    assert score_days(column(1, 2, 3, 4), column(10, 30, 20, 1000), [1])["src"].tolist() == [
        pytest.approx(0.8)
    ]
    assert score_days(column(1, 2, 3), column(9, 5, 1), [1])["src"].tolist() == [-1.0]


def test_missing_days_are_masked():
    days = score_days(column(1, NAN, 3, 5), column(2, 100, 3, 3), [1])
    assert days["mae"].tolist() == [1.0]  # (1 + 0 + 2) / 3
    assert days["src"].tolist() == [pytest.approx(3**0.5 / 2)]  # ranks 1, 2, 3 and 1, 2.5, 2.5


@pytest.mark.parametrize(
    ("y_true", "y_pred", "rankable"),
    [
        (column(1, 2, 3), column(5, 5, 5), True),  # constant forecast
        (column(4, 4, 4), column(1, 2, 3), False),  # constant truth
        (column(1, NAN, NAN), column(1, 2, 3), False),  # one known value
        (column(NAN, NAN, NAN), column(1, 2, 3), False),
        (column(1, 2, 3), column(1, NAN, 3), True),  # no forecast for a known value
    ],
)
def test_undefined_rank_correlation_is_nan(y_true, y_pred, rankable):
    days = score_days(y_true, y_pred, [1])
    assert np.isnan(days["src"]).all()
    assert days["rankable"].tolist() == [rankable]


values = arrays(np.float64, (12, 3), elements=st.integers(0, 5).map(float))


@given(y_true=values, y_pred=values, known=arrays(bool, (12, 3)))
def test_score_days_agrees_with_scipy(y_true, y_pred, known):
    from scipy.stats import spearmanr

    days = score_days(np.where(known, y_true, NAN), y_pred, [1, 2, 3])
    for day in range(3):
        truth, forecast = y_true[known[:, day], day], y_pred[known[:, day], day]
        if len(np.unique(truth)) > 1 and len(np.unique(forecast)) > 1:
            assert days["src"][day] == pytest.approx(spearmanr(truth, forecast).statistic)
        else:
            assert np.isnan(days["src"][day])
        if len(truth):
            assert days["mae"][day] == pytest.approx(np.abs(truth - forecast).mean())
        else:
            assert np.isnan(days["mae"][day])


def test_window_is_the_mean_over_its_days():
    y_true = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    y_pred = [[1, 2, 7], [2, 4, 8], [3, 3, 9]]
    days = day_metrics(table(y_true, y_pred, first_day=2))
    # MAE by day 0, 1, 6; SRC 1, 0.5, 1.
    assert days["mae"].tolist() == [0.0, 1.0, 6.0]
    assert days["src"].tolist() == pytest.approx([1.0, 0.5, 1.0])
    assert window_metrics(days, 2, 3) == pytest.approx({"amae_2_3": 0.5, "asrc_2_3": 0.75})
    assert window_metrics(days, 4, 4) == pytest.approx({"amae_4_4": 6.0, "asrc_4_4": 1.0})


def test_days_without_truth_are_left_out_of_the_window():
    days = day_metrics(table([[1, NAN, 5], [2, NAN, NAN]], [[2, 0, 5], [3, 1, 6]]))
    # Day 2 has no truth; day 3 has one value: an error of 0, no rank correlation.
    assert window_metrics(days, 1, 3) == pytest.approx({"amae_1_3": 0.5, "asrc_1_3": 1.0})


def test_constant_forecast_on_one_day_leaves_the_rank_correlation_undefined():
    days = day_metrics(table([[1, 1], [2, 2]], [[1, 3], [2, 3]]))
    assert window_metrics(days, 1, 2) == pytest.approx({"amae_1_2": 0.75})
    assert window_metrics(days, 1, 1) == pytest.approx({"amae_1_1": 0.0, "asrc_1_1": 1.0})


@pytest.mark.parametrize(("first", "last"), [(1, 3), (2, 5), (3, 2)])
def test_window_outside_the_forecast_is_an_error(first, last):
    days = day_metrics(table(np.ones((2, 3)), np.ones((2, 3)), first_day=2))
    with pytest.raises(InputError, match=r"(?s)window.*days between 2 and 4"):
        window_metrics(days, first, last)


def test_intervals_by_hand():
    predictions = table(
        [[1, 2], [NAN, 6]],
        [[1, 1], [1, 1]],
        lower=[[0, 1], [0, 1]],
        upper=[[1, 3], [3, 5]],
    )
    by_day = interval_by_day(predictions)
    # Day 1: the only known value, 1, lies on the edge of [0, 1]. Day 2: 2 inside [1, 3], 6 outside [1, 5].
    assert by_day["coverage"].tolist() == [1.0, 0.5]
    assert by_day["n_known"].tolist() == [1, 2]
    assert by_day["width"].tolist() == [2.0, 3.0]
    metrics = curve_metrics(predictions, [])
    assert metrics["coverage"] == pytest.approx(2 / 3)
    assert metrics["interval_width"] == pytest.approx(2.5)


def test_curve_metrics_has_exactly_the_keys_of_the_contract():
    y_true = np.array([[1.0, 1.0], [2.0, 3.0], [4.0, 2.0]])
    predictions = table(
        y_true,
        y_true + 1,
        first_day=2,
        lower=y_true,
        upper=y_true + 2,
        members={"network": y_true + 2, "persistence": np.full((3, 2), 5.0)},
    )
    other_split = table(y_true, y_true + 100, first_day=2, split="val")
    metrics = curve_metrics(pd.concat([predictions, other_split]), [(2, 3)])
    assert metrics == pytest.approx(
        {
            "amae_2_3": 1.0,
            "asrc_2_3": 1.0,
            "mae_day_2": 1.0,
            "mae_day_3": 1.0,
            "src_day_2": 1.0,
            "src_day_3": 1.0,
            "coverage": 1.0,
            "interval_width": 2.0,
            "amae_2_3.network": 2.0,
            "asrc_2_3.network": 1.0,
            "mae_day_2.network": 2.0,
            "mae_day_3.network": 2.0,
            "src_day_2.network": 1.0,
            "src_day_3.network": 1.0,
            # |5 - 1|, |5 - 2|, |5 - 4|: 8 / 3; |5 - 1|, |5 - 3|, |5 - 2|: 3. A constant has no SRC.
            "amae_2_3.persistence": (8 / 3 + 3) / 2,
            "mae_day_2.persistence": 8 / 3,
            "mae_day_3.persistence": 3.0,
        }
    )
    json.dumps(metrics, allow_nan=False)


def test_no_intervals_no_interval_metrics():
    assert not {"coverage", "interval_width"} & curve_metrics(table([[1], [2]], [[1], [2]]), []).keys()


def test_forecast_with_gaps_has_no_metrics_and_says_so(caplog):
    predictions = table([[1], [2], [3]], [[1], [2], [3]], members={"persistence": [[1], [NAN], [3]]})
    with caplog.at_level(logging.WARNING):
        metrics = curve_metrics(predictions, [(1, 1)])
    assert metrics == {"amae_1_1": 0.0, "asrc_1_1": 1.0, "mae_day_1": 0.0, "src_day_1": 1.0}
    assert "y_pred_persistence has no rank correlation on day 1" in caplog.text


def test_folds_are_pooled():
    folds = pd.concat(
        [
            table([[1], [2]], [[2], [3]], fold=0),
            table([[3]], [[6]], fold=1).assign(video_id="other"),
        ]
    )
    assert curve_metrics(folds, [(1, 1)])["amae_1_1"] == pytest.approx(5 / 3)
