import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.comparison import paired_bootstrap
from vidpop_pipelines.evaluation.predictions import build_predictions, validate_predictions
from vidpop_pipelines.evaluation.regression import (
    class_metrics,
    class_scores,
    count_scores,
    metrics_by_group,
    plain_regression_metrics,
    regression_metrics,
    scores_by_forecast,
    value_scores,
)

NAN = np.nan


def table(y_true, y_pred, *, target: str = "views", **others) -> pd.DataFrame:
    def column(values):
        return np.asarray(values, dtype=float).reshape(-1, 1)

    options = {name: others.pop(name) for name in ("split", "fold") if name in others}
    members = {name: column(values) for name, values in others.pop("members", {}).items()}
    return build_predictions(
        [f"v{row}" for row in range(len(y_pred))],
        column(y_pred),
        target=target,
        steps=[0],
        y_true=column(y_true),
        members=members,
        dtype=np.float64,
        **({"split": "test", "fold": 0} | options),
        **{name: column(values) for name, values in others.items()},
    )


def classes(probabilities, true_class, **members) -> pd.DataFrame:
    """Rows of each class; ``true_class`` is an index, -1 where unknown."""
    true_class = np.asarray(true_class)
    parts = []
    for index, name in enumerate(("growth", "peak", "decay")):
        truth = np.where(true_class < 0, NAN, true_class == index)
        parts.append(
            table(
                truth,
                np.asarray(probabilities)[:, index],
                target=f"lifecycle_stage={name}",
                members={member: np.asarray(values)[:, index] for member, values in members.items()},
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_scores_of_three_numbers():
    # Errors 1, 1, -2; truth has mean 2 and squared deviations 1, 0, 1.
    assert value_scores(np.array([1.0, 2, 3]), np.array([2.0, 3, 1])) == pytest.approx(
        {"mae": 4 / 3, "rmse": math.sqrt(2), "r2": 1 - 6 / 2, "srcc": -0.5}
    )


def test_scores_of_three_counts():
    e = math.e
    # ln(count + 1): truth 0, 1, 2; forecast 1, 1, 4; errors 1, 0, 2.
    y_true, y_pred = np.array([1, e, e**2]) - 1, np.array([e, e, e**4]) - 1
    scores = count_scores(y_true, y_pred)
    assert scores["log_mae"] == pytest.approx(1.0)
    assert scores["log_rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert scores["r2_log"] == pytest.approx(1 - 5 / 2)
    # The first truth is zero and has no percentage error; the others are off by 0 and (e^4 - e^2) / (e^2 - 1).
    assert scores["mape"] == pytest.approx(e**2 / 2)
    assert scores["median_ape"] == pytest.approx(e**2 / 2)
    assert scores["srcc"] == pytest.approx(math.sqrt(3) / 2)  # ranks 1, 2, 3 and 1.5, 1.5, 3


def test_percentage_errors_are_fractions():
    scores = count_scores(np.array([100.0, 100, 100]), np.array([110.0, 80, 190]))
    assert scores["mape"] == pytest.approx(0.4)
    assert scores["median_ape"] == pytest.approx(0.2)


def test_undefined_scores_are_left_out():
    # One value: no R2, no rank correlation; all truth zero: no percentage error.
    assert count_scores(np.array([0.0, NAN]), np.array([3.0, 5.0])) == pytest.approx(
        {"rmse": 3.0, "mae": 3.0, "log_rmse": math.log(4), "log_mae": math.log(4)}
    )
    assert "srcc" not in value_scores(np.array([1.0, 2.0]), np.array([5.0, 5.0]))
    assert count_scores(np.array([NAN]), np.array([1.0])) == {}
    assert count_scores(np.array([1.0, 2.0]), np.array([1.0, NAN])) == {}


def test_a_forecast_below_zero_has_no_logarithmic_scores():
    scores = count_scores(np.array([1.0, 2.0]), np.array([-0.5, 2.0]))
    assert scores["mae"] == 0.75 and not any("log" in key for key in scores)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="plain_regression_metrics"):
        count_scores(np.array([-1.0, 2.0]), np.array([1.0, 2.0]))


@settings(max_examples=50)
@given(arrays(np.float64, (6, 2), elements=st.integers(0, 10**6).map(float)), st.integers(2, 1000))
def test_scores_change_with_the_unit_as_they_should(values, factor):
    y_true, y_pred = values.T
    before, after = count_scores(y_true, y_pred), count_scores(y_true * factor, y_pred * factor)
    for key in {"r2", "srcc", "mape", "median_ape"} & set(before):
        assert after[key] == pytest.approx(before[key])
    assert after["rmse"] == pytest.approx(before["rmse"] * factor)
    assert before["mae"] <= before["rmse"] * (1 + 1e-9)


def test_regression_metrics_of_forecast_members_and_intervals():
    predictions = table(
        [10, 20, 40, NAN],
        [12, 20, 30, 7],
        lower=[5, 21, NAN, 0],
        upper=[15, 31, NAN, 4],
        members={"median": [20, 20, 20, 20], "broken": [10, NAN, 40, 7]},
    )
    validate_predictions(predictions)
    metrics = regression_metrics(predictions, target="views")
    assert metrics["mae"] == pytest.approx(4.0)
    assert metrics["mae.median"] == pytest.approx(10.0)
    assert metrics["coverage"] == 0.5
    assert metrics["interval_width"] == pytest.approx((10 + 10 + 4) / 3)
    widths = [math.log(16 / 6), math.log(32 / 22), math.log(5 / 1)]
    assert metrics["log_interval_width"] == pytest.approx(sum(widths) / 3)
    assert "srcc" in metrics and "srcc.median" not in metrics
    assert not any(key.endswith(".broken") or key.startswith("coverage.") for key in metrics)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    expected = count_scores(np.array([10.0, 20, 40]), np.array([12.0, 20, 30]))
    assert expected.items() <= metrics.items()


def test_a_member_that_lacks_a_forecast_is_reported(caplog):
    regression_metrics(table([1, 2], [1, 2], members={"broken": [1, NAN]}), target="views")
    assert "y_pred_broken has no forecast for 1 videos" in caplog.text


def test_without_intervals_there_is_no_coverage():
    metrics = regression_metrics(table([1, 2], [1, 2]), target="views")
    assert not {"coverage", "interval_width", "log_interval_width"} & set(metrics)


def test_only_the_split_and_target_asked_for_are_scored():
    predictions = pd.concat(
        [
            table([1, 2], [2, 3]),
            table([1, 2], [5, 6], split="val"),
            table([0.1, 0.2], [0.2, 0.2], target="like_ratio"),
        ],
        ignore_index=True,
    )
    assert regression_metrics(predictions, target="views")["mae"] == 1.0
    assert regression_metrics(predictions, target="views", split="val")["mae"] == 4.0
    assert plain_regression_metrics(predictions, target="like_ratio")["mae"] == pytest.approx(0.05)
    with pytest.raises(InputError, match="decay_rate"):
        plain_regression_metrics(predictions, target="decay_rate")


def test_plain_metrics_take_negative_values_and_no_logarithms():
    predictions = table(
        [-0.1, 0.1, 0.3],
        [0.0, 0.1, 0.3],
        target="decay_rate",
        lower=[-0.2, 0.2, 0.2],
        upper=[0.2, 0.4, 0.4],
        members={"mean": [0.1, 0.1, 0.1]},
    )
    metrics = plain_regression_metrics(predictions, target="decay_rate")
    expected = {"mae": 0.1 / 3, "rmse": 0.1 / math.sqrt(3), "r2": 1 - 0.01 / 0.08, "srcc": 1.0}
    expected |= {"coverage": 2 / 3, "interval_width": 0.8 / 3}
    expected |= {"mae.mean": 0.4 / 3, "rmse.mean": math.sqrt(0.08 / 3), "r2.mean": 0.0}
    assert metrics == pytest.approx(expected)


def test_a_forecast_of_several_days_is_refused():
    curve = build_predictions(
        ["a"], [[1.0, 2.0]], target="views", steps=[1, 2], split="test", fold=0, y_true=[[1.0, 2.0]]
    )
    with pytest.raises(ValueError, match="curve_metrics"):
        regression_metrics(curve, target="views")


PROBABILITIES = [[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]]


def test_class_metrics_by_hand():
    # The fourth video has no known class. Growth and peak are right; decay is taken for peak.
    even = np.full((4, 3), 1 / 3)
    predictions = classes(PROBABILITIES, [0, 1, 2, -1], even=even)
    metrics = class_metrics(predictions.sample(frac=1, random_state=0))
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    # F1: growth 1, peak 2 * 0.5 * 1 / 1.5, decay 0.
    assert metrics["f1_weighted"] == pytest.approx((1 + 2 / 3) / 3)
    assert metrics["log_loss"] == pytest.approx(-math.log(0.5 * 0.6 * 0.3) / 3)
    assert metrics["log_loss.even"] == pytest.approx(math.log(3))
    assert set(metrics) == {
        f"{key}{suffix}" for key in ("accuracy", "f1_weighted", "log_loss") for suffix in ("", ".even")
    }


def test_class_scores_without_truth_or_forecast_are_empty():
    probability = np.array([[0.4, 0.6]])
    assert class_scores(np.array([-1]), probability) == {}
    assert class_scores(np.array([0]), np.array([[NAN, NAN]])) == {}
    assert class_scores(np.array([0]), probability)["accuracy"] == 0.0


def test_float32_probabilities_add_up_nearly():
    probability = np.float32([[0.1, 0.2, 0.7]]) + np.float32(1e-6)
    assert class_scores(np.array([2]), probability)["log_loss"] == pytest.approx(-math.log(0.7), abs=1e-5)


@pytest.mark.parametrize("probability", [[[0.5, 0.6]], [[1.2, -0.2]]])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(ValueError, match="add up to 1"):
        class_scores(np.array([0]), np.array(probability))


@pytest.mark.parametrize("truth", [1.0, 0.0, NAN])
def test_a_video_has_exactly_one_class(truth):
    predictions = classes(PROBABILITIES, [0, 1, 2, -1])
    rows = (predictions["video_id"] == "v0") & (predictions["target"] != "lifecycle_stage=growth")
    predictions.loc[rows, "y_true"] = truth
    if truth == 0.0:
        predictions.loc[predictions["video_id"] == "v0", "y_true"] = 0.0
    with pytest.raises(InputError, match="v0"):
        class_metrics(predictions)


def test_class_metrics_need_rows():
    with pytest.raises(InputError, match="lifecycle_stage"):
        class_metrics(table([1.0], [1.0]))


def test_metrics_by_group():
    predictions = table(
        [10, 20, 40, 0, NAN],
        [10, 30, 20, 0, 5],
        lower=[5, 25, 10, 0, 0],
        upper=[15, 35, 50, 1, 9],
        members={"zero": [0] * 5},
    )
    age = pd.Series([3.0, 12.0, 13.0, NAN, 1.0, 99.0], index=["v0", "v1", "v2", "v3", "v4", "other"])
    groups = pd.cut(age, [0, 7, 14, 30, 100], labels=["week 1", "week 2", "later", "old"])
    result = metrics_by_group(predictions, groups, target="views")
    assert result["group"].tolist() == ["week 1", "week 1", "week 2", "week 2", "unknown", "unknown"]
    assert result["forecast"].tolist() == ["forecast", "zero"] * 3
    assert result["count"].tolist() == [1, 1, 2, 2, 1, 1]
    second = result.loc[2]
    a, b = math.log(31 / 21), math.log(41 / 21)
    assert second["log_mae"] == pytest.approx((a + b) / 2)
    assert second["log_rmse"] == pytest.approx(math.sqrt((a**2 + b**2) / 2))
    assert second["median_ape"] == pytest.approx(0.5)
    assert result["coverage"].tolist() == pytest.approx([1.0, NAN, 0.5, NAN, 1.0, NAN], nan_ok=True)
    # The truth of the last one is zero: no percentage error.
    assert np.isnan(result["median_ape"].iloc[-1]) and result["log_mae"].iloc[-1] == 0.0


def test_one_group_has_the_metrics_of_the_whole_table():
    rng = np.random.default_rng(0)
    truth = rng.lognormal(8, 2, 50)
    predictions = table(truth, truth * rng.lognormal(0, 1, 50), lower=truth * 0.9, upper=truth * 2)
    groups = pd.Series("all", index=predictions["video_id"])
    row = metrics_by_group(predictions, groups, target="views").iloc[0]
    metrics = regression_metrics(predictions, target="views")
    for key in ("log_rmse", "log_mae", "median_ape", "coverage"):
        assert row[key] == pytest.approx(metrics[key])


@pytest.mark.parametrize("index", [["v0"], ["v0", "v1", "v1"]])
def test_groups_must_name_every_video_once(index):
    with pytest.raises(ValueError, match="groups"):
        metrics_by_group(table([1, 2], [1, 2]), pd.Series("a", index=index), target="views")


def test_scores_by_forecast():
    result = scores_by_forecast({"mae": 1.0, "coverage": 0.9, "mae.xgboost": 2.0})
    assert list(result) == ["forecast", "mae", "coverage"]
    assert result["forecast"].tolist() == ["forecast", "xgboost"]
    assert result["mae"].tolist() == [1.0, 2.0]
    assert result["coverage"].tolist() == pytest.approx([0.9, NAN], nan_ok=True)


def test_paired_bootstrap_takes_log_errors_of_one_number():
    truth, a, b = np.array([10.0, 100, 1000]), np.array([10.0, 90, 1000]), np.array([20.0, 50, 100])
    errors = [np.abs(np.log1p(forecast) - np.log1p(truth))[:, None] for forecast in (a, b)]
    result = paired_bootstrap(*errors, seed=0)
    assert result.difference == pytest.approx(
        count_scores(truth, a)["log_mae"] - count_scores(truth, b)["log_mae"]
    )
    assert result.upper < 0 and result.probability == 1.0
