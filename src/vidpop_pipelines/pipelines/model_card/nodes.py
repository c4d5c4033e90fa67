"""Nodes that write a model card from what a run has left behind, and attach it to the registered version."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.predictions import MEMBER_PREFIX

SEED = 42
FORECAST = "forecast"
_FINGERPRINT_LENGTH = 12
_PROTOCOLS = {
    "honest": "honest: the test videos were used for nothing but the figures below",
    "published": "published: the test videos also chose the best epoch, as in the paper; too good for new videos",
}


def write_card(
    registered_model: dict[str, Any],
    predictions: pd.DataFrame,
    metrics: dict[str, float],
    data_report: dict[str, Any],
    run: dict[str, Any] | None,
) -> str:
    """Writes the card as Markdown.

    Args:
        registered_model: `name` and `version` of the model.
        predictions: The predictions table of the same run.
        metrics: Its metrics.
        data_report: Its data report.
        run: Its `run.json` so far.

    Returns:
        What the model forecasts, what it was trained on, how good it is on test videos beside its members and baselines
        (with 95 % bootstrap intervals), its limits.
    """
    from vidpop_pipelines.evaluation.report import markdown_report

    run = run or {}
    scores = score_table(predictions, metrics)
    test = predictions[predictions["split"] == "test"]
    inputs = ", ".join(f"{name} ({digest[:12]})" for name, digest in run.get("inputs", {}).items())
    fingerprints = [
        f"{label} {run[key][:_FINGERPRINT_LENGTH]}"
        for label, key in (("data", "data_fingerprint"), ("test set", "test_fingerprint"))
        if run.get(key)
    ]
    notes = [
        f"Forecasts {', '.join(scores['task'].unique())}. Trained by `kedro run --pipeline={registered_model['name']}`"
        f" (environment {run.get('environment', 'unknown')}, commit {run.get('git_commit', 'unknown')}).",
        f"Trained on: {inputs or 'unknown inputs'}; {data_report['rows_used']} of {data_report['rows_read']} rows used."
        f" Fingerprints: {', '.join(fingerprints) or 'unknown'}.",
        f"Protocol {_PROTOCOLS.get(run.get('protocol', 'honest'), run.get('protocol'))}."
        f" {test['video_id'].nunique()} test videos.",
    ]
    tables = {"Error on test videos, with 95 % bootstrap intervals": scores}
    title = f"{registered_model['name']}, version {registered_model['version']}"
    limits = "\n".join(f"- {line}" for line in _limits(metrics, data_report, run, test))
    return markdown_report(title, notes, tables) + f"\n## Limits\n\n{limits}\n"


def score_table(predictions: pd.DataFrame, metrics: dict[str, float]) -> pd.DataFrame:
    """Scores the forecast, its members and baselines on the test videos, task by task.

    Returns:
        Columns `task`, `forecast`, `videos`, `score` (name of the mean error), `error` and its interval, `above
        forecast` (the difference to the forecast) and its interval: best first within a task.
    """
    from vidpop_pipelines.evaluation.comparison import paired_bootstrap
    from vidpop_pipelines.evaluation.tasks import MAIN_ERROR

    rows = []
    for task, forecasts in _forecasts(predictions, metrics).items():
        errors = {name: forecast.errors() for name, forecast in forecasts.items()}
        own, table = errors[FORECAST], []
        if np.isnan(own).all():
            continue
        for name, values in errors.items():
            if (np.isnan(values) != np.isnan(own)).any():
                continue  # A baseline without a forecast on some day or video.
            mean = paired_bootstrap(values, np.where(np.isnan(values), np.nan, 0.0), seed=SEED)
            row = {"task": task, "forecast": name, "videos": int((~np.isnan(own).all(axis=1)).sum())}
            row |= {"score": MAIN_ERROR[forecasts[name].kind], "error": mean.difference}
            row |= {"error interval": f"{mean.lower:.4f} to {mean.upper:.4f}"}
            if name != FORECAST:
                difference = paired_bootstrap(values, own, seed=SEED)
                interval = f"{difference.lower:+.4f} to {difference.upper:+.4f}"
                row |= {"above forecast": difference.difference, "interval": interval}
            table.append(row)
        rows += sorted(table, key=lambda row: row["error"])
    columns = ["task", "forecast", "videos", "score", "error", "error interval", "above forecast", "interval"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _forecasts(predictions: pd.DataFrame, metrics: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Returns task to name to `TaskForecast`, of the forecast and of every other column."""
    from vidpop_pipelines.evaluation.recompute import kind_of
    from vidpop_pipelines.evaluation.tasks import forecasts_of

    kind = kind_of(predictions, metrics)
    test = predictions[predictions["split"] == "test"]
    tasks: dict[str, dict[str, Any]] = {}
    for column in ["y_pred", *(name for name in test if name.startswith(MEMBER_PREFIX))]:
        name = FORECAST if column == "y_pred" else column.removeprefix(MEMBER_PREFIX)
        known = test.groupby("target")[column].transform(lambda values: values.notna().any())
        for task, forecast in forecasts_of(test[known].assign(y_pred=test[column]), kind).items():
            tasks.setdefault(task, {})[name] = forecast
    return tasks


def _limits(
    metrics: dict[str, float], data_report: dict[str, Any], run: dict[str, Any], test: pd.DataFrame
) -> list[str]:
    lines = [
        "Videos of other platforms, languages or times than those of the training data may be forecast much worse;"
        " nothing here measures that."
    ]
    if "coverage" in metrics:
        lines.append(
            f"Prediction intervals held {metrics['coverage']:.1%} of the true values of the test videos; for groups of"
            " videos the share may differ."
        )
    else:
        lines.append("There are no prediction intervals: too few rows were left for calibration.")
    if test["video_id"].nunique() < 200:
        lines.append("The test set is small: differences within the intervals above mean nothing.")
    if data_report.get("crawl_time_features"):
        names = ", ".join(data_report["crawl_time_features"])
        lines.append(f"Known as of the crawl, not of the moment of the forecast: {names}.")
    if run.get("protocol") == "published":
        lines.append("Chosen on its own test videos: compare it only with figures of the same protocol.")
    left_out = sum(entry["count"] for entry in data_report.get("left_out", []))
    if left_out:
        lines.append(f"{left_out} rows could not be used; data_report.json says why.")
    return lines


def attach_card(registered_model: dict[str, Any], card: str, run: dict[str, Any] | None) -> dict[str, Any]:
    """Attaches the card to the registered version; see `registry.describe_version`.

    Returns:
        `name` and `version` of the version, and the tags that it has now.
    """
    from vidpop_pipelines.registry import describe_version

    keys = ("protocol", "data_fingerprint", "test_fingerprint", "environment", "git_commit")
    tags = {key: str(run[key]) for key in keys if run and run.get(key)}
    tags["family"] = registered_model["name"]
    describe_version(registered_model["name"], registered_model["version"], card, tags)
    return {"name": registered_model["name"], "version": registered_model["version"], "tags": tags}
