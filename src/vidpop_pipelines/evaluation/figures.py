"""Plotly figures of the reports, written to ``data/08_reporting`` and shown by kedro-viz.

Every figure names its units, tells its lines apart by dash or marker as well as by colour, and uses the
Okabe-Ito palette, which colour-blind readers can tell apart (Okabe and Ito, "Color Universal Design", 2008).
"""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidpop_pipelines.evaluation.predictions import PredictionMatrix, to_matrix

POPULARITY_SCORE = "popularity score log2(views/day + 1)"
DAY = "day after publication"

BLUE, ORANGE, AMBER, SKY, BLACK, GREY = "#0072B2", "#D55E00", "#E69F00", "#56B4E9", "#000000", "#767676"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", AMBER, SKY, BLACK)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
BAND = "rgba(86, 180, 233, 0.30)"

_AXIS = {
    "showline": True,
    "linecolor": GREY,
    "ticks": "outside",
    "tickcolor": GREY,
    "gridcolor": "#e6e6e6",
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 13}},
}
TEMPLATE = go.layout.Template(
    layout={
        "colorway": PALETTE,
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": "#222222"},
        "title": {"x": 0, "xref": "paper", "y": 0.97, "font": {"size": 17}},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"traceorder": "normal"},
        "margin": {"l": 70, "r": 30, "t": 60, "b": 60},
        "hovermode": "x unified",
    }
)


def day_metric_curves(days_by_forecast: Mapping[str, pd.DataFrame], *, title: str) -> go.Figure:
    """Draw MAE and SRC of several forecasts by day, one above the other.

    Args:
        days_by_forecast: Name of each forecast to its table of `metrics.score_days`; the first is the one
            that matters and is drawn strongest.
        title: Title of the figure.

    Returns:
        Figure with two rows.
    """
    figure = _two_rows()
    # Drawn last to first, so that the one that matters lies on top.
    for position, (name, days) in reversed(list(enumerate(days_by_forecast.items()))):
        for row, metric in enumerate(("mae", "src"), start=1):
            figure.add_scatter(
                x=plain_values(days["day"]),
                y=plain_values(days[metric]),
                name=html.escape(name),
                mode="lines",
                line={**line_style(position), "width": 3 if position == 0 else 1.8},
                legendgroup=name,
                legendrank=position,
                showlegend=row == 1,
                hovertemplate="%{y:.3f}",
                row=row,
                col=1,
            )
    figure.update_yaxes(title_text="MAE (score points)<br>lower is better", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="SRC (Spearman)<br>higher is better", row=2)
    figure.update_xaxes(title_text=DAY, row=2)
    return finish(figure, title, height=620)


