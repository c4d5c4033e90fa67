"""Nodes of the short-video pipelines: from frames and labels to a trained and calibrated classifier."""

from pathlib import Path
from typing import Any

import pandas as pd

from vidpop_pipelines.fingerprint import combine, hash_table
from vidpop_pipelines.parameters import IntervalOptions
from vidpop_pipelines.pipelines.short_video.frames import Frames
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoInstance, ShortVideoParameters


def prepare_backbone(
    parameters: ShortVideoParameters, instance: ShortVideoInstance, backbones_folder: Path
) -> str:
    """Returns where the backbone is: an id on the hub, a folder, or the folder that a tiny one is built into."""
    from vidpop_pipelines.pipelines.short_video.classifier import TINY, resolve_local

    if instance.backbone.model != TINY:
        return resolve_local(instance.backbone.model)
    from vidpop_pipelines.pipelines.short_video.tiny_models import build_tiny_model

    return str(build_tiny_model(instance.architecture, instance.frames, parameters.seed, backbones_folder))


def train_network(
    frames: Frames,
    labels: pd.DataFrame,
    source: str,
    parameters: ShortVideoParameters,
    instance: ShortVideoInstance,
    resume_folder: Path,
    epochs_folder: Path,
) -> tuple[Any, pd.DataFrame]:
    """Fine-tunes the backbone: adapters and head, on the labelled training videos.

    Returns:
        The network with the weights of its best epoch, and the history (`epoch`, losses, F1, accuracy).
    """
    from vidpop_pipelines.pipelines.short_video import training
    from vidpop_pipelines.training.folds import fold_logger

    with fold_logger(f"fold_{parameters.fold}", n_folds=1) as logger:
        return training.train_network(
            frames, labels, source, parameters, instance, resume_folder, epochs_folder, logger
        )


def train_boosting(statistics: pd.DataFrame, labels: pd.DataFrame, parameters: ShortVideoParameters) -> Any:
    """Trains the strong baseline: gradient boosting on frame and file statistics."""
    from vidpop_pipelines.pipelines.short_video import training

    return training.train_boosting(statistics, labels, parameters.boosting, parameters.seed)


def calibrate_classifier(
    network: Any,
    boosting: Any,
    frames: Frames,
    labels: pd.DataFrame,
    thresholds: dict[str, float],
    parameters: ShortVideoParameters,
    instance: ShortVideoInstance,
    interval: IntervalOptions,
) -> Any:
    """Calibrates the network's probabilities on calibration rows, and puts everything into one model."""
    from vidpop_pipelines.pipelines.short_video.classifier import ShortVideoClassifier
    from vidpop_pipelines.pipelines.short_video.training import calibrate, labelled_rows

    scaling, intervals = calibrate(network, frames, labels, interval.coverage, parameters.seed)
    return ShortVideoClassifier(
        name=instance.architecture,
        network=network,
        frames=instance.frames,
        scaling=scaling,
        intervals=intervals,
        boosting=boosting,
        popular_share=float(labels["label"].iloc[labelled_rows(labels)["train"]].mean()),
        thresholds={name: float(value) for name, value in thresholds.items()},
        protocol=parameters.protocol,
        data_fingerprint=combine(frames.fingerprint(), hash_table(labels)),
    )
