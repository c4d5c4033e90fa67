"""Nodes that turn the predicted views of both tabular families into metrics, tables and figures."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import count_missing
from vidpop_pipelines.evaluation.predictions import to_matrix
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

TARGET = "views"
# Days; young videos are the hardest, and most in a newest block of time are young.
_AGES = [0, 1, 3, 7, 14, 30, 90, 365, np.inf]
_DAILY = "views_day_"
_SHOWN_SCORES = ["log_rmse", "log_mae", "r2_log", "rmse", "mae", "mape", "median_ape", "r2", "srcc"]


def evaluate_views(predictions: pd.DataFrame) -> dict[str, float]:
    """Computes the metrics of the test videos' views from the predictions table alone."""
    from vidpop_pipelines.evaluation.regression import regression_metrics

    return regression_metrics(predictions, target=TARGET)


def compare_with_baselines(
    predictions: pd.DataFrame, metrics: dict[str, float], tabular: TabularParameters
) -> pd.DataFrame:
    """Sets the forecast beside its members and baselines, with paired bootstrap intervals.

    Returns:
        One row per forecast, best first: `forecast`, the scores, and the difference in mean absolute error of
        log views to the `forecast`, with its 95 % interval (above zero: the forecast is better).
    """
    from vidpop_pipelines.evaluation.comparison import paired_bootstrap
    from vidpop_pipelines.evaluation.regression import scores_by_forecast

    table = scores_by_forecast(metrics)
    matrix = to_matrix(predictions, split="test", target=TARGET)
    truth = np.log1p(matrix.columns["y_true"])
    errors = {name: np.abs(np.log1p(values) - truth) for name, values in matrix.members().items()}
    forecast = np.abs(np.log1p(matrix.columns["y_pred"]) - truth)
    rows = []
    for name in table["forecast"]:
        if name in errors:
            difference = paired_bootstrap(errors[name], forecast, seed=tabular.seed)
            rows.append((difference.difference, difference.lower, difference.upper))
        else:
            rows.append((np.nan, np.nan, np.nan))
    columns = ["log_mae_difference", "difference_lower", "difference_upper"]
    shown = table[["forecast", *(name for name in _SHOWN_SCORES if name in table)]]
    return shown.join(pd.DataFrame(rows, columns=columns)).sort_values("log_rmse", ignore_index=True)


def compare_by_age(predictions: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Scores the forecast and its members by the age at which a video's views were read."""
    from vidpop_pipelines.evaluation.regression import metrics_by_group

    labels = [
        f"{low:g} to {high:g} days" if np.isfinite(high) else f"over {low:g} days"
        for low, high in zip(_AGES[:-1], _AGES[1:], strict=True)
    ]
    ages = pd.cut(videos["age_hours"] / 24, _AGES, labels=labels, include_lowest=True)
    ages.index = pd.Index(videos["video_id"])
    return metrics_by_group(predictions, ages, target=TARGET)


def by_age_wide(by_age: pd.DataFrame) -> pd.DataFrame:
    """Returns the table of `compare_by_age` with a row per age: number of videos, and each forecast's log RMSE."""
    counts = by_age.groupby("group", sort=False, observed=True)["count"].first()
    errors = by_age.pivot(index="group", columns="forecast", values="log_rmse")
    return counts.to_frame("videos").join(errors[by_age["forecast"].unique()]).reset_index(names="age")


def draw_predicted_against_true(predictions: pd.DataFrame) -> Any:
    """Draws forecast against truth of the test videos."""
    from vidpop_pipelines.evaluation.regression_figures import predicted_against_true

    return predicted_against_true(
        predictions, target=TARGET, title="Predicted and true views of the test videos"
    )


def draw_residuals(predictions: pd.DataFrame) -> Any:
    """Draws the residuals of the test videos in log units."""
    from vidpop_pipelines.evaluation.regression_figures import residuals

    return residuals(predictions, target=TARGET, title="Residuals of the test videos")


def draw_members(comparison: pd.DataFrame) -> Any:
    """Draws the error of the forecast, its members and the baselines."""
    from vidpop_pipelines.evaluation.figures import leaderboard_bars

    return leaderboard_bars(
        comparison,
        label="forecast",
        metric="log_rmse",
        metric_name="RMSE of log(1 + views), test videos",
        title="Error of the forecast, its members and baselines",
    )


def draw_ages(by_age: pd.DataFrame) -> Any:
    """Draws the error by age."""
    from vidpop_pipelines.evaluation.regression_figures import group_metrics

    return group_metrics(
        by_age,
        metric="log_rmse",
        metric_name="RMSE of log(1 + views)",
        group_name="age of the video when its views were read",
        title="Error by age, test videos",
    )


def data_notes(data_report: dict[str, Any]) -> list[str]:
    """Returns paragraphs of a report: rows used, what is missing, what was known only at the crawl."""
    missing = "; ".join(_missing_notes(count_missing(data_report))) or "nothing"
    notes = [f"{data_report['rows_used']} of {data_report['rows_read']} rows were used. Missing: {missing}."]
    for key, text in {
        "absent_columns": "The table does not have",
        "ignored_columns": "Columns that are not known and not used",
        "answer_columns": "Columns that contain the answer and are never used",
        "crawl_time_features": "Known as of the crawl, not of the prediction",
    }.items():
        if data_report.get(key):
            notes.append(f"{text}: {', '.join(data_report[key])}.")
    return notes


def _missing_notes(counts: dict[str, int]) -> list[str]:
    """Returns "column: count" of every column, the columns of a daily series as one."""
    notes = [f"{column}: {count}" for column, count in counts.items() if not column.startswith(_DAILY)]
    days = [count for column, count in counts.items() if column.startswith(_DAILY)]
    if days:
        notes.append(f"views of a day: {min(days)} to {max(days)} videos on {len(days)} days")
    return notes