def forecast_curves(
    predictions: pd.DataFrame,
    *,
    title: str,
    split: str = "test",
    n_videos: int = 12,
    quantity: str = POPULARITY_SCORE,
) -> go.Figure:
    """Draw forecast, interval and truth of some videos, from the least to the most popular.

    The videos are evenly spread over the ranking by mean true value, so the choice flatters no one and is the
    same at every run.

    Args:
        predictions: The long predictions table of one target.
        title: Title of the figure.
        split: Split to choose the videos from.
        n_videos: Number of videos at most.
        quantity: Name and unit of the y axes.

    Returns:
        Figure with one panel per video; every panel has a y axis of its own.
    """
    matrix = to_matrix(predictions, columns=["y_true", "y_pred", "lower", "upper"], split=split)
    chosen = choose_videos(matrix, n_videos)
    n_columns = min(4, max(1, len(chosen)))
    n_rows = max(1, -(-len(chosen) // n_columns))
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        shared_xaxes="all",
        subplot_titles=[html.escape(str(matrix.video_ids[index])) for index in chosen],
        x_title=DAY,
        y_title=quantity,
        horizontal_spacing=0.05,
        vertical_spacing=0.24 / n_rows,
    )
    for panel, index in enumerate(chosen):
        _add_video(
            figure, matrix, index, row=panel // n_columns + 1, col=panel % n_columns + 1, legend=panel == 0
        )
    height = 150 + 210 * n_rows
    figure.update_annotations(font_size=13)
    # The legend stands 32 pixels above the panels, clear of their titles.
    figure.update_layout(
        margin={"t": 105},
        legend={"orientation": "h", "x": 0, "y": 1 + 32 / (height - 165), "yanchor": "bottom"},
    )
    return finish(figure, title, height=height)


def choose_videos(matrix: PredictionMatrix, n_videos: int) -> np.ndarray:
    """Choose videos evenly spread over the ranking by mean true value.

    Args:
        matrix: Predictions with column ``y_true``; videos without any known value are not chosen.
        n_videos: Number of videos at most.

    Returns:
        Row indices into the matrix, least popular first; ties in the mean are ordered by id.
    """
    known = ~np.isnan(matrix.columns["y_true"])
    candidates = np.flatnonzero(known.any(axis=1))
    level = np.nanmean(matrix.columns["y_true"][candidates].astype(np.float64), axis=1)
    ranked = candidates[np.lexsort((matrix.video_ids[candidates].astype(str), level))]
    n_chosen = min(n_videos, len(ranked))
    middles = (np.arange(n_chosen) + 0.5) / max(n_chosen, 1) * len(ranked)
    return ranked[middles.astype(np.int64)]


def _add_video(figure: go.Figure, matrix: PredictionMatrix, index: int, *, row: int, col: int, legend: bool):
    days = plain_values(matrix.steps)
    lower, y_pred, upper, y_true = (
        plain_values(matrix.columns[name][index]) for name in ("lower", "y_pred", "upper", "y_true")
    )
    place = {"row": row, "col": col, "x": days}
    shared = {"mode": "lines", "showlegend": legend, "hovertemplate": "%{y:.2f}"}
    if not np.isnan(matrix.columns["lower"][index]).all():
        edge = shared | {"line": {"width": 0}, "legendgroup": "interval"}
        figure.add_scatter(y=lower, name="lower end", **(edge | {"showlegend": False}), **place)
        figure.add_scatter(y=upper, name="interval", fill="tonexty", fillcolor=BAND, **edge, **place)
    figure.add_scatter(
        y=y_pred,
        name="forecast",
        line={"color": BLUE, "width": 2.5},
        legendgroup="forecast",
        **shared,
        **place,
    )
    markers = {"mode": "markers", "marker": {"color": BLACK, "size": 4}}
    figure.add_scatter(y=y_true, name="truth", legendgroup="truth", **(shared | markers), **place)


def interval_calibration(
    intervals_by_day: pd.DataFrame, *, nominal: float, title: str, n_calibration: int | None = None
) -> go.Figure:
    """Draw the coverage of the intervals by day against the nominal coverage, and their width.

    The band is where the measured coverage of split-conformal intervals lies with 95 % probability, given how
    many videos calibrated and how many tested them: it tells chance from miscalibration.

    Args:
        intervals_by_day: Table of `metrics.interval_by_day`.
        nominal: The coverage that the intervals are made for.
        title: Title of the figure.
        n_calibration: Number of videos that the intervals were calibrated on, of all folds together. None
            leaves the band out.

    Returns:
        Figure with two rows.
    """
    figure = _two_rows()
    days = plain_values(intervals_by_day["day"])
    top = {"x": days, "mode": "lines", "hoverinfo": "skip", "row": 1, "col": 1}
    if n_calibration is not None:
        # Coverage given the calibration rows is Beta distributed, the measured one binomial around it.
        n_tested = intervals_by_day["n_known"].clip(lower=1)
        chance = 1.96 * np.sqrt(nominal * (1 - nominal) * (1 / n_calibration + 1 / n_tested))
        low, high = (nominal - chance).clip(lower=0), (nominal + chance).clip(upper=1)
        edge = top | {"line": {"width": 0}}
        figure.add_scatter(y=plain_values(low), showlegend=False, **edge)
        figure.add_scatter(
            y=plain_values(high), name="95 % range by chance", fill="tonexty", fillcolor=BAND, **edge
        )
    dashed = {"color": BLACK, "dash": "dash"}
    figure.add_scatter(y=[nominal] * len(days), name=f"nominal ({nominal:.0%})", line=dashed, **top)
    for row, (column, name) in enumerate({"coverage": "coverage", "width": "mean width"}.items(), start=1):
        figure.add_scatter(
            x=days,
            y=plain_values(intervals_by_day[column]),
            name=name,
            mode="lines+markers",
            line={"color": (BLUE, ORANGE)[row - 1], "width": 2.5},
            marker={"symbol": ("circle", "diamond")[row - 1], "size": 6},
            hovertemplate="%{y:.3f}",
            row=row,
            col=1,
        )
    figure.update_yaxes(title_text="share of videos<br>inside the interval", tickformat=".1%", row=1)
    figure.update_yaxes(title_text="mean interval width<br>(score points)", rangemode="tozero", row=2)
    figure.update_xaxes(title_text=DAY, row=2)
    return finish(figure, title, height=600)


def training_history(
    history: pd.DataFrame,
    *,
    losses: Mapping[str, str],
    metric: str,
    metric_name: str,
    best_epoch: float,
    title: str,
) -> go.Figure:
    """Draw the losses and the validation metric of a training run by epoch, the best epoch marked.

    Args:
        history: Column ``epoch`` and the columns named below; NaN where an epoch has no value.
        losses: Column to its name in the legend, e.g. ``{"train_loss": "training loss"}``.
        metric: Column of the validation metric by which the best epoch is chosen.
        metric_name: Name and unit of the metric on the axis.
        best_epoch: The chosen epoch.
        title: Title of the figure.

    Returns:
        Figure with two rows.
    """
    figure = _two_rows()
    epochs = plain_values(history["epoch"])
    curves = [(1, column, name) for column, name in losses.items()] + [(2, metric, metric_name)]
    for position, (row, column, name) in enumerate(curves):
        figure.add_scatter(
            x=epochs,
            y=plain_values(history[column]),
            name=name,
            mode="lines+markers",
            connectgaps=True,
            line={**line_style(position), "width": 2.2},
            marker={"size": 5},
            hovertemplate="%{y:.4f}",
            row=row,
            col=1,
        )
    best = history.loc[history["epoch"] == best_epoch, metric]
    figure.add_scatter(
        x=[best_epoch] * len(best),
        y=plain_values(best),
        name=f"best epoch ({best_epoch:g})",
        mode="markers",
        marker={"symbol": "star", "size": 15, "color": AMBER, "line": {"color": BLACK, "width": 1}},
        hoverinfo="skip",
        row=2,
        col=1,
    )
    figure.add_vline(x=best_epoch, line={"color": GREY, "dash": "dash", "width": 1})
    figure.update_yaxes(title_text="loss", row=1)
    figure.update_yaxes(title_text=metric_name, row=2)
    figure.update_xaxes(title_text="epoch", row=2)
    return finish(figure, title, height=600)


def leaderboard_bars(
    leaderboard: pd.DataFrame,
    *,
    label: str,
    metric: str,
    metric_name: str,
    title: str,
    lower_is_better: bool = True,
) -> go.Figure:
    """Draw one metric of several forecasts or models as bars, the best on top.

    Args:
        leaderboard: One row per forecast.
        label: Column with the name of the forecast.
        metric: Column with the metric; rows without a value are left out.
        metric_name: Name and unit of the metric on the axis.
        title: Title of the figure.
        lower_is_better: Direction of the metric.

    Returns:
        Bar figure; the best bar has a colour and a darker edge of its own.
    """
    ranked = leaderboard.dropna(subset=[metric]).sort_values(metric, ascending=lower_is_better, kind="stable")
    best = [position == 0 for position in range(len(ranked))]
    figure = go.Figure()
    figure.add_bar(
        x=plain_values(ranked[metric]),
        # Spaces keep the labels off the axis.
        y=[f"{html.escape(str(name))}  " for name in ranked[label]],
        orientation="h",
        marker={
            "color": [BLUE if is_best else "#a9cfe4" for is_best in best],
            "line": {"color": [BLACK if is_best else BLUE for is_best in best], "width": 1},
        },
        text=[
            f"<b>{_cell(value)}</b>" if is_best else _cell(value)
            for value, is_best in zip(ranked[metric], best, strict=True)
        ],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )
    direction = "lower" if lower_is_better else "higher"
    figure.update_xaxes(title_text=f"{metric_name}, {direction} is better", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_layout(hovermode="closest", bargap=0.35)
    return finish(figure, title, height=160 + 42 * max(len(ranked), 1))


def leaderboard_table(
    leaderboard: pd.DataFrame, *, title: str, headers: Mapping[str, str] | None = None
) -> go.Figure:
    """Show a leaderboard as a table: numbers with three decimals (none from 1,000 on), a dash where there is none.

    Args:
        leaderboard: One row per forecast, in the order to be shown.
        title: Title of the figure.
        headers: Column to its heading; the column name by default.

    Returns:
        Table figure.
    """
    headers = headers or {}
    numeric = [pd.api.types.is_numeric_dtype(leaderboard[name]) for name in leaderboard.columns]
    cells = [[_cell(value) for value in leaderboard[name]] for name in leaderboard.columns]
    heads = [str(headers.get(name, name)) for name in leaderboard.columns]
    widths = [max(map(len, [head, *column])) + 2 for head, column in zip(heads, cells, strict=True)]
    align = ["right" if is_number else "left" for is_number in numeric]
    stripes = ["#ffffff" if row % 2 else "#f2f6f9" for row in range(len(leaderboard))]
    figure = go.Figure()
    figure.add_table(
        columnwidth=widths,
        header={
            "values": [f"<b>{html.escape(head)}</b>" for head in heads],
            "align": align,
            "fill": {"color": BLUE},
            "font": {"color": "white", "size": 13},
            "height": 30,
        },
        cells={
            "values": [[html.escape(cell) for cell in column] for column in cells],
            "align": align,
            "fill": {"color": [stripes] * len(heads)},
            "height": 26,
        },
    )
    figure.update_layout(margin={"b": 10})
    return finish(figure, title, height=106 + 27 * len(leaderboard))


def _two_rows() -> go.Figure:
    return make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    if not isinstance(value, float | np.floating):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def line_style(position: int) -> dict[str, str]:
    """Return colour and dash of the line at a position in the legend."""
    return {"color": PALETTE[position % len(PALETTE)], "dash": DASHES[position % len(DASHES)]}


def plain_values(values: Sequence | np.ndarray | pd.Series) -> list:
    """Plain list with None for NaN: plotly would store an array as base64, unreadable in the JSON file."""
    numbers = np.asarray(values)
    return [None if value != value else value for value in numbers.tolist()]


def finish(figure: go.Figure, title: str, *, height: int) -> go.Figure:
    """Give a figure the look of all figures, its title and its height in pixels."""
    return figure.update_layout(template=TEMPLATE, title_text=html.escape(title), height=height)
