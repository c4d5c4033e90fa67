import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figure_checks import check_figure, notes, trace

from vidpop_pipelines.evaluation import regression_figures as figures
from vidpop_pipelines.evaluation.figures import leaderboard_bars
from vidpop_pipelines.evaluation.predictions import build_predictions
from vidpop_pipelines.evaluation.regression import metrics_by_group, regression_metrics, scores_by_forecast


def predictions(n_videos: int = 40, *, with_intervals: bool = True) -> pd.DataFrame:
    """Video k has exp(k / 4) views and a forecast 20 % higher; every tenth lies outside of its interval."""
    y_true = np.exp(np.arange(n_videos) / 4 % 12)[:, None]
    y_true[0], y_true[-1] = 0.0, np.nan
    y_pred = y_true * 1.2
    y_pred[-1] = 5.0
    width = np.where(np.arange(n_videos) % 10 == 1, 0.01, 0.9)[:, None]
    return build_predictions(
        [f"<v{number:02d}>" for number in range(n_videos)],
        y_pred,
        target="views",
        steps=[0],
        split="test",
        fold=0,
        y_true=y_true,
        lower=y_pred * (1 - width) if with_intervals else None,
        upper=y_pred * (1 + width) if with_intervals else None,
        members={"median": np.full_like(y_pred, 20.0)},
        dtype=np.float64,
    )


def groups(table: pd.DataFrame) -> pd.Series:
    names = pd.Series("young", index=table["video_id"])
    names.iloc[10:], names.iloc[30:] = "old", None
    return names.astype(pd.CategoricalDtype(["young", "old"], ordered=True))


def all_figures() -> dict[str, go.Figure]:
    table = predictions()
    by_group = metrics_by_group(table, groups(table), target="views")
    return {
        "true": figures.predicted_against_true(table, target="views", title="Predicted and true"),
        "residuals": figures.residuals(table, target="views", title="Errors"),
        "groups": figures.group_metrics(
            by_group, metric="log_rmse", metric_name="log-RMSE", group_name="age", title="By age"
        ),
        "coverage": figures.group_metrics(
            by_group, metric="coverage", metric_name="share", group_name="age", title="Coverage", nominal=0.9
        ),
    }


@pytest.mark.parametrize("name", ["true", "residuals", "groups", "coverage"])
def test_figures_are_titled_readable_json_and_the_same_every_time(name, tmp_path):
    check_figure(lambda: all_figures()[name], tmp_path)


def test_predicted_against_true_shows_every_known_video_once():
    figure = all_figures()["true"]
    inside, outside = trace(figure, "inside the interval"), trace(figure, "outside the interval")
    assert list(outside.customdata) == [f"&lt;v{number}&gt;" for number in ("01", "11", "21", "31")]
    assert len(inside.x) == 39 - 4
    assert (inside.x[0], inside.y[0]) == (1.0, 1.0)  # no views, drawn as 0 + 1
    assert outside.y[1] == pytest.approx(np.exp(11 / 4) * 1.2 + 1)
    assert "89.7% of true values" in notes(figure)  # 35 of 39
    assert figure.layout.xaxis.title.text == "true views + 1"
    low, high = np.power(10, figure.layout.xaxis.range)
    assert low < 1 and high > max(inside.y)


def test_predicted_against_true_without_intervals():
    figure = figures.predicted_against_true(predictions(with_intervals=False), target="views", title="t")
    assert {curve.name for curve in figure.data} == {"forecast", "perfect forecast"}
    assert notes(figure) == "39 videos"


@pytest.mark.parametrize("draw", [figures.predicted_against_true, figures.residuals])
def test_many_videos_are_sampled_but_counted_in_full(draw):
    figure = draw(predictions(5000), target="views", title="t")
    names = [name for curve in figure.data if curve.customdata is not None for name in curve.customdata]
    assert len(names) == len(set(names)) == figures.MAX_POINTS
    assert "3,000 of 4,999 videos drawn" in notes(figure)


def test_residuals_are_in_log_units():
    figure = all_figures()["residuals"]
    points, medians, share = trace(figure, "video"), trace(figure, "median of a tenth"), figure.data[2]
    assert len(points.x) == 39 and len(medians.x) == 10
    assert points.y[8] == pytest.approx(np.log((np.exp(2) * 1.2 + 1) / (np.exp(2) + 1)))
    assert medians.y[-1] == pytest.approx(np.log(1.2), abs=1e-3)
    assert sum(share.x) == pytest.approx(1.0)
    assert "median error +0.1" in notes(figure)


def test_group_metrics_are_in_the_order_of_the_groups():
    figure = all_figures()["groups"]
    forecast, median = trace(figure, "forecast"), trace(figure, "median")
    expected = ["young<br>10 videos", "old<br>20 videos", "unknown<br>9 videos"]
    assert list(figure.layout.xaxis.categoryarray) == expected
    # No line leads to the videos without a group.
    assert list(forecast.x) == [*expected, expected[-1]]
    assert forecast.y[2] is None and forecast.y[3] is not None
    assert forecast.line.width > median.line.width
    assert forecast.marker.symbol != median.marker.symbol
    assert {curve.name for curve in all_figures()["coverage"].data} == {"forecast"}


def test_leaderboard_bars_of_members_and_baselines():
    scores = scores_by_forecast(regression_metrics(predictions(), target="views"))
    figure = leaderboard_bars(
        scores, label="forecast", metric="rmse", metric_name="RMSE (views)", title="RMSE"
    )
    assert [name.strip() for name in figure.data[0].y] == ["forecast", "median"]
    # From 1,000 on without decimals.
    assert figure.data[0].text[1] == f"{scores['rmse'][1]:,.0f}"
