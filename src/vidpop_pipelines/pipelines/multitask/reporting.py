"""Nodes that turn predictions into metrics, tables, figures and the report; those of views are shared."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.multitask.targets import STAGE, TARGETS, VIEWS
from vidpop_pipelines.pipelines.tabular.reporting import data_notes

_SHOWN_SCORES = ["log_rmse", "rmse", "mae", "r2", "srcc", "accuracy", "f1_weighted", "log_loss", "coverage"]


def select_views(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of views, with their own members only."""
    from vidpop_pipelines.evaluation.regression import select_target

    return select_target(predictions, VIEWS)


def evaluate(predictions: pd.DataFrame) -> dict[str, float]:
    """Computes the metrics of the test videos from the predictions table alone.

    Returns:
        Those of views under their plain names, those of the other targets with the target in front.
    """
    from vidpop_pipelines.evaluation.regression import table_metrics

    return table_metrics(predictions)


def compare_targets(metrics: dict[str, float]) -> pd.DataFrame:
    """Sets the forecast of every target beside CatBoost and the trivial baselines.

    Returns:
        One row per target and forecast, with the scores that the target has.
    """
    from vidpop_pipelines.evaluation.regression import scores_by_forecast

    tables = []
    for target in TARGETS:
        others = tuple(f"{name}_" for name in TARGETS[1:])
        own = {
            key.removeprefix(f"{target}_"): value
            for key, value in metrics.items()
            if (key.startswith(f"{target}_") if target != VIEWS else not key.startswith(others))
        }
        if own:
            table = scores_by_forecast(own)
            table.insert(0, "target", target)
            tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    return table[["target", "forecast", *(name for name in _SHOWN_SCORES if name in table)]]


def draw_targets(by_target: pd.DataFrame) -> Any:
    """Draws the error of every target in parts of that of its trivial forecast."""
    from vidpop_pipelines.evaluation.figures import leaderboard_bars

    trivial = by_target["forecast"].isin(["median", "prior"])
    error = by_target["log_rmse"].where(by_target["target"] == VIEWS, by_target["mae"])
    error = error.where(by_target["target"] != STAGE, by_target.get("log_loss", np.nan))
    reference = error[trivial].groupby(by_target["target"]).first()
    shown = by_target.assign(
        relative=error / by_target["target"].map(reference),
        label=by_target["target"] + ": " + by_target["forecast"],
    )
    return leaderboard_bars(
        shown[~trivial],
        label="label",
        metric="relative",
        metric_name="error in parts of the trivial forecast's (log RMSE of views, log loss of stages, else MAE)",
        title="Error of every target, test videos",
    )


def draw_history(history: pd.DataFrame) -> Any:
    """Draws training and validation loss by epoch."""
    from vidpop_pipelines.evaluation.figures import training_history

    metric = "validation_relative_loss"
    return training_history(
        history,
        losses={"train_loss": "training loss"},
        metric=metric,
        metric_name="validation loss in parts of the untrained network's, mean over targets",
        best_epoch=float(history.loc[history[metric].idxmin(), "epoch"]),
        title="Training of the network on older videos",
    )


def build_report(
    metrics: dict[str, float],
    comparison: pd.DataFrame,
    by_target: pd.DataFrame,
    by_age: pd.DataFrame,
    data_report: dict[str, Any],
    budget: dict[str, Any],
    *figures: Any,
) -> str:
    """Renders the HTML report of a run."""
    from vidpop_pipelines.evaluation.report import html_report

    masked = [f"{entry['target']} ({entry['reason']})" for entry in data_report["masked_targets"]]
    notes = [
        "The newest videos are the test set; they were used for nothing but these figures. The network was"
        f" trained for {budget['epochs']} epochs, the number that was best on videos held back from a first"
        " training.",
        *([f"Targets that the table does not carry: {'; '.join(masked)}."] if masked else []),
        *data_notes(data_report),
        _interval_note(metrics),
    ]
    return html_report(
        "Multitask: views, like ratio and life cycle",
        notes,
        {
            "Views: forecast, members and baselines; difference in log MAE to the forecast with 95 % bootstrap"
            " interval": comparison,
            "Every target": by_target,
            "Views by age of the video when they were read": by_age,
        },
        figures,
    )


def _interval_note(metrics: dict[str, float]) -> str:
    shares = {VIEWS: metrics.get("coverage")} | {
        target: metrics.get(f"{target}_coverage") for target in TARGETS[1:] if target != STAGE
    }
    known = [f"{target} {share:.1%}" for target, share in shares.items() if share is not None]
    if not known:
        return "There are no prediction intervals: too few rows were left for calibration."
    return f"Share of the test videos inside their prediction interval: {', '.join(known)}."
