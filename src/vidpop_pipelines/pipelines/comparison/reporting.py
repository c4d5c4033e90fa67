"""Nodes that show the leaderboard: figures, Markdown, one HTML page."""

from typing import Any

import pandas as pd

from vidpop_pipelines.evaluation.tasks import VIEWS
from vidpop_pipelines.pipelines.comparison.parameters import ComparisonParameters
from vidpop_pipelines.pipelines.comparison.scoring import OWN, RANKING, SHARED

_TITLE = "Comparison of the families"
# Scores that the tables show, in this order, where a task has them; of counts those in log units.
_SCORES = {
    "log_mae": ["log_mae", "normalised_error", "srcc", "median_ape"],
    "amae": ["amae", "asrc"],
    "mae": ["mae", "r2", "srcc"],
    "error_rate": ["error_rate", "f1_weighted", "log_loss", "roc_auc", "srcc", "plcc"],
    "1 - srcc": ["srcc"],
}
_BEHIND = {
    "behind_best": "behind the best",
    "behind_best_lower": "from",
    "behind_best_upper": "to",
}
_COSTS = {
    "family": "family",
    "training_seconds": "training, s",
    "prediction_seconds_per_1000": "inference per 1,000 videos at most, s",
    "forecast_seconds_per_1000": "from raw files per 1,000 videos, s",
    "model_megabytes": "model, MB",
    "rows_used": "videos used",
    "rows_read": "videos read",
    "protocol": "protocol",
    "inputs": "inputs",
    "data_fingerprint": "data fingerprint",
    "test_fingerprint": "test set fingerprint",
}
_FINGERPRINT_LENGTH = 12


def draw_shared_views(leaderboard: pd.DataFrame, parameters: ComparisonParameters) -> Any:
    """Draws how well the families forecast views, on the videos that they share, with intervals of differences."""
    from vidpop_pipelines.evaluation.comparison_figures import differences_to_best

    rows = _rows(leaderboard, SHARED, VIEWS)
    return differences_to_best(
        rows,
        metric_name="MAE of ln(views + 1)",
        title=f"Views, {_count(rows)} shared test videos: how far behind the best",
        confidence=parameters.confidence,
    )


def draw_ranking(leaderboard: pd.DataFrame) -> Any:
    """Draws how well all families, classifiers included, rank the videos by their views."""
    from vidpop_pipelines.evaluation.figures import leaderboard_bars

    rows = _rows(leaderboard, SHARED, RANKING)
    rows = _rows(leaderboard, SHARED, VIEWS) if rows.empty else rows
    return leaderboard_bars(
        rows,
        label="family",
        metric="srcc",
        metric_name="rank correlation (Spearman) with views",
        title=f"Ranking by views, {_count(rows)} shared test videos",
        lower_is_better=False,
    )


def draw_leaderboard(leaderboard: pd.DataFrame) -> Any:
    """Draws the leaderboard as a table."""
    from vidpop_pipelines.evaluation.figures import leaderboard_table

    columns = ["view", "task", "rank", "family", "n_videos", "error_name", "error", *_BEHIND, "srcc"]
    shown = leaderboard.reindex(columns=columns).astype({"rank": "Int64"})
    return leaderboard_table(shown, title="Leaderboard", headers=_BEHIND)


def draw_costs(leaderboard: pd.DataFrame) -> Any:
    """Draws training time against the error of views on shared videos."""
    from vidpop_pipelines.evaluation.comparison_figures import error_against_time

    rows = _rows(leaderboard, SHARED, VIEWS)
    return error_against_time(
        rows,
        metric_name="MAE of ln(views + 1), lower is better",
        title=f"Error and training time, {_count(rows)} shared test videos",
    )


def _rows(leaderboard: pd.DataFrame, view: str, task: str) -> pd.DataFrame:
    return leaderboard[(leaderboard["view"] == view) & (leaderboard["task"] == task)]


def _count(rows: pd.DataFrame) -> str:
    return f"{rows['n_videos'].iloc[0]:,}" if len(rows) else "no"


def write_markdown(
    leaderboard: pd.DataFrame,
    differences: pd.DataFrame,
    shared: Any,
    absent: list[str],
    parameters: ComparisonParameters,
) -> str:
    """Renders the leaderboard as Markdown."""
    from vidpop_pipelines.evaluation.report import markdown_report

    notes = _notes(leaderboard, shared.notes, absent, parameters)
    return markdown_report(_TITLE, notes, _tables(leaderboard, differences))


