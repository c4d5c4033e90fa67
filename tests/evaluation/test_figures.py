import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figure_checks import check_figure

from vidpop_pipelines.evaluation import figures
from vidpop_pipelines.evaluation.metrics import day_metrics, interval_by_day
from vidpop_pipelines.evaluation.predictions import build_predictions, to_matrix


def predictions(n_videos: int = 20, *, with_intervals: bool = True) -> pd.DataFrame:
    """Days 2 to 5; the popularity of video k is about k, the last video has no known day."""
    level = np.arange(n_videos, dtype=float)[:, None]
    y_true = level + np.array([[0.0, 0.2, 0.4, np.nan]])
    y_true[-1] = np.nan
    y_pred = level + np.array([[0.1, 0.1, 0.1, 0.1]])
    return build_predictions(
        [f"<v{number:02d}>" for number in range(n_videos)],
        y_pred,
        target="popularity_score",
        steps=[2, 3, 4, 5],
        split="test",
        fold=0,
        y_true=y_true,
        lower=y_pred - 1 if with_intervals else None,
        upper=y_pred + 1 if with_intervals else None,
        members={"persistence": y_pred + 1},
    )


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(figure.select_traces({"name": name}))


def axis_titles(figure: go.Figure) -> set[str]:
    layout = figure.to_plotly_json()["layout"]
    return {axis["title"]["text"] for name, axis in layout.items() if "axis" in name and "title" in axis}


HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "amae": [2.0, 1.0, 1.5]})
LEADERBOARD = pd.DataFrame(
    {"forecast": ["CatBoost", "blend & more", "constant"], "AMAE": [1.0, 0.9, np.nan], "videos": [20, 20, 20]}
)


def all_figures() -> dict[str, go.Figure]:
    table = predictions()
    days = {"forecast": day_metrics(table), "persistence": day_metrics(table, forecast="y_pred_persistence")}
    return {
        "days": figures.day_metric_curves(days, title="By day"),
        "curves": figures.forecast_curves(table, title="Curves"),
        "calibration": figures.interval_calibration(
            interval_by_day(table), nominal=0.9, n_calibration=20, title="Calibration"
        ),
        "history": figures.training_history(
            HISTORY,
            losses={"train_loss": "training loss"},
            metric="amae",
            metric_name="validation AMAE (score points)",
            best_epoch=2,
            title="Training",
        ),
        "bars": figures.leaderboard_bars(
            LEADERBOARD, label="forecast", metric="AMAE", metric_name="AMAE (score points)", title="AMAE"
        ),
        "table": figures.leaderboard_table(LEADERBOARD, title="Leaderboard"),
    }


@pytest.mark.parametrize("name", ["days", "curves", "calibration", "history", "bars", "table"])
def test_figures_are_titled_readable_json_and_the_same_every_time(name, tmp_path):
    check_figure(lambda: all_figures()[name], tmp_path)


def test_day_metric_curves():
    figure = all_figures()["days"]
    assert axis_titles(figure) == {
        "MAE (score points)<br>lower is better",
        "SRC (Spearman)<br>higher is better",
        "day after publication",
    }
    mae, src = figure.select_traces({"name": "forecast"})
    assert mae.x == (2, 3, 4, 5)
    assert mae.y[:3] == pytest.approx((0.1, 0.1, 0.3), abs=1e-6) and mae.y[3] is None
    assert src.y[:3] == pytest.approx((1.0, 1.0, 1.0))
    lines = {(curve.line.color, curve.line.dash) for curve in figure.data if curve.showlegend}
    assert len(lines) == 2 and len({dash for _, dash in lines}) == 2


def test_videos_are_spread_evenly_over_popularity():
    table = predictions(21)
    # 20 videos have a known day: the middles of four parts of five.
    assert figures.choose_videos(to_matrix(table), 4).tolist() == [2, 7, 12, 17]
    assert figures.choose_videos(to_matrix(table), 100).tolist() == list(range(20))
    shuffled = to_matrix(table.sample(frac=1, random_state=0))
    assert shuffled.video_ids[figures.choose_videos(shuffled, 4)].tolist() == [
        "<v02>",
        "<v07>",
        "<v12>",
        "<v17>",
    ]


def test_forecast_curves():
    figure = figures.forecast_curves(predictions(21), title="Curves", n_videos=4)
    panel_titles = [annotation.text for annotation in figure.layout.annotations]
    assert panel_titles[:4] == ["&lt;v02&gt;", "&lt;v07&gt;", "&lt;v12&gt;", "&lt;v17&gt;"]
    assert {"day after publication", "popularity score log2(views/day + 1)"} <= set(panel_titles)
    assert trace(figure, "truth").y == pytest.approx((2.0, 2.2, 2.4, None))
    assert trace(figure, "forecast").y == pytest.approx((2.1,) * 4)
    assert trace(figure, "lower end").y == pytest.approx((1.1,) * 4)
    assert trace(figure, "interval").y == pytest.approx((3.1,) * 4)
    without = figures.forecast_curves(predictions(with_intervals=False), title="Curves")
    assert {curve.name for curve in without.data} == {"forecast", "truth"}


def test_interval_calibration_band_counts_calibration_and_test_videos():
    figure = all_figures()["calibration"]
    assert trace(figure, "coverage").y == (1.0, 1.0, 1.0, None)
    assert trace(figure, "mean width").y == pytest.approx((2.0,) * 4)
    assert trace(figure, "nominal (90%)").y == (0.9,) * 4
    without = figures.interval_calibration(interval_by_day(predictions()), nominal=0.9, title="Calibration")
    assert {curve.name for curve in without.data} == {"coverage", "mean width", "nominal (90%)"}
    lower_edge = figure.data[0].y
    assert lower_edge[0] == pytest.approx(0.9 - 1.96 * (0.09 * (1 / 20 + 1 / 19)) ** 0.5)


def test_training_history_marks_the_best_epoch():
    figure = all_figures()["history"]
    best = trace(figure, "best epoch (2)")
    assert best.x == (2,) and best.y == (1.0,)
    assert trace(figure, "training loss").y == (3.0, 2.0, 1.0)
    assert {"loss", "validation AMAE (score points)", "epoch"} == axis_titles(figure)


def test_leaderboard_bars_are_ranked():
    bars = all_figures()["bars"].data[0]
    assert [name.strip() for name in bars.y] == ["blend &amp; more", "CatBoost"]
    assert bars.x == (0.9, 1.0)
    highest_first = figures.leaderboard_bars(
        LEADERBOARD, label="forecast", metric="AMAE", metric_name="x", title="t", lower_is_better=False
    )
    assert highest_first.data[0].x == (1.0, 0.9)


def test_leaderboard_table_shows_a_dash_where_there_is_no_value():
    cells = all_figures()["table"].data[0].cells.values
    assert [list(column) for column in cells] == [
        ["CatBoost", "blend &amp; more", "constant"],
        ["1.000", "0.900", "–"],
        ["20", "20", "20"],
    ]
