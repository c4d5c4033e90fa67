import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpop_pipelines.evaluation.classification import (
    binary_metrics,
    classification_scores,
    expected_calibration_error,
    pearson,
    reliability_table,
)
from vidpop_pipelines.evaluation.predictions import build_predictions

TRUTH = np.array([1, 1, 1, 0, 0])
PROBABILITY = np.array([0.9, 0.6, 0.2, 0.7, 0.1])


def test_scores_by_hand():
    # Predicted 1 1 0 1 0: of class 1 two of three are found, two of the three predicted are right;
    # of class 0 one of two is found, one of the two predicted is right.
    f1_of_one, f1_of_zero = 2 / 3, 1 / 2
    scores = classification_scores(TRUTH, PROBABILITY)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["f1_weighted"] == pytest.approx(3 / 5 * f1_of_one + 2 / 5 * f1_of_zero)
    assert scores["precision_weighted"] == pytest.approx(3 / 5 * 2 / 3 + 2 / 5 * 1 / 2)
    assert scores["recall_weighted"] == pytest.approx(3 / 5 * 2 / 3 + 2 / 5 * 1 / 2)
    # Of the six pairs of a 1 and a 0, all but (0.6, 0.7) and (0.2, 0.7) are in order.
    assert scores["roc_auc"] == pytest.approx(4 / 6)
    # Each probability is alone in its bin.
    assert scores["ece"] == pytest.approx((0.1 + 0.4 + 0.8 + 0.7 + 0.1) / 5)


def test_one_half_counts_as_one_and_a_class_never_predicted_as_zero():
    scores = classification_scores(np.array([1, 0]), np.array([0.5, 0.5]))
    # Precision 1/2 and recall 1 for class 1, nothing for class 0.
    assert scores["accuracy"] == 0.5
    assert scores["f1_weighted"] == pytest.approx(0.5 * 2 / 3)
    assert scores["precision_weighted"] == pytest.approx(0.25)


def test_one_class_has_no_roc_auc():
    assert "roc_auc" not in classification_scores(np.array([1, 1]), np.array([0.5, 0.7]))


def test_calibration_error_by_hand():
    # Bin 0.2..0.3: mean 0.25, no event; bin 0.9..1: mean 0.97, two of three.
    truth, probability = np.array([0, 0, 1, 1, 0]), np.array([0.22, 0.28, 1.0, 0.95, 0.96])
    table = reliability_table(truth, probability)
    assert table["n"].tolist() == [2, 3]
    np.testing.assert_allclose(table["probability"], [0.25, 0.97])
    np.testing.assert_allclose(table["frequency"], [0, 2 / 3])
    assert expected_calibration_error(truth, probability) == pytest.approx(
        2 / 5 * 0.25 + 3 / 5 * (0.97 - 2 / 3)
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1))
def test_calibration_error_is_a_share(rows):
    truth, probability = (np.array(column) for column in zip(*rows, strict=True))
    assert 0 <= expected_calibration_error(truth, probability) <= 1
    assert reliability_table(truth, probability)["n"].sum() == len(rows)


def test_pearson_by_hand_and_undefined():
    # Deviations (-1, 0, 1) and (-1, -1, 2): 3 / sqrt(2 * 6).
    assert pearson([1, 2, 3], [0, 0, 3]) == pytest.approx(3 / np.sqrt(12))
    assert np.isnan(pearson([1, 2], [0.1, 0.1])) and np.isnan(pearson([1], [2]))


def predictions() -> pd.DataFrame:
    """Five labelled videos and two between the thresholds; one member that is the same for all."""
    ids = [f"v{number}" for number in range(7)]
    raw = np.array([9.0, 8, 7, 1, 2, 4, 5])
    probability = np.append(PROBABILITY, [0.4, 0.5])
    common = {"steps": [0], "split": "test", "fold": 0, "dtype": np.float64}
    labelled = build_predictions(
        ids[:5],
        PROBABILITY[:, None],
        target="popular",
        y_true=TRUTH[:, None],
        lower=np.maximum(PROBABILITY - 0.6, 0)[:, None],
        upper=np.minimum(PROBABILITY + 0.6, 1)[:, None],
        members={"majority": np.full((5, 1), 0.6)},
        **common,
    )
    everything = build_predictions(
        ids,
        probability[:, None],
        target="metric",
        y_true=raw[:, None],
        members={"majority": np.full((7, 1), 0.6)},
        **common,
    )
    return pd.concat([labelled, everything], ignore_index=True)


def test_metrics_of_a_table_by_hand():
    metrics = binary_metrics(predictions(), target="popular", raw_target="metric")
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    # Ranks of the metric 7 6 5 1 2 3 4, of the probability 7 5 2 6 1 3 4: squared differences sum to 36.
    assert metrics["srcc"] == pytest.approx(1 - 6 * 36 / (7 * 48))
    raw, probability = np.array([9.0, 8, 7, 1, 2, 4, 5]), np.append(PROBABILITY, [0.4, 0.5])
    assert metrics["plcc"] == pytest.approx(np.corrcoef(raw, probability)[0, 1])
    # Outside its interval: the 1 at 0.2 .. 0.8 and the 0 at 0.1 .. 1.
    assert metrics["coverage"] == pytest.approx(3 / 5)
    assert metrics["interval_width"] == pytest.approx((0.7 + 1.0 + 0.8 + 0.9 + 0.7) / 5)
    assert metrics["accuracy.majority"] == pytest.approx(3 / 5) and metrics["roc_auc.majority"] == 0.5
    # A constant has no correlation: left out, not zero.
    assert "srcc.majority" not in metrics and "plcc.majority" not in metrics
