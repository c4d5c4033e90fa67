"""What holds for every figure of a report."""

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
from kedro_datasets.plotly import JSONDataset


def check_figure(draw: Callable[[], go.Figure], folder: Path) -> None:
    """Checks that a figure has a title, is readable JSON, is the same every time, and survives the catalog.

    Args:
        draw: Draws the figure anew; video ids start with "<v", and one name is "<language>", which must be escaped.
        folder: Where it may be written.
    """
    figure = draw()
    assert figure.layout.title.text
    text = figure.to_json()
    assert "bdata" not in text
    assert "NaN" not in text
    assert "<v" not in text and "<language>" not in text
    assert text == draw().to_json()
    dataset = JSONDataset(filepath=str(folder / "figure.plotly.json"))
    dataset.save(figure)
    assert dataset.load() == figure


def trace(figure: go.Figure, name: str):
    """Returns the trace of a figure that has this name."""
    return next(figure.select_traces({"name": name}))


def notes(figure: go.Figure) -> str:
    """Returns the texts that are written onto a figure."""
    return " | ".join(annotation.text for annotation in figure.layout.annotations)
