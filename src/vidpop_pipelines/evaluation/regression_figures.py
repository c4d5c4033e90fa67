"""Figures of forecasts of one count per video, such as views.

Counts span many orders of magnitude and can be zero, so their axes are logarithmic and show count + 1; a forecast
below zero is drawn as zero. A figure holds about `MAX_POINTS` points however many videos there are, the same ones
at every run; numbers in its notes are taken over all videos. Bars of members and baselines are
`figures.leaderboard_bars` of `regression.scores_by_forecast`.
"""

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidpop_pipelines.evaluation.figures import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    finish,
    line_style,
    plain_values,
)
from vidpop_pipelines.evaluation.predictions import to_matrix
from vidpop_pipelines.evaluation.regression import FORECAST, UNKNOWN_GROUP

MAX_POINTS = 3000
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")


def predicted_against_true(
    predictions: pd.DataFrame, *, target: str, title: str, quantity: str = "views", split: str = "test"
) -> go.Figure:
    """Draw forecasts against true counts, those outside of their interval marked.

    Args:
        predictions: The long predictions table; the target in raw units, one step.
        target: The target to draw.
        title: Title of the figure.
        quantity: Name of the counts on the axes.
        split: Split to draw.

    Returns:
        Figure with logarithmic axes of equal range and the diagonal on which a perfect forecast lies.
    """
    counts = _known_counts(predictions, target, split)
    has_interval = counts["lower"].notna()
    outside = has_interval & ~counts["y_true"].between(counts["lower"], counts["upper"])
    drawn = sample_rows(len(counts), MAX_POINTS)
    figure = go.Figure()
    kinds = {
        "no interval": (~has_interval, GREY if has_interval.any() else BLUE, "circle"),
        "inside the interval": (has_interval & ~outside, BLUE, "circle"),
        "outside the interval": (outside, ORANGE, "diamond"),
    }
    for name, (members, color, symbol) in kinds.items():
        if not members.any():
            continue
        points = counts.iloc[drawn[members.to_numpy()[drawn]]]
        figure.add_scatter(
            x=plain_values(points["y_true"] + 1),
            y=plain_values(points["y_pred"] + 1),
            name="forecast" if name == "no interval" and not has_interval.any() else name,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 5, "opacity": _opacity(len(drawn))},
            customdata=[html.escape(str(video)) for video in points["video_id"]],
            hovertemplate=f"%{{customdata}}<br>{quantity} + 1: true %{{x:,.0f}}, predicted %{{y:,.0f}}<extra></extra>",
        )
    ends = _axis_range(counts[["y_true", "y_pred"]].to_numpy())
    figure.add_scatter(
        x=ends,
        y=ends,
        name="perfect forecast",
        mode="lines",
        line={"color": BLACK, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    notes = [f"{len(counts):,} videos" if len(drawn) == len(counts) else _drawn_note(drawn, counts)]
    if has_interval.any():
        notes.append(f"{1 - outside[has_interval].mean():.1%} of true values inside their interval")
    add_note(figure, ", ".join(notes))
    axis = {"type": "log", "range": np.log10(ends).tolist(), "dtick": 1, "exponentformat": "power"}
    figure.update_xaxes(title_text=f"true {quantity} + 1", **axis)
    figure.update_yaxes(title_text=f"predicted {quantity} + 1", **axis)
    figure.update_layout(hovermode="closest", legend={"itemsizing": "constant"})
    return finish(figure, title, height=620)


def residuals(
    predictions: pd.DataFrame, *, target: str, title: str, quantity: str = "views", split: str = "test"
) -> go.Figure:
    """Draw the errors ln(predicted + 1) - ln(true + 1) against the forecast, and how often each occurs.

    Args:
        predictions: The long predictions table; the target in raw units, one step.
        target: The target to draw.
        title: Title of the figure.
        quantity: Name of the counts on the axes.
        split: Split to draw.

    Returns:
        Figure with two panels that share the axis of the errors; the line is the median of each tenth of the
        videos by forecast, which lies on zero where the forecast is neither too high nor too low.
    """
    counts = _known_counts(predictions, target, split)
    error = np.log1p(counts["y_pred"].to_numpy()) - np.log1p(counts["y_true"].to_numpy())
    level = counts["y_pred"].to_numpy() + 1
    drawn = sample_rows(len(counts), MAX_POINTS)
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.72, 0.28])
    figure.update_layout(hovermode="closest", bargap=0.05, legend={"itemsizing": "constant"})
    figure.add_scatter(
        x=plain_values(level[drawn]),
        y=plain_values(error[drawn]),
        name="video",
        mode="markers",
        marker={"color": BLUE, "size": 5, "opacity": _opacity(len(drawn))},
        customdata=[html.escape(str(video)) for video in counts["video_id"].to_numpy()[drawn]],
        hovertemplate=f"%{{customdata}}<br>{quantity} + 1: predicted %{{x:,.0f}}, error %{{y:.2f}}<extra></extra>",
        row=1,
        col=1,
    )
    tenths = [part for part in np.array_split(np.argsort(level, kind="stable"), 10) if len(part)]
    figure.add_scatter(
        x=[float(np.median(level[part])) for part in tenths],
        y=[float(np.median(error[part])) for part in tenths],
        name="median of a tenth",
        mode="lines+markers",
        line={"color": ORANGE, "width": 2.5},
        marker={"symbol": "diamond", "size": 8, "line": {"color": "white", "width": 1}},
        hovertemplate="median error %{y:.2f}<extra></extra>",
        row=1,
        col=1,
    )
    _add_error_shares(figure, error)
    figure.add_hline(y=0, line={"color": BLACK, "dash": "dash", "width": 1.5})
    notes = [] if len(drawn) == len(counts) else [_drawn_note(drawn, counts)]
    if len(error):
        notes.append(f"median error {np.median(error):+.2f}, standard deviation {error.std():.2f}")
    add_note(figure, ", ".join(notes))
    figure.update_xaxes(
        title_text=f"predicted {quantity} + 1", type="log", dtick=1, exponentformat="power", col=1
    )
    figure.update_xaxes(title_text="share of videos", tickformat=".0%", nticks=4, col=2)
    figure.update_yaxes(title_text="error ln(predicted + 1) − ln(true + 1)", col=1)
    return finish(figure, title, height=560)


