"""Plotly figures of the what-if page, in the look of the reports."""

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidpop_pipelines.evaluation.figures import BAND, BLACK, BLUE, DAY, GREY, ORANGE, finish, plain_values

# A logarithmic axis has no zero: less than one view is drawn as one.
_FEWEST = 1.0
_HEIGHT = 400
_LONG_AXIS = 300.0
# Marks on the axis of factors, of which the largest that fits is drawn.
_FACTORS = (1.25, *(2.0**power for power in range(1, 64)))


def curve_figure(
    forecast: pd.DataFrame, before: pd.DataFrame | None, first_day: float | None, logarithmic: bool
) -> go.Figure:
    """Draws the views of a video by day.

    Args:
        forecast: `day`, `views`, `lower`, `upper` of a video.
        before: The forecast to compare with, dashed; None for none.
        first_day: Views of day 1, if they were entered.
        logarithmic: Whether the axis of views is.
    """
    figure = go.Figure()
    days = plain_values(forecast["day"])
    _add_forecast(figure, days, forecast, logarithmic)
    if before is not None:
        figure.add_scatter(
            x=plain_values(before["day"]),
            y=_views(before["views"], logarithmic),
            name="before",
            mode="lines",
            line={"color": ORANGE, "dash": "dash", "width": 2},
            hovertemplate="%{y:,.3s}",
        )
    if first_day is not None:
        figure.add_scatter(
            x=[1],
            y=_views(pd.Series([first_day]), logarithmic),
            name="entered",
            mode="markers",
            marker={"color": BLACK, "size": 9, "symbol": "diamond"},
            hovertemplate="%{y:,.3s}",
        )
    figure.update_xaxes(title_text=DAY, range=[0, max(days) + 0.5])
    tables = [forecast] if before is None else [forecast, before]
    figure.update_yaxes(**_views_ticks("views until the day", logarithmic, tables))
    return _finish(figure, _HEIGHT)


def number_figure(forecast: pd.DataFrame, before: pd.DataFrame | None) -> go.Figure:
    """Draws the forecast views of a video, with their interval, on a logarithmic axis.

    Args:
        forecast: `views`, `lower`, `upper` of a video, in one row.
        before: The forecast to compare with; None for none.
    """
    figure = go.Figure()
    rows = [("before", before, ORANGE, "circle-open"), ("forecast", forecast, BLUE, "circle")]
    for name, table, colour, symbol in rows:
        if table is None:
            continue
        views, lower, upper = (
            _views(table[column], logarithmic=True)[0] for column in ("views", "lower", "upper")
        )
        if lower is not None:
            figure.add_scatter(
                x=[lower, upper],
                y=[name, name],
                mode="lines",
                line={"color": colour, "width": 10 if name == "forecast" else 4},
                opacity=0.35,
                showlegend=False,
                hovertemplate="%{x:,.3s}<extra>interval</extra>",
            )
        figure.add_scatter(
            x=[views],
            y=[name],
            mode="markers",
            marker={"color": colour, "size": 13, "symbol": symbol, "line": {"width": 2}},
            showlegend=False,
            hovertemplate="%{x:,.3s}<extra>%{y}</extra>",
        )
    tables = [table for _, table, _, _ in rows if table is not None]
    ends = np.log10(np.concatenate([_known_views(table) for table in tables]))
    # Some room beside the ends.
    figure.update_xaxes(
        **_views_ticks("views", True, tables), range=[float(ends.min()) - 0.1, float(ends.max()) + 0.1]
    )
    figure.update_yaxes(showgrid=False, ticks="", range=[-0.6, len(tables) - 0.4])
    figure.update_layout(hovermode="closest")
    return _finish(figure, 110 + 45 * len(tables))


