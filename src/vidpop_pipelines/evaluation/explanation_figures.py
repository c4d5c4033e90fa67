"""Figures of what features contribute to the forecasts of a model."""

import html
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidpop_pipelines.evaluation.figures import BLUE, GREY, finish, plain_values
from vidpop_pipelines.evaluation.regression_figures import MAX_POINTS, add_note, sample_rows

# Cividis is made to look the same to colour-blind readers (Nuñez et al., PLOS ONE 2018).
VALUE_SCALE = {
    "colorscale": "Cividis",
    "cmin": 0,
    "cmax": 1,
    "colorbar": {
        "title": {"text": "feature value", "side": "right"},
        "tickvals": [0, 1],
        "ticktext": ["low", "high"],
        "thickness": 14,
        "len": 0.8,
        "outlinewidth": 0,
    },
}


def feature_importance(
    importance: pd.Series, *, title: str, quantity: str = "mean |SHAP value|", n_features: int = 20
) -> go.Figure:
    """Draw the most important features as bars, the most important one on top.

    Args:
        importance: Importance, not negative, indexed by feature name.
        title: Title of the figure.
        quantity: Name and unit of the importance on the axis.
        n_features: Number of features at most.

    Returns:
        Bar figure; features of equal importance keep their order.
    """
    top = importance.sort_values(ascending=False, kind="stable").head(n_features)
    figure = go.Figure()
    figure.add_bar(
        x=plain_values(top),
        y=_labels(top.index),
        orientation="h",
        marker={"color": BLUE},
        text=[f"{value:#.3g}".rstrip(".") for value in top],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.4g}<extra></extra>",
    )
    if len(importance) > len(top):
        add_note(figure, f"the {len(top)} most important of {len(importance)} features")
    figure.update_xaxes(title_text=quantity, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False, dtick=1)
    figure.update_layout(hovermode="closest", bargap=0.3)
    return finish(figure, title, height=160 + 26 * max(len(top), 1))


def shap_summary(
    shap_values: np.ndarray,
    feature_values: np.ndarray,
    names: Sequence[str],
    *,
    title: str,
    quantity: str = "ln(views + 1)",
    n_features: int = 15,
) -> go.Figure:
    """Draw what each feature adds to the forecasts: one point per video, coloured by the feature's value.

    Args:
        shap_values: (N, F) contribution of each feature to each forecast.
        feature_values: (N, F) values of the features; NaN, where there is no number, is drawn grey.
        names: (F,) names of the features.
        title: Title of the figure.
        quantity: What the contributions add up to, with its unit.
        n_features: Number of features at most, those with the largest mean |contribution|.

    Returns:
        Figure with one row of points per feature, in which the points of equal contribution are stacked. Colours
        run from the 5th to the 95th percentile of the feature.
    """
    strength = np.abs(shap_values).mean(axis=0)
    top = np.argsort(-strength, kind="stable")[:n_features]
    drawn = sample_rows(len(shap_values), MAX_POINTS // max(len(top), 1))
    contributions = shap_values[np.ix_(drawn, top)].T
    shades = np.stack([_shades(feature_values[:, column])[drawn] for column in top])
    # One bin width for all features, as wide as a point looks.
    bin_width = max(float(np.ptp(contributions)) / 120, np.finfo(float).tiny)
    heights = np.stack([row + _stack(values, bin_width) for row, values in enumerate(contributions)])
    figure = go.Figure()
    for has_value in (False, True):
        chosen = ~np.isnan(shades) if has_value else np.isnan(shades)
        if not chosen.any():
            continue
        marker = VALUE_SCALE | {"color": plain_values(shades[chosen])} if has_value else {"color": "#b0b0b0"}
        figure.add_scatter(
            x=plain_values(contributions[chosen]),
            y=plain_values(heights[chosen]),
            name="video" if has_value else "no value",
            mode="markers",
            marker={"size": 5, "opacity": 0.8} | marker,
            showlegend=not has_value,
            hovertemplate="%{x:+.3f}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    add_note(figure, f"{len(drawn):,} of {len(shap_values):,} videos, {len(top)} of {len(names)} features")
    figure.update_xaxes(title_text=f"contribution to the forecast of {quantity} (SHAP value)")
    figure.update_yaxes(
        tickvals=list(range(len(top))),
        ticktext=_labels(names[column] for column in top),
        range=[len(top) - 0.4, -0.6],
        ticks="",
    )
    figure.update_layout(
        hovermode="closest",
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
    )
    return finish(figure, title, height=180 + 34 * max(len(top), 1))


def _shades(values: np.ndarray) -> np.ndarray:
    """Map a feature to 0..1 between its 5th and 95th percentile; 0.5 where these are equal, NaN stays."""
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).all():
        return values
    low, high = np.nanpercentile(values, [5, 95])
    if high == low:
        # Most videos share one value: the few others are the ends of the scale.
        return np.where(np.isnan(values), np.nan, 0.5 + 0.5 * np.sign(values - low))
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _stack(values: np.ndarray, bin_width: float) -> np.ndarray:
    """Offsets that spread points of nearly equal value around their row, within 0.4 of it."""
    bins = np.round(values / bin_width).astype(np.int64)
    by_bin = pd.Series(bins).groupby(bins)
    # 0, -1, 1, -2, 2 ...: each point of a bin lies beside the one before it, on alternate sides.
    order = by_bin.cumcount().to_numpy()
    side = np.where(order % 2, -1, 1) * ((order + 1) // 2)
    fullest = max(int(np.abs(side).max(initial=0)), 1)
    return side * min(0.4 / fullest, 0.06)


def _labels(names: Iterable[object]) -> list[str]:
    # Spaces keep the labels off the axis.
    return [f"{html.escape(str(name))}  " for name in names]
