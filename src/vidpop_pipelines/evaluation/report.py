"""Reports: one self-contained HTML page with notes, tables and figures, readable without network; or Markdown."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

_STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; }
body { max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { background: #f4f4f4; }
.wide { overflow-x: auto; }
"""


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def html_report(
    title: str, notes: Sequence[str], tables: Mapping[str, pd.DataFrame], figures: Sequence[go.Figure]
) -> str:
    """Renders the page; plotly's script is inside it once.

    Args:
        title: Heading of the page.
        notes: One paragraph each: what was measured, on what, under which protocol.
        tables: Heading to table; floats are shown with four decimals (from 1,000 on
            with none), missing values as a dash.
        figures: Figures, with their own titles.

    Returns:
        The HTML document.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(note)}</p>" for note in notes)]
    for heading, table in tables.items():
        rendered = table.to_html(index=False, na_rep="–", float_format=_format_number, border=0)
        parts += [f"<h2>{html.escape(heading)}</h2>", f'<div class="wide">{rendered}</div>']
    for position, figure in enumerate(figures):
        parts.append(figure.to_html(full_html=False, include_plotlyjs=position == 0))
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def markdown_report(title: str, notes: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> str:
    """Renders notes and tables as Markdown; see `html_report` for the arguments and the numbers."""
    parts = [f"# {title}", *notes]
    for heading, table in tables.items():
        parts += [f"## {heading}", _markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        if pd.isna(value):
            return "–"
        text = _format_number(value) if isinstance(value, float | np.floating) else str(value)
        return text.replace("|", "\\|")

    align = ["---:" if pd.api.types.is_numeric_dtype(table[name]) else "---" for name in table]
    rows = [list(table.columns), align, *(map(cell, row) for row in table.itertuples(index=False))]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