def sweep_figure(
    tried: np.ndarray, forecast: pd.DataFrame, label: str, quantity: str, current: float | None
) -> go.Figure:
    """Draws how the forecast moves with one input.

    Args:
        tried: (K,) values of the input.
        forecast: `views`, `lower`, `upper` with each, K rows.
        label: Name of the input.
        quantity: Which views they are.
        current: The value in the form; None if it has none.
    """
    figure = go.Figure()
    _add_forecast(figure, plain_values(tried), forecast, logarithmic=True)
    if current is not None and current > 0:
        figure.add_scatter(
            x=[current],
            y=_views(forecast["views"][tried == current], logarithmic=True),
            name="entered",
            mode="markers",
            marker={"color": BLACK, "size": 9, "symbol": "diamond"},
            hovertemplate="%{y:,.3s}",
        )
    figure.update_xaxes(title_text=html.escape(label), type="log", dtick=1, tickformat="~s")
    figure.update_yaxes(**_views_ticks(quantity, True, [forecast]))
    return _finish(figure, _HEIGHT)


def effects_figure(factors: pd.Series) -> go.Figure:
    """Draws by how much each input multiplies the forecast.

    Args:
        factors: Of `questions.effects`.
    """
    # Bars start at a factor of 1: its logarithm is 0.
    powers = np.log2(factors.to_numpy(float))
    reach = max(0.4, np.abs(powers).max(initial=0) * 1.35)
    tick = max(factor for factor in _FACTORS if np.log2(factor) <= reach)
    ticks = [1 / tick, 1.0, tick]
    figure = go.Figure()
    rows = list(range(len(factors)))
    figure.add_bar(
        x=plain_values(powers),
        y=rows,
        customdata=list(factors.index),
        orientation="h",
        marker={"color": [BLUE if power >= 0 else ORANGE for power in powers]},
        text=[f"×{factor:.3g}" for factor in factors],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{customdata}: %{text}<extra></extra>",
    )
    for row, label in enumerate(factors.index):
        # Above its bar: beside it, a phone would have no room left for the bars.
        figure.add_annotation(
            text=html.escape(label), x=0, y=row - 0.3, yanchor="bottom", showarrow=False, bgcolor="white"
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1}, layer="below")
    figure.update_xaxes(
        title_text="forecast multiplied by",
        tickvals=plain_values(np.log2(ticks)),
        ticktext=[f"×{factor:.3g}" for factor in ticks],
        range=[-reach, reach],
    )
    figure.update_yaxes(visible=False, range=[len(factors) - 0.5, -0.8])
    figure.update_layout(hovermode="closest", bargap=0.6)
    return _finish(figure, 90 + 52 * len(factors))


def _add_forecast(figure: go.Figure, x: list, forecast: pd.DataFrame, logarithmic: bool) -> None:
    if forecast["lower"].notna().any():
        edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hovertemplate": "%{y:,.3s}"}
        figure.add_scatter(
            y=_views(forecast["lower"], logarithmic), name="lower end", showlegend=False, **edge
        )
        figure.add_scatter(
            y=_views(forecast["upper"], logarithmic),
            name="interval",
            fill="tonexty",
            fillcolor=BAND,
            **edge,
        )
    figure.add_scatter(
        x=x,
        y=_views(forecast["views"], logarithmic),
        name="forecast",
        mode="lines",
        line={"color": BLUE, "width": 2.5},
        hovertemplate="%{y:,.3s}",
    )


def _views(views: pd.Series, logarithmic: bool) -> list:
    return plain_values(views.clip(lower=_FEWEST) if logarithmic else views)


def _known_views(forecast: pd.DataFrame) -> np.ndarray:
    """All numbers of views that a logarithmic axis shows of a forecast."""
    shown = forecast[["views", "lower", "upper"]].to_numpy(float).ravel()
    return np.maximum(shown[~np.isnan(shown)], _FEWEST)


def _views_ticks(title: str, logarithmic: bool, tables: list[pd.DataFrame]) -> dict:
    ticks = {"title_text": title, "tickformat": "~s"}
    if not logarithmic:
        return ticks | {"rangemode": "tozero"}
    shown = np.concatenate([_known_views(table) for table in tables])
    # Short axes are marked at 1, 2, 5, 10 ..., long ones at powers of ten.
    return ticks | {"type": "log", "dtick": 1 if shown.max() > _LONG_AXIS * shown.min() else "D2"}


def _finish(figure: go.Figure, height: int) -> go.Figure:
    """The page has the titles, and phones have little room."""
    figure.update_layout(
        margin={"l": 10, "r": 15, "t": 35, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode=False,
    )
    return finish(figure, "", height=height)
