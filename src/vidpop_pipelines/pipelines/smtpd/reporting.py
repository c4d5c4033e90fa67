"""Nodes that turn a trained forecaster into predictions, metrics, tables, figures and reports."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import build_data_report, count_missing
from vidpop_pipelines.evaluation.predictions import (
    build_predictions,
    to_matrix,
    validate_forecast,
    validate_predictions,
)
from vidpop_pipelines.parameters import IntervalOptions
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdInstance, SmtpdParameters
from vidpop_pipelines.pipelines.smtpd.protocol import rows_of

TARGET = "popularity"


def predict_held_out(
    forecaster: Any, inputs: SmtpdInputs, splits: pd.DataFrame, parameters: SmtpdParameters
) -> pd.DataFrame:
    """Forecasts all validation and test rows of every fold, each with its own fold's models.

    Calibration rows are labelled `val`, since the contract knows no fourth split.

    Returns:
        The predictions table (contract in `evaluation.predictions`).
    """
    tables = []
    for fold in forecaster.folds:
        roles = rows_of(splits, fold, inputs, parameters)
        parts = {"test": roles["test"]}
        if parameters.protocol == "honest":
            parts["val"] = np.concatenate([roles["validation"], roles["calibration"]])
        for split, rows in parts.items():
            forecast = forecaster.forecast(inputs, rows, fold)
            tables.append(
                _long_table(forecaster, inputs, rows, forecast, split=split, fold=fold, labelled=True)
            )
    return validate_predictions(pd.concat(tables, ignore_index=True))


def forecast_new_videos(forecaster: Any, inputs: SmtpdInputs) -> pd.DataFrame:
    """Forecasts videos without labels, with the mean over the folds of the model.

    Returns:
        The predictions table without `y_true`; split `test`, fold -1.
    """
    rows = np.arange(len(inputs))
    forecast = forecaster.forecast_mean(inputs)
    return validate_forecast(
        _long_table(forecaster, inputs, rows, forecast, split="test", fold=-1, labelled=False)
    )


def _long_table(
    forecaster: Any,
    inputs: SmtpdInputs,
    rows: np.ndarray,
    forecast: dict[str, np.ndarray],
    *,
    split: str,
    fold: int,
    labelled: bool,
) -> pd.DataFrame:
    days = forecaster.days
    members = {name: forecast[name] for name in ("network", "catboost")}
    # The cheap forecasts that every figure stands beside.
    members["line" if forecaster.early_popularity else "median"] = forecast["line"]
    if labelled or forecaster.early_popularity:
        # Persistence knows day 1. Without early popularity that is more than the models know: it has no
        # forecast for day 1 itself, and the median takes its place where day 1 is missing.
        first = inputs.curves([1])[rows]
        persistence = np.where(np.isnan(first), forecast["line"], first)
        members["persistence"] = np.where(np.array(days) == 1, np.nan, persistence)
    return build_predictions(
        inputs.videos["video_id"].to_numpy()[rows],
        forecast["y_pred"],
        target=TARGET,
        steps=days,
        split=split,
        fold=fold,
        y_true=inputs.curves(days)[rows] if labelled else None,
        lower=forecast["lower"],
        upper=forecast["upper"],
        members=members,
    )


def windows(days: list[int], parameters: SmtpdParameters) -> list[tuple[int, int]]:
    """Returns the day windows that are reported: all days, days 2..D (the paper's setups), and the chosen one."""
    chosen = (parameters.eval_from or days[0], parameters.eval_to or days[-1])
    return sorted({(days[0], days[-1]), (2, days[-1]), chosen})


def evaluate(predictions: pd.DataFrame, parameters: SmtpdParameters) -> dict[str, float]:
    """Computes all metrics of the test split from the predictions table alone."""
    from vidpop_pipelines.evaluation.metrics import curve_metrics

    return curve_metrics(predictions, windows(_days(predictions), parameters))


def compare_with_baselines(predictions: pd.DataFrame, parameters: SmtpdParameters) -> pd.DataFrame:
    """Sets the forecast beside its members and baselines, with paired bootstrap intervals against CatBoost.

    Returns:
        One row per forecast and window: `forecast`, `from_day`, `to_day`, `amae`, `asrc`, and the difference of
        AMAE to CatBoost with the 95 % interval `difference_lower` .. `difference_upper` (below zero: better).
    """
    from vidpop_pipelines.evaluation.comparison import paired_bootstrap
    from vidpop_pipelines.evaluation.metrics import score_days, window_metrics

    matrix = to_matrix(predictions, split="test")
    truth = matrix.columns["y_true"]
    forecasts = {"forecast": matrix.columns["y_pred"]} | matrix.members()
    errors = {name: np.abs(values - truth) for name, values in forecasts.items()}
    table = []
    for first, last in windows(list(matrix.steps), parameters):
        inside = (matrix.steps >= first) & (matrix.steps <= last)
        for name, values in forecasts.items():
            if np.isnan(values[:, inside]).any():
                continue
            scores = window_metrics(score_days(truth, values, matrix.steps), first, last)
            row = {"forecast": name, "from_day": first, "to_day": last}
            row |= {"amae": scores.get(f"amae_{first}_{last}"), "asrc": scores.get(f"asrc_{first}_{last}")}
            if name != "catboost":
                difference = paired_bootstrap(
                    errors[name][:, inside], errors["catboost"][:, inside], seed=parameters.seed
                )
                row |= {
                    "difference_to_catboost": difference.difference,
                    "difference_lower": difference.lower,
                    "difference_upper": difference.upper,
                }
            table.append(row)
    return pd.DataFrame(table)


def draw_day_metrics(predictions: pd.DataFrame) -> Any:
    """Draws MAE and SRC by day, of the forecast, its members and the baselines."""
    from vidpop_pipelines.evaluation.figures import day_metric_curves
    from vidpop_pipelines.evaluation.metrics import day_metrics

    columns = ["y_pred", *(name for name in predictions if name.startswith("y_pred_"))]
    names = {name: name.removeprefix("y_pred_").replace("y_pred", "forecast") for name in columns}
    tables = {label: day_metrics(predictions, forecast=name) for name, label in names.items()}
    return day_metric_curves(tables, title="Error and rank correlation by day, test videos")


def draw_forecasts(predictions: pd.DataFrame) -> Any:
    """Draws predicted and true curves of some test videos, with intervals."""
    from vidpop_pipelines.evaluation.figures import forecast_curves

    return forecast_curves(
        predictions, title="Forecast and truth of twelve test videos, least to most popular"
    )


def draw_calibration(predictions: pd.DataFrame, interval: IntervalOptions) -> Any:
    """Draws the measured coverage of the intervals by day."""
    from vidpop_pipelines.evaluation.figures import interval_calibration
    from vidpop_pipelines.evaluation.metrics import interval_by_day

    return interval_calibration(
        interval_by_day(predictions),
        nominal=interval.coverage,
        title="Coverage and width of the intervals by day",
    )


def draw_history(history: pd.DataFrame) -> Any:
    """Draws losses and validation AMAE by epoch, mean over folds."""
    from vidpop_pipelines.evaluation.figures import training_history

    mean = history.groupby("epoch", as_index=False)[["train_loss", "validation_amae"]].mean()
    return training_history(
        mean,
        losses={"train_loss": "training loss"},
        metric="validation_amae",
        metric_name="validation AMAE",
        best_epoch=float(mean.loc[mean["validation_amae"].idxmin(), "epoch"]),
        title="Training of the network" + (", mean over folds" if history["fold"].nunique() > 1 else ""),
    )


def report_data(
    summary: dict[str, Any], videos: pd.DataFrame, problems: pd.DataFrame, thumbnail_problems: pd.DataFrame
) -> dict[str, Any]:
    """Says what was read, used and left out, and which inputs are missing for which videos.

    Args:
        summary: Source and number of rows read.
        videos: The videos used.
        problems: Problems of the table.
        thumbnail_problems: Problems of the thumbnails.

    Returns:
        See `build_data_report`.
    """
    return build_data_report(summary, videos, pd.concat([problems, thumbnail_problems], ignore_index=True))


def build_report(
    metrics: dict[str, float],
    comparison: pd.DataFrame,
    data_report: dict[str, Any],
    day_metrics: Any,
    forecasts: Any,
    calibration: Any,
    history: Any,
    parameters: SmtpdParameters,
    instance: SmtpdInstance,
) -> str:
    """Renders the HTML report of a run."""
    from vidpop_pipelines.evaluation.report import html_report

    setup = "with early popularity" if instance.early_popularity else "without early popularity"
    protocol = {
        "honest": "honest: the test fold was used for nothing but these figures",
        "published": "published: the test fold also chose the best epoch, as in the paper; too good for new videos",
    }[parameters.protocol]
    counts = [f"{column}: {count}" for column, count in count_missing(data_report).items()]
    missing = "; ".join(counts) or "nothing"
    notes = [
        f"Protocol {protocol}. Test folds: {', '.join(map(str, parameters.folds))} of {parameters.n_folds}.",
        f"{data_report['rows_used']} of {data_report['rows_read']} rows were used. Missing inputs: {missing}.",
    ]
    if "coverage" in metrics:
        coverage, width = metrics["coverage"], metrics["interval_width"]
        notes.append(f"Prediction intervals cover {coverage:.1%} of test values; mean width {width:.2f}.")
    else:
        notes.append("There are no prediction intervals: no rows, or too few, were left for calibration.")
    return html_report(
        f"SMTPD {setup}",
        notes,
        {"AMAE and ASRC, difference of AMAE to CatBoost with 95 % bootstrap interval": comparison},
        [day_metrics, forecasts, calibration, history],
    )


def _days(predictions: pd.DataFrame) -> list[int]:
    return sorted(int(day) for day in predictions["step"].unique())
