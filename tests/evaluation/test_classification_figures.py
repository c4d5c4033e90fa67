import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.evaluation.classification_figures import (
    confusion_matrices,
    probability_against_metric,
    reliability,
)
from vidpop_pipelines.evaluation.predictions import build_predictions


@pytest.fixture
def predictions() -> pd.DataFrame:
    truth = np.array([1, 1, 1, 0, 0.0])
    probability = np.array([0.9, 0.6, 0.2, 0.7, 0.1])
    tables = [
        build_predictions(
            list("abcde"),
            probability[:, None],
            target=target,
            steps=[0],
            split="test",
            fold=0,
            y_true=values[:, None],
            members={"boosting": truth[:, None]},
            dtype=np.float64,
        )
        for target, values in {"popular": truth, "metric": 1000 ** (truth + 1)}.items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_confusion_matrices_count_videos_and_shares_of_true_classes(predictions):
    figure = confusion_matrices(
        predictions,
        {"y_pred": "forecast", "y_pred_boosting": "boosting"},
        target="popular",
        classes=("no", "yes"),
        title="<b>",
    )
    first, second = figure.data
    assert [list(row) for row in first.text] == [["1<br>50%", "1<br>50%"], ["1<br>33%", "2<br>67%"]]
    assert [list(row) for row in second.text] == [["2<br>100%", "0<br>0%"], ["0<br>0%", "3<br>100%"]]
    assert figure.layout.title.text == "&lt;b&gt;"


def test_reliability_has_a_point_per_bin_and_counts_them(predictions):
    figure = reliability(predictions, {"y_pred": "forecast"}, target="popular", event="popular", title="t")
    diagonal, curve, histogram = figure.data
    assert curve.x == pytest.approx([0.1, 0.2, 0.6, 0.7, 0.9])
    assert curve.y == pytest.approx([0, 1, 1, 0, 1]) and list(curve.customdata) == [1] * 5
    assert sorted(histogram.x) == pytest.approx([0.1, 0.2, 0.6, 0.7, 0.9])
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]


def test_probability_is_drawn_over_the_raw_metric_with_thresholds(predictions):
    figure = probability_against_metric(
        predictions,
        raw_target="metric",
        metric_name="views",
        event="popular",
        thresholds={"low": 1000.0, "high": 10000.0},
        title="t",
    )
    points, mean = figure.data
    assert list(points.text) == list("abcde") and max(points.x) == 1e6
    assert len(mean.x) == 1 and mean.y[0] == pytest.approx(0.5)
    assert [shape.x0 for shape in figure.layout.shapes] == [1000.0, 10000.0]
    assert figure.layout.xaxis.title.text == "views"
