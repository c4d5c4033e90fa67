"""Plotly figures that set families side by side; style and palette are those of `figures`."""

import html

import pandas as pd
import plotly.graph_objects as go

from vidpop_pipelines.evaluation.figures import BLACK, BLUE, finish, plain_values


def differences_to_best(rows: pd.DataFrame, *, metric_name: str, title: str, confidence: float) -> go.Figure:
    """Draw the error of each family above that of the best one, with the interval of the difference.

    Args:
        rows: One row per family, best first: `family`, `error`, `behind_best`, `behind_best_lower`,
            `behind_best_upper`; the best has no difference.
        metric_name: Name and unit of the error.
        title: Title of the figure.
        confidence: Probability of the intervals.

    Returns:
        Figure with one point per family; a family whose interval contains zero has a hollow point.
    """
    behind = rows["behind_best"].fillna(0.0)
    lower, upper = rows["behind_best_lower"].fillna(0.0), rows["behind_best_upper"].fillna(0.0)
    told_apart = (lower > 0) | rows["behind_best"].isna()
    figure = go.Figure()
    figure.add_scatter(
        x=plain_values(behind),
        # Spaces keep the labels off the axis.
        y=[f"{html.escape(name)}  " for name in rows["family"]],
        mode="markers",
        marker={
            "size": 12,
            "color": [BLUE if clear else "white" for clear in told_apart],
            "line": {"color": BLUE, "width": 2},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": plain_values(upper - behind),
            "arrayminus": plain_values(behind - lower),
            "color": BLUE,
        },
        customdata=plain_values(rows["error"]),
        hovertemplate="%{y}: error %{customdata:.4f}, behind by %{x:.4f}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": BLACK, "width": 1})
    figure.update_xaxes(
        title_text=f"{metric_name} above the best, {confidence:.0%} interval; hollow: not told apart from the best"
    )
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_layout(hovermode="closest")
    return finish(figure, title, height=160 + 42 * max(len(rows), 1))


def error_against_time(rows: pd.DataFrame, *, metric_name: str, title: str) -> go.Figure:
    """Draw the error of each family against its training time.

    Args:
        rows: One row per family: `family`, `error`, `training_seconds`; families without either are left out.
        metric_name: Name, unit and direction of the error.
        title: Title of the figure.

    Returns:
        Figure with one labelled point per family and a logarithmic axis of time.
    """
    known = rows.dropna(subset=["error", "training_seconds"])
    figure = go.Figure()
    figure.add_scatter(
        x=plain_values(known["training_seconds"]),
        y=plain_values(known["error"]),
        text=[html.escape(name) for name in known["family"]],
        mode="markers+text",
        textposition="top center",
        marker={"size": 11, "color": BLUE},
        cliponaxis=False,
        hovertemplate="%{text}: error %{y:.4f}, %{x:.1f} s<extra></extra>",
    )
    figure.update_xaxes(title_text="training time, seconds", type="log")
    figure.update_yaxes(title_text=metric_name)
    figure.update_layout(hovermode="closest")
    return finish(figure, title, height=420)
