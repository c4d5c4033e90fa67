import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figure_checks import check_figure, notes, trace

from vidpop_pipelines.evaluation import explanation_figures
from vidpop_pipelines.evaluation.regression_figures import MAX_POINTS

NAMES = ["duration", "<language>", "has tags"]
SHAP = np.array([[1.0, 0.2, 0.0], [-1.0, 0.2, 0.5], [2.0, -0.3, 0.0], [-2.0, -0.3, 0.0]])
FEATURES = np.array([[10.0, np.nan, 0], [2.0, np.nan, 1], [20.0, np.nan, 0], [1.0, np.nan, 0]])


def all_figures() -> dict[str, go.Figure]:
    return {
        "importance": explanation_figures.feature_importance(
            pd.Series([0.1, 0.5, 0.2], index=NAMES), title="Importance", n_features=2
        ),
        "shap": explanation_figures.shap_summary(SHAP, FEATURES, NAMES, title="Contributions"),
    }


@pytest.mark.parametrize("name", ["importance", "shap"])
def test_figures_are_titled_readable_json_and_the_same_every_time(name, tmp_path):
    check_figure(lambda: all_figures()[name], tmp_path)


def test_feature_importance_shows_the_most_important_first():
    figure = all_figures()["importance"]
    assert [name.strip() for name in figure.data[0].y] == ["&lt;language&gt;", "has tags"]
    assert figure.data[0].x == (0.5, 0.2)
    assert notes(figure) == "the 2 most important of 3 features"


def test_shap_summary():
    figure = all_figures()["shap"]
    assert [name.strip() for name in figure.layout.yaxis.ticktext] == [
        "duration",
        "&lt;language&gt;",
        "has tags",
    ]
    points, no_value = trace(figure, "video"), trace(figure, "no value")
    assert points.x == (1.0, -1.0, 2.0, -2.0, 0.0, 0.5, 0.0, 0.0)
    assert no_value.x == (0.2, 0.2, -0.3, -0.3)
    # 5th and 95th percentile of 1, 2, 10, 20: 1.15 and 18.5.
    assert points.marker.color[:4] == pytest.approx((8.85 / 17.35, 0.85 / 17.35, 1.0, 0.0))
    # Points of equal contribution lie beside each other, within their row.
    rows = np.array(points.y[4:])
    assert len(set(rows[[0, 2, 3]])) == 3 and (np.abs(rows - 2) <= 0.4).all()
    assert rows[1] == 2.0


def test_shades_of_rare_flags_and_constants():
    flags = np.zeros(100)
    flags[3] = 1.0
    assert explanation_figures._shades(flags)[[0, 3]].tolist() == [0.5, 1.0]
    assert explanation_figures._shades(np.array([7.0, 7.0])).tolist() == [0.5, 0.5]


def test_shap_summary_of_constant_contributions_and_many_videos():
    shap, values = np.zeros((5000, 3)), np.ones((5000, 3))
    figure = explanation_figures.shap_summary(shap, values, NAMES, title="t")
    assert len(figure.data[0].x) == MAX_POINTS
    offsets = np.array(figure.data[0].y) - np.repeat([0, 1, 2], 1000)
    assert (np.abs(offsets) <= 0.4 + 1e-9).all()