def build_report(
    leaderboard: pd.DataFrame,
    differences: pd.DataFrame,
    shared: Any,
    absent: list[str],
    parameters: ComparisonParameters,
    *figures: Any,
) -> str:
    """Renders the HTML report."""
    from vidpop_pipelines.evaluation.report import html_report

    notes = _notes(leaderboard, shared.notes, absent, parameters)
    return html_report(_TITLE, notes, _tables(leaderboard, differences), figures)


def _tables(leaderboard: pd.DataFrame, differences: pd.DataFrame) -> dict[str, pd.DataFrame]:
    tables = {}
    for view in (SHARED, OWN):
        tasks = leaderboard.loc[leaderboard["view"] == view, "task"].unique()
        # What most families have in common first.
        for task in sorted(tasks, key=lambda name: name not in (VIEWS, RANKING)):
            tables[f"{task}, {view}"] = _scores(_rows(leaderboard, view, task))
    if len(differences):
        shown = differences.assign(told_apart=differences["told_apart"].map({True: "yes", False: "no"}))
        tables["Differences, better family first: error of the better minus error of the worse"] = shown
    tables["What it cost, and what it was made from"] = _costs(leaderboard)
    return tables


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    scores = [
        name for name in _SCORES[rows["error_name"].iloc[0]] if name in rows and rows[name].notna().any()
    ]
    behind = [name for name in _BEHIND if rows[name].notna().any()]
    ranks = ["rank"] if rows["rank"].notna().any() else []
    # Ranks have been floats in the file, beside tasks without a rank.
    shown = rows.astype({"rank": "Int64"})
    return shown[[*ranks, "family", "n_videos", *scores, *behind]].rename(columns=_BEHIND)


def _costs(leaderboard: pd.DataFrame) -> pd.DataFrame:
    costs = leaderboard.drop_duplicates("family")[list(_COSTS)].copy()
    for name in ("data_fingerprint", "test_fingerprint"):
        costs[name] = costs[name].astype("str").str.slice(0, _FINGERPRINT_LENGTH)
    # Such as times of `<name>_predict` where none has been run.
    return costs.dropna(axis="columns", how="all").rename(columns=_COSTS)


def _notes(
    leaderboard: pd.DataFrame, shared: list[str], absent: list[str], parameters: ComparisonParameters
) -> list[str]:
    families = leaderboard["family"].unique()
    notes = [
        f"Families: {', '.join(families)}. All figures are computed from their predictions of test videos; the"
        " published metrics of each were recomputed and agree."
    ]
    if absent:
        commands = ", ".join(f"`kedro run --pipeline={name}`" for name in absent)
        notes.append(f"Not run, and left out: {', '.join(absent)} ({commands}).")
    notes += [
        "Shared test videos: those that are test videos of each of the families compared, with the same truth; only"
        " there are families ranked. Curves take part in views with their last day D, views = (2^p - 1) D. The"
        " normalised error is the squared error of ln(views + 1) in parts of the deviations from the mean: a"
        " constant forecast has at least 1. Classifiers give no views and take part in the ranking only,"
        " whatever measure they have learned.",
        "Families know different things about a video (their READMEs say which): one that is told the views of the"
        " first day is not better for being closer.",
        f"Differences are bracketed by {parameters.confidence:.0%} intervals of a paired bootstrap over videos"
        f" ({parameters.n_resamples:,} draws), one pair at a time; where the interval contains zero, the videos do"
        " not tell which of the two is better.",
        "Training: seconds of all steps from the raw files to the model; encodings that an earlier run had cached"
        " cost nothing. Inference: seconds of the step from the model to the predictions over the test videos, an"
        " upper bound, since validation videos and baselines are forecast in it too; without preparing the inputs"
        " where that is a step of its own. From raw files: the last run of <name>_predict, where there is one."
        " Model: files on disk.",
        *(f"{note[0].upper()}{note[1:]}" for note in shared),
    ]
    protocols = leaderboard.drop_duplicates("family").groupby("protocol")["family"].agg(", ".join)
    if len(protocols) > 1:
        mixed = "; ".join(f"{protocol}: {names}" for protocol, names in protocols.items())
        notes.append(f"Protocols differ ({mixed}): figures of the published protocol are too good.")
    return notes
