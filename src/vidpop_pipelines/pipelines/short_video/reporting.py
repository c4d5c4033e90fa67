"""Nodes that turn a trained classifier into predictions, metrics, tables, figures and reports."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.evaluation.predictions import (
    build_predictions,
    to_matrix,
    validate_forecast,
    validate_predictions,
)
from vidpop_pipelines.pipelines.short_video.frames import Frames
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoInstance, ShortVideoParameters

TARGET = "popular"
RAW_TARGET = "metric"
CLASSES = ("not popular", "popular")
# Names in figures and tables.
_FORECASTS = {
    "y_pred": "forecast",
    "y_pred_network": "network, uncalibrated",
    "y_pred_boosting": "gradient boosting",
}


def predict_held_out(
    classifier: Any,
    frames: Frames,
    statistics: pd.DataFrame,
    labels: pd.DataFrame,
    parameters: ShortVideoParameters,
) -> pd.DataFrame:
    """Scores all validation and test videos, those between the thresholds included.

    Calibration videos are labelled `val`, since the contract knows no fourth split.

    Returns:
        The predictions table: target `popular` of the labelled videos, target `metric` of all.
    """
    parts = {"test": labels["test"]}
    if parameters.protocol == "honest":
        parts["val"] = labels["validation"] | labels["calibration"]
    tables = []
    for split, chosen in parts.items():
        rows = np.flatnonzero(chosen)
        scores = _score(classifier, frames, statistics, rows)
        truth = labels.iloc[rows]
        labelled = truth["label"].notna().to_numpy()
        common = {"split": split, "fold": parameters.fold}
        tables += [
            _long_table(truth["video_id"], scores, TARGET, truth["label"], labelled, **common),
            _long_table(truth["video_id"], scores, RAW_TARGET, truth["metric"], **common),
        ]
    return validate_predictions(pd.concat(tables, ignore_index=True))


def forecast_new_videos(
    classifier: Any, videos: pd.DataFrame, frames: Frames, statistics: pd.DataFrame
) -> pd.DataFrame:
    """Scores videos without labels.

    Returns:
        The predictions table without `y_true`; split `test`, fold -1; both targets for every video.
    """
    scores = _score(classifier, frames, statistics, np.arange(len(videos)))
    tables = [
        _long_table(videos["video_id"], scores, target, None, split="test", fold=-1)
        for target in (TARGET, RAW_TARGET)
    ]
    return validate_forecast(pd.concat(tables, ignore_index=True))


def _score(
    classifier: Any, frames: Frames, statistics: pd.DataFrame, rows: np.ndarray
) -> dict[str, np.ndarray]:
    return classifier.probabilities(frames, rows) | classifier.baselines(statistics.iloc[rows])


def _long_table(
    video_ids: pd.Series,
    scores: dict[str, np.ndarray],
    target: str,
    truth: pd.Series | None,
    chosen: np.ndarray | slice = slice(None),
    **common: Any,
) -> pd.DataFrame:
    columns = {name: values[chosen, None] for name, values in scores.items()}
    # The intervals are of the label.
    interval = {name: columns.pop(name) for name in ("lower", "upper")}
    return build_predictions(
        video_ids.to_numpy()[chosen],
        columns.pop("y_pred"),
        target=target,
        steps=[0],
        y_true=None if truth is None else truth.to_numpy(np.float64)[chosen, None],
        members=columns,
        # A raw metric may be a number of views.
        dtype=np.float64,
        **common,
        **(interval if target == TARGET else {}),
    )


def evaluate(predictions: pd.DataFrame) -> dict[str, float]:
    """Computes all metrics of the test split from the predictions table alone."""
    from vidpop_pipelines.evaluation.classification import binary_metrics

    return binary_metrics(predictions, target=TARGET, raw_target=RAW_TARGET)


def compare_with_baselines(
    predictions: pd.DataFrame, metrics: dict[str, float], parameters: ShortVideoParameters
) -> pd.DataFrame:
    """Sets the forecast beside its baselines, with paired bootstrap intervals against gradient boosting.

    Returns:
        One row per forecast: its metrics, and the difference of its error rate to gradient boosting with the 95 %
        interval `difference_lower` .. `difference_upper` (below zero: better).
    """
    from vidpop_pipelines.evaluation.comparison import paired_bootstrap

    matrix = to_matrix(predictions, split="test", target=TARGET)
    truth = matrix.columns["y_true"]
    forecasts = {"forecast": matrix.columns["y_pred"]} | matrix.members()
    wrong = {name: ((values >= 0.5) != truth).astype(float) for name, values in forecasts.items()}
    names = (
        "accuracy",
        "f1_weighted",
        "precision_weighted",
        "recall_weighted",
        "roc_auc",
        "ece",
        "srcc",
        "plcc",
    )
    table = []
    for name in forecasts:
        suffix = "" if name == "forecast" else f".{name}"
        row = {"forecast": name} | {key: metrics.get(f"{key}{suffix}") for key in names}
        if name != "boosting":
            difference = paired_bootstrap(wrong[name], wrong["boosting"], seed=parameters.seed)
            row |= {
                "error_difference_to_boosting": difference.difference,
                "difference_lower": difference.lower,
                "difference_upper": difference.upper,
            }
        table.append(row)
    return pd.DataFrame(table)


def draw_confusion(predictions: pd.DataFrame) -> Any:
    """Draws the confusion matrices of the forecast and of gradient boosting."""
    from vidpop_pipelines.evaluation.classification_figures import confusion_matrices

    return confusion_matrices(
        predictions,
        {name: _FORECASTS[name] for name in ("y_pred", "y_pred_boosting")},
        target=TARGET,
        classes=CLASSES,
        title="Confusion matrix, labelled test videos",
    )


def draw_calibration(predictions: pd.DataFrame) -> Any:
    """Draws how well probabilities agree with frequencies, before and after calibration."""
    from vidpop_pipelines.evaluation.classification_figures import reliability

    return reliability(
        predictions,
        _FORECASTS,
        target=TARGET,
        event="popular",
        title="Calibration, labelled test videos",
    )


def draw_ranking(predictions: pd.DataFrame, thresholds: dict[str, float], summary: dict[str, Any]) -> Any:
    """Draws the probability of all test videos over their raw metric."""
    from vidpop_pipelines.evaluation.classification_figures import probability_against_metric

    return probability_against_metric(
        predictions,
        raw_target=RAW_TARGET,
        metric_name=str(summary["metric"]),
        event="popular",
        thresholds={"not popular up to": thresholds["low"], "popular from": thresholds["high"]},
        title="Probability and raw metric, all test videos",
    )


def draw_history(history: pd.DataFrame) -> Any:
    """Draws losses and validation F1 by epoch."""
    from vidpop_pipelines.evaluation.figures import training_history

    metric = "validation_f1_weighted"
    return training_history(
        history,
        losses={"train_loss": "training loss", "validation_log_loss": "validation loss"},
        metric=metric,
        metric_name="validation F1, weighted",
        best_epoch=float(history.loc[history[metric].idxmax(), "epoch"]),
        title="Training of adapters and head",
    )


def report_data(
    summary: dict[str, Any], videos: pd.DataFrame, problems: pd.DataFrame, frame_problems: pd.DataFrame
) -> dict[str, Any]:
    """Says what was read, used and left out, and why; see `build_data_report`."""
    return build_data_report(summary, videos, pd.concat([problems, frame_problems], ignore_index=True))


def build_report(
    metrics: dict[str, float],
    comparison: pd.DataFrame,
    data_report: dict[str, Any],
    labels: pd.DataFrame,
    thresholds: dict[str, float],
    confusion: Any,
    calibration: Any,
    ranking: Any,
    history: Any,
    parameters: ShortVideoParameters,
    instance: ShortVideoInstance,
) -> str:
    """Renders the HTML report of a run."""
    from vidpop_pipelines.evaluation.report import html_report

    protocol = {
        "honest": "honest: the test videos were used for nothing but these figures",
        "published": "published: the test videos also chose the best epoch; too good for new videos",
    }[parameters.protocol]
    left_out = "; ".join(f"{entry['reason']}: {entry['count']}" for entry in data_report["left_out"])
    used = f"{data_report['rows_used']} of {data_report['rows_read']} rows were used"
    notes = [
        f"Protocol {protocol}. Test fold {parameters.fold} of {parameters.n_folds}.",
        f"{used}. Left out: {left_out or 'nothing'}.",
        _label_note(labels, thresholds, str(data_report["metric"])),
        _backbone_note(instance),
        *_calibration_notes(metrics),
    ]
    differences = [name for name in comparison if "difference" in name]
    return html_report(
        f"Short videos: {instance.architecture}",
        notes,
        {
            "Test videos": comparison.drop(columns=differences),
            "Error rate minus that of gradient boosting, with 95 % bootstrap interval (below zero: better)": comparison[
                ["forecast", *differences]
            ].dropna(),
        },
        [confusion, calibration, ranking, history],
    )


def _label_note(labels: pd.DataFrame, thresholds: dict[str, float], metric: str) -> str:
    low, high = thresholds["low"], thresholds["high"]
    counts = {
        role: f"{int(labels[role].sum())} {role} ({int(labels.loc[labels[role], 'label'].notna().sum())} labelled)"
        for role in ("train", "validation", "calibration", "test")
    }
    return (
        f"Popular: {metric} of at least {high:.4g}; not popular: at most {low:.4g}, thresholds from the training"
        f" videos. Videos: {', '.join(counts.values())}."
    )


def _backbone_note(instance: ShortVideoInstance) -> str:
    backbone, frames = instance.backbone, instance.frames
    note = (
        f"Backbone {backbone.model}, quantisation {backbone.quantization}; LoRA rank {backbone.lora.rank},"
        f" alpha {backbone.lora.alpha}; {frames.n_frames} frames of {frames.size} x {frames.size} pixels."
    )
    if backbone.model == "tiny":
        note += " The tiny backbone was never pretrained: it shows that everything runs, not what the method can do."
    return note


def _calibration_notes(metrics: dict[str, float]) -> list[str]:
    if "coverage" not in metrics:
        return ["There are no prediction intervals: no rows, or too few, were left for calibration."]
    return [
        f"Intervals around the probability contain the label of {metrics['coverage']:.1%} of labelled test videos;"
        f" mean width {metrics['interval_width']:.2f}. One from 0 to 1 leaves the label open: the network is"
        " not sure enough."
    ]