def _add_error_shares(figure: go.Figure, error: np.ndarray) -> None:
    share, edges = np.histogram(error, bins=min(40, max(10, round(2 * len(error) ** 0.5))))
    figure.add_bar(
        x=plain_values(share / max(len(error), 1)),
        y=plain_values((edges[:-1] + edges[1:]) / 2),
        width=float(edges[1] - edges[0]),
        orientation="h",
        name="share of videos",
        marker={"color": BLUE, "line": {"color": "white", "width": 0.5}},
        showlegend=False,
        hovertemplate="error %{y:.2f}: %{x:.1%} of videos<extra></extra>",
        row=1,
        col=2,
    )


def group_metrics(
    table: pd.DataFrame,
    *,
    metric: str,
    metric_name: str,
    group_name: str,
    title: str,
    nominal: float | None = None,
) -> go.Figure:
    """Draw one metric of several forecasts in groups of videos, e.g. by age when views were read.

    Args:
        table: Table of `regression.metrics_by_group`.
        metric: Column with the metric; forecasts that never have it are left out.
        metric_name: Name and unit of the metric on the axis, and which direction is better.
        group_name: What the groups are, on the axis.
        title: Title of the figure.
        nominal: Value that the metric should have, drawn as a dashed line, e.g. the coverage of intervals.

    Returns:
        Figure with one line per forecast; the forecast itself is drawn strongest.
    """
    counts = table.drop_duplicates("group").set_index("group")["count"]
    labels = {group: f"{html.escape(str(group))}<br>{count:,} videos" for group, count in counts.items()}
    defined = table[table[metric].notna()]
    names = list(dict.fromkeys(defined["forecast"]))
    figure = go.Figure()
    if nominal is not None:
        figure.add_hline(
            y=nominal,
            line={"color": BLACK, "dash": "dash", "width": 1.5},
            annotation_text=f"nominal {nominal:g}",
        )
    # Drawn last to first, so that the forecast lies on top.
    for position, name in reversed(list(enumerate(names))):
        rows = table[table["forecast"] == name]
        points = list(zip(rows["group"], plain_values(rows[metric]), strict=True))
        if len(points) > 1 and points[-1][0] == UNKNOWN_GROUP:
            # A point without value: no line leads to videos without group, which follow no order.
            points.insert(-1, (UNKNOWN_GROUP, None))
        strong = name == FORECAST
        figure.add_scatter(
            x=[labels[group] for group, _ in points],
            y=[value for _, value in points],
            name=html.escape(name),
            mode="lines+markers",
            line={**line_style(position), "width": 3 if strong else 1.5},
            marker={"symbol": MARKERS[position % len(MARKERS)], "size": 10 if strong else 7},
            legendrank=position,
            hovertemplate="%{y:.3f}",
        )
    figure.update_xaxes(
        title_text=group_name, type="category", categoryorder="array", categoryarray=list(labels.values())
    )
    figure.update_yaxes(title_text=metric_name)
    return finish(figure, title, height=480)


def _known_counts(predictions: pd.DataFrame, target: str, split: str) -> pd.DataFrame:
    """Return the videos with truth: id, truth, forecast (at least 0, for the logarithm) and interval."""
    matrix = to_matrix(
        predictions, columns=["y_true", "y_pred", "lower", "upper"], split=split, target=target
    )
    counts = pd.DataFrame({name: values[:, 0] for name, values in matrix.columns.items()})
    counts.insert(0, "video_id", matrix.video_ids)
    counts["y_pred"] = counts["y_pred"].clip(lower=0)
    return counts[counts["y_true"].notna()].reset_index(drop=True)


def sample_rows(n_rows: int, n_drawn: int) -> np.ndarray:
    """Choose rows at random, in their order, the same ones at every run."""
    if n_rows <= n_drawn:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, n_drawn, replace=False))


def _opacity(n_points: int) -> float:
    """Dense clouds are drawn thinner, so that their core is still seen."""
    return float(np.clip(30 / max(n_points, 1) ** 0.5, 0.35, 0.85))


def _axis_range(counts: np.ndarray) -> list[float]:
    """Ends of a logarithmic axis of count + 1, a tenth of a power of ten beyond the data."""
    if not counts.size:
        return [1.0, 10.0]
    return [float((counts.min() + 1) / 10**0.1), float((counts.max() + 1) * 10**0.1)]


def _drawn_note(drawn: np.ndarray, counts: pd.DataFrame) -> str:
    return f"{len(drawn):,} of {len(counts):,} videos drawn"


def add_note(figure: go.Figure, text: str) -> None:
    """Write a line between title and panels."""
    figure.add_annotation(
        text=text,
        showarrow=False,
        x=0,
        xref="paper",
        xanchor="left",
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=4,
        font={"color": GREY, "size": 12},
    )
