"""Plotly figures of classifiers of two classes; see `figures` for what all figures have in common."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidpop_pipelines.evaluation.classification import reliability_table
from vidpop_pipelines.evaluation.figures import BLACK, BLUE, GREY, ORANGE, finish, line_style, plain_values

_SHADES = [[0, "#ffffff"], [1, BLUE]]


def confusion_matrices(
    predictions: pd.DataFrame,
    forecasts: Mapping[str, str],
    *,
    target: str,
    classes: Sequence[str],
    title: str,
    split: str = "test",
) -> go.Figure:
    """Draw how many videos of each class were taken for which, one matrix per forecast.

    Args:
        predictions: The long predictions table.
        forecasts: Column to its name above the matrix, e.g. ``{"y_pred": "forecast"}``.
        target: The class.
        classes: Names of class 0 and 1.
        title: Title of the figure.
        split: Split to draw.

    Returns:
        Figure with one column per forecast; each cell has the number of videos and the share of its true class.
    """
    rows = predictions.query("split == @split and target == @target")
    figure = make_subplots(cols=len(forecasts), subplot_titles=list(forecasts.values()), shared_yaxes=True)
    truth = rows["y_true"].to_numpy().astype(int)
    for position, column in enumerate(forecasts, start=1):
        predicted = (rows[column].to_numpy() >= 0.5).astype(int)
        counts = np.zeros((2, 2), int)
        np.add.at(counts, (truth, predicted), 1)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        text = [
            [f"{count}<br>{part:.0%}" for count, part in zip(*cells, strict=True)]
            for cells in zip(counts, share, strict=True)
        ]
        figure.add_heatmap(
            z=share.tolist(),
            x=list(classes),
            y=list(classes),
            text=text,
            texttemplate="%{text}",
            textfont={"size": 17},
            colorscale=_SHADES,
            zmin=0,
            zmax=1.4,  # dark enough to tell apart, light enough to read
            showscale=False,
            xgap=3,
            ygap=3,
            hovertemplate="true %{y}, predicted %{x}: %{text}<extra></extra>",
            row=1,
            col=position,
        )
        figure.update_xaxes(title_text="predicted", row=1, col=position)
    figure.update_yaxes(title_text="true", row=1, col=1)
    figure.update_yaxes(autorange="reversed")
    finish(figure, title, height=380)
    return figure.update_layout(hovermode="closest", margin={"t": 90}).update_annotations(font_size=14)


def reliability(
    predictions: pd.DataFrame,
    forecasts: Mapping[str, str],
    *,
    target: str,
    event: str,
    title: str,
    split: str = "test",
) -> go.Figure:
    """Draw how often videos of each probability have the event; of the first forecast also how many there are.

    Args:
        predictions: The long predictions table.
        forecasts: Column to its name in the legend.
        target: The class.
        event: What class 1 is, for the axes.
        title: Title of the figure.
        split: Split to draw.

    Returns:
        Figure with two rows; a calibrated forecast is on the diagonal of the first.
    """
    rows = predictions.query("split == @split and target == @target")
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.72, 0.28])
    diagonal = {"color": BLACK, "dash": "dash", "width": 1}
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="calibrated", line=diagonal, hoverinfo="skip", row=1, col=1
    )
    for position, (column, name) in enumerate(forecasts.items()):
        table = reliability_table(rows["y_true"].to_numpy(), rows[column].to_numpy())
        figure.add_scatter(
            x=plain_values(table["probability"]),
            y=plain_values(table["frequency"]),
            customdata=plain_values(table["n"]),
            name=name,
            mode="lines+markers",
            line={**line_style(position), "width": 2.2},
            marker={"size": 8, "symbol": ("circle", "diamond", "square")[position % 3]},
            hovertemplate="%{y:.0%} of %{customdata} videos at %{x:.2f}",
            row=1,
            col=1,
        )
    first, name = next(iter(forecasts.items()))
    figure.add_histogram(
        x=plain_values(rows[first]),
        xbins={"start": 0, "end": 1.0001, "size": 0.05},
        name=f"videos by {name}",
        showlegend=False,
        marker={"color": line_style(0)["color"]},
        row=2,
        col=1,
    )
    figure.update_yaxes(title_text=f"share of videos<br>that are {event}", range=[-0.03, 1.03], row=1)
    figure.update_yaxes(title_text="videos", row=2)
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_xaxes(title_text=f"predicted probability of {event}", row=2)
    return finish(figure, title, height=620).update_layout(hovermode="closest")


def probability_against_metric(
    predictions: pd.DataFrame,
    *,
    raw_target: str,
    metric_name: str,
    event: str,
    thresholds: Mapping[str, float],
    title: str,
    split: str = "test",
) -> go.Figure:
    """Draw the predicted probability of every video over its raw metric.

    Args:
        predictions: The long predictions table.
        raw_target: Target whose truth is the raw metric.
        metric_name: Name of the metric on the axis.
        event: What class 1 is, for the axes.
        thresholds: Label of a line to the value of the metric where it is.
        title: Title of the figure.
        split: Split to draw.
    """
    rows = predictions.query("split == @split and target == @raw_target")
    figure = go.Figure()
    figure.add_scatter(
        x=plain_values(rows["y_true"]),
        y=plain_values(rows["y_pred"]),
        text=rows["video_id"].tolist(),
        name="test video",
        mode="markers",
        marker={"color": BLUE, "size": 6, "opacity": 0.6},
        hovertemplate="%{text}: %{x:.4g}, %{y:.2f}<extra></extra>",
    )
    order = np.argsort(rows["y_true"].to_numpy(), kind="stable")
    groups = np.array_split(order, max(1, min(10, len(order) // 5)))
    means = rows[["y_true", "y_pred"]].to_numpy()
    figure.add_scatter(
        x=[float(np.median(means[group, 0])) for group in groups],
        y=[float(means[group, 1].mean()) for group in groups],
        name=f"mean of each of {len(groups)} groups",
        mode="lines+markers",
        line={"color": ORANGE, "width": 2.5},
        marker={"symbol": "diamond", "size": 8},
        hoverinfo="skip",
    )
    for name, value in thresholds.items():
        figure.add_vline(x=value, line={"color": GREY, "dash": "dash"}, annotation_text=html.escape(name))
    positive = rows["y_true"] > 0
    if positive.all() and rows["y_true"].max() > 100 * rows["y_true"].median():
        figure.update_xaxes(type="log")
    figure.update_xaxes(title_text=metric_name)
    figure.update_yaxes(title_text=f"predicted probability<br>of {event}", range=[-0.03, 1.03])
    return finish(figure, title, height=460).update_layout(hovermode="closest")
