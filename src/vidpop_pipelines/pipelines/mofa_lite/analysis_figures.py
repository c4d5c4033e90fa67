"""Figures of `mofa_lite_analysis`."""

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidpop_pipelines.evaluation.figures import BLUE, finish, line_style, plain_values

# More points make a scatter no clearer, and its file large.
_POINTS = 2000


def _panels(names: list[str], **options) -> go.Figure:
    titles = [html.escape(name) for name in names]
    return make_subplots(rows=1, cols=len(names), subplot_titles=titles, horizontal_spacing=0.07, **options)


def histograms(
    samples: Mapping[str, Mapping[str, np.ndarray]], *, quantity: str, title: str, n_bins: int = 40
) -> go.Figure:
    """Draws the distribution of several samples, one panel each, and within it one line per part.

    Args:
        samples: Panel to part (`train`, `test`) to values.
        quantity: Name and unit of the values.
        title: Title of the figure.
        n_bins: Number of bins.
    """
    figure = _panels(list(samples))
    for panel, parts in enumerate(samples.values(), start=1):
        edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), bins=n_bins)
        for position, (part, values) in enumerate(parts.items()):
            share = np.histogram(values, bins=edges)[0] / max(len(values), 1)
            width = edges[1] - edges[0]
            # Empty bins at both ends close the outline.
            figure.add_scatter(
                x=plain_values(np.append(edges - width / 2, edges[-1] + width / 2)),
                y=plain_values(np.pad(share, 1)),
                mode="lines",
                line={"shape": "hvh", "width": 2, **line_style(position)},
                fill="tozeroy" if position == 0 else None,
                name=part,
                legendgroup=part,
                showlegend=panel == 1 and len(parts) > 1,
                hovertemplate=f"{part}: %{{y:.1%}}<extra></extra>",
                row=1,
                col=panel,
            )
        figure.update_xaxes(title_text=quantity, row=1, col=panel)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title_text="share of videos", col=1)
    figure.update_layout(margin={"t": 100})
    return finish(figure, title, height=420)


def boxes(values: Mapping[str, np.ndarray], *, quantity: str, title: str, percent: bool = False) -> go.Figure:
    """Draws the spread of one number per column, a box per modality.

    Args:
        values: Modality to the number of each of its columns, NaN where there is none.
        quantity: Name and unit of the number.
        title: Title of the figure.
        percent: Whether the number is a share.
    """
    figure = go.Figure()
    for name, numbers in values.items():
        figure.add_box(
            x=plain_values(numbers),
            name=f"{html.escape(name)}  ",
            marker={"color": BLUE, "size": 4},
            line={"width": 1.5},
            boxpoints="outliers",
            orientation="h",
        )
    figure.update_xaxes(title_text=quantity)
    if percent:
        # Shares of nothing but zero would get an axis from -100 % to 100 %.
        largest = max((np.nanmax(numbers, initial=0) for numbers in values.values()), default=0)
        figure.update_xaxes(tickformat=".1%", range=[-0.02 * max(largest, 0.01), 1.05 * max(largest, 0.01)])
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_layout(showlegend=False, hovermode="closest")
    return finish(figure, title, height=200 + 60 * len(values))


def heatmap(means: pd.DataFrame, *, title: str) -> go.Figure:
    """Draws a square table of numbers from 0 to 1, each written into its cell.

    Args:
        means: Same names as index and columns.
        title: Title of the figure.
    """
    names = [html.escape(str(name)) for name in means.columns]
    figure = go.Figure()
    figure.add_heatmap(
        z=[plain_values(row) for row in means.to_numpy()],
        x=names,
        y=[f"{name}  " for name in names],
        zmin=0,
        zmax=1,
        colorscale="Blues",
        text=[[f"{value:.2f}" for value in row] for row in means.to_numpy()],
        texttemplate="%{text}",
        colorbar={"title": "mean |r|"},
        hovertemplate="%{y}with %{x}: %{z:.3f}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False)
    figure.update_xaxes(ticks="", showgrid=False)
    figure.update_layout(hovermode="closest")
    return finish(figure, title, height=200 + 60 * len(names))


def ranked_lines(series: Mapping[str, Mapping[str, np.ndarray]], *, quantity: str, title: str) -> go.Figure:
    """Draws sorted numbers by rank, one panel per target and one line per modality; ranks on a log axis.

    Args:
        series: Panel to line to values, largest first.
        quantity: Name of the values.
        title: Title of the figure.
    """
    figure = _panels(list(series), shared_yaxes=True)
    for panel, lines in enumerate(series.values(), start=1):
        for position, (name, values) in enumerate(lines.items()):
            figure.add_scatter(
                x=list(range(1, len(values) + 1)),
                y=plain_values(values),
                mode="lines+markers",
                marker={"size": 4},
                line={"width": 2, **line_style(position)},
                name=html.escape(name),
                legendgroup=name,
                showlegend=panel == 1,
                hovertemplate="%{y:.3f}",
                row=1,
                col=panel,
            )
        figure.update_xaxes(type="log", title_text="rank of the column", row=1, col=panel)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text=quantity, col=1)
    figure.update_layout(margin={"t": 100})
    return finish(figure, title, height=440)


def scatters(
    points: Mapping[str, np.ndarray], color: np.ndarray, *, color_name: str, title: str
) -> go.Figure:
    """Draws points in the plane, one panel per modality, coloured by a number.

    Args:
        points: Modality to (n, 2) coordinates.
        color: (n,) numbers.
        color_name: What they are.
        title: Title of the figure.
    """
    figure = _panels(list(points))
    for panel, coordinates in enumerate(points.values(), start=1):
        shown = coordinates[:_POINTS].round(3)
        figure.add_scatter(
            x=plain_values(shown[:, 0]),
            y=plain_values(shown[:, 1]),
            mode="markers",
            showlegend=False,
            marker={
                "size": 5,
                "opacity": 0.7,
                "color": plain_values(color[:_POINTS].round(3)),
                "coloraxis": "coloraxis",
            },
            hovertemplate=f"{html.escape(color_name)} %{{marker.color:.2f}}<extra></extra>",
            row=1,
            col=panel,
        )
        figure.update_xaxes(title_text="first direction", row=1, col=panel)
    figure.update_yaxes(title_text="second direction", col=1)
    figure.update_layout(
        coloraxis={"colorscale": "Viridis", "colorbar": {"title": html.escape(color_name)}},
        hovermode="closest",
        margin={"t": 100},
    )
    return finish(figure, title, height=440)
