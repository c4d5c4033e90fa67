"""Forecasts in words."""

import pandas as pd

_NAMES = {
    "like_ratio": "Likes per view",
    "time_to_peak_days": "Days to the peak",
    "decay_rate": "Decay per day, after the peak",
    "lifecycle_stage": "Stage",
}
_SHARES = ("like_ratio", "lifecycle_stage=")


def describe_views(views: float) -> str:
    """Returns a number of views with three digits, for example `1,230,000`."""
    return f"{float(f'{views:.3g}'):,.0f}" if views >= 1 else "under 1"


def describe_change(views: float, before: float | None) -> str | None:
    """Returns how much more or fewer views a forecast has than another one; None without another."""
    if before is None:
        return None
    change = (views + 1) / (before + 1) - 1
    return f"{change:+,.1%} against before" if abs(change) >= 0.0005 else "as before"


def describe_others(forecast: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """Returns what a model forecasts beside views, as a table of texts.

    Args:
        forecast: Answer for one video, as `questions.read_answer` makes it.
        before: The forecast to compare with; None for none.

    Returns:
        Columns `forecast` and, if there is one, `before`; a row per target, a dash where the model has none.
    """
    names = [name for name in forecast if name not in ("day", "views", "lower", "upper")]
    tables = {"forecast": forecast} | ({} if before is None else {"before": before})
    texts = {
        title: [_describe(name, table[name].iloc[-1]) for name in names] for title, table in tables.items()
    }
    return pd.DataFrame(texts, index=[_name(name) for name in names])


def _name(name: str) -> str:
    stage = name.partition("=")[2]
    return f"Probability of {stage}" if stage else _NAMES.get(name, name.replace("_", " ").capitalize())


def _describe(name: str, value: object) -> str:
    if pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1%}" if name.startswith(_SHARES) else f"{value:.3g}"
