"""Figures of the MoFA-Lite report."""

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidpop_pipelines.evaluation.figures import (
    AMBER,
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    finish,
    plain_values,
)
from vidpop_pipelines.evaluation.regression_figures import MAX_POINTS, sample_rows

_PATTERNS = ("", "/", "x", ".", "-", "+", "|")


def forecasts_against_truth(test: pd.DataFrame) -> go.Figure:
    """Draws forecasts against the truth, one panel per target, values outside of their interval marked.

    Args:
        test: Test rows of the predictions table.
    """
    targets = list(test["target"].unique())
    figure = make_subplots(
        rows=1,
        cols=len(targets),
        subplot_titles=[html.escape(name) for name in targets],
        horizontal_spacing=0.07,
    )
    for panel, target in enumerate(targets, start=1):
        rows = test[test["target"] == target]
        rows = rows.iloc[sample_rows(len(rows), MAX_POINTS)]
        outside = ~rows["y_true"].between(rows["lower"], rows["upper"]) & rows["lower"].notna()
        groups = (
            ("inside the interval" if rows["lower"].notna().any() else "video", ~outside, BLUE, "circle"),
            ("outside", outside, ORANGE, "x"),
        )
        for name, chosen, color, symbol in groups:
            figure.add_scatter(
                x=plain_values(rows.loc[chosen, "y_pred"]),
                y=plain_values(rows.loc[chosen, "y_true"]),
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=panel == 1 and bool(chosen.any()),
                marker={"color": color, "symbol": symbol, "size": 5, "opacity": 0.55},
                hovertemplate="forecast %{x:.2f}, true %{y:.2f}<extra></extra>",
                row=1,
                col=panel,
            )
        low, high = (float(function(rows[["y_true", "y_pred"]].to_numpy())) for function in (np.min, np.max))
        figure.add_scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            name="equal",
            legendgroup="equal",
            showlegend=panel == 1,
            line={"color": BLACK, "dash": "dash", "width": 1},
            hoverinfo="skip",
            row=1,
            col=panel,
        )
        figure.update_xaxes(title_text="forecast ln(count + 1)", row=1, col=panel)
    figure.update_yaxes(title_text="true ln(count + 1)", col=1)
    figure.update_layout(
        hovermode="closest", margin={"t": 110}, legend={"orientation": "h", "y": 1.1, "yanchor": "bottom"}
    )
    return finish(figure, "Forecast and truth of the hold-out", height=480)


def attention_bars(summary: pd.DataFrame) -> go.Figure:
    """Draws the mean attention weight of each modality, for all videos and by popularity.

    Args:
        summary: Columns `videos`, `n_videos` and one per modality.
    """
    figure = go.Figure()
    groups = [f"{row.videos}  " for row in summary.itertuples()]
    for position, modality in enumerate(summary.columns[2:]):
        figure.add_bar(
            x=plain_values(summary[modality]),
            y=groups,
            name=html.escape(modality),
            orientation="h",
            marker={
                "color": PALETTE[position % len(PALETTE)],
                "pattern": {
                    "shape": _PATTERNS[position % len(_PATTERNS)],
                    "fillmode": "overlay",  # or the colour would be that of the pattern alone
                    "fgcolor": "rgba(255, 255, 255, 0.4)",
                    "size": 7,
                },
            },
            text=[f"{value:.2f}" for value in summary[modality]],
            insidetextanchor="middle",
            textangle=0,
            hovertemplate="%{y}: %{x:.3f}",
        )
    figure.update_xaxes(title_text="mean attention weight; a row adds up to 1", range=[0, 1])
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_layout(barmode="stack", hovermode="closest", bargap=0.35)
    return finish(
        figure, "Attention to each modality, out of fold, by true popularity", height=180 + 46 * len(groups)
    )


def learning_curves(history: pd.DataFrame) -> go.Figure:
    """Draws training loss and validation Score of every fold, their means and each fold's best epoch.

    Args:
        history: Columns `fold`, `epoch`, `train_loss`, `validation_score`.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    names = {"train_loss": "training loss", "validation_score": "validation Score"}
    for row, column in enumerate(names, start=1):
        for fold, part in history.groupby("fold"):
            figure.add_scatter(
                x=plain_values(part["epoch"]),
                y=plain_values(part[column]),
                mode="lines",
                name="each fold",
                legendgroup="fold",
                showlegend=bool(row == 1 and fold == history["fold"].iloc[0]),
                line={"color": GREY, "width": 1},
                opacity=0.6,
                hovertemplate=f"fold {fold}: %{{y:.4f}}<extra></extra>",
                row=row,
                col=1,
            )
        mean = history.groupby("epoch")[column].mean()
        figure.add_scatter(
            x=plain_values(mean.index),
            y=plain_values(mean),
            mode="lines",
            name="mean of the folds that still train",
            legendgroup="mean",
            showlegend=row == 1,
            line={"color": BLUE, "width": 3},
            hovertemplate="mean: %{y:.4f}<extra></extra>",
            row=row,
            col=1,
        )
    best = history.loc[history.groupby("fold")["validation_score"].idxmin()]
    figure.add_scatter(
        x=plain_values(best["epoch"]),
        y=plain_values(best["validation_score"]),
        mode="markers",
        name="best epoch of a fold",
        marker={"symbol": "star", "size": 11, "color": AMBER, "line": {"color": BLACK, "width": 1}},
        hovertemplate="best: %{y:.4f}<extra></extra>",
        row=2,
        col=1,
    )
    figure.update_yaxes(title_text="training loss", row=1)
    figure.update_yaxes(title_text="validation Score<br>lower is better", row=2)
    figure.update_xaxes(title_text="epoch", row=2)
    figure.update_layout(hovermode="closest")
    return finish(figure, "Learning curves of the folds", height=600)
