"""Training of the network and of the gradient-boosted baseline, and calibration of the network."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.calibration import TemperatureScaling, out_of_fold_probabilities
from vidpop_pipelines.evaluation.intervals import ConformalIntervals, rows_needed
from vidpop_pipelines.fingerprint import combine, hash_arrays, hash_code, hash_path
from vidpop_pipelines.pipelines.short_video.classifier import TINY, TrainedNetwork
from vidpop_pipelines.pipelines.short_video.inputs import LabelledBatches, load_inputs
from vidpop_pipelines.pipelines.short_video.parameters import (
    BoostingOptions,
    ShortVideoInstance,
    ShortVideoParameters,
)

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.short_video.frames import Frames
    from vidpop_pipelines.training.metric_logger import MetricLogger

logger = logging.getLogger(__name__)

ROLES = ("train", "validation", "calibration", "test")


def labelled_rows(labels: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns the row numbers of the labelled videos of each role.

    Args:
        labels: Output of `label_videos`: `label` (NaN for the middle) and a boolean column per role.
    """
    known = labels["label"].notna()
    return {role: np.flatnonzero(labels[role] & known) for role in ROLES}


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Returns weights of the classes 0 and 1, (2,), inverse to their frequency and 1 on average over the rows.

    Args:
        labels: (n,) 0 or 1, both there.
    """
    counts = np.bincount(labels.astype(int), minlength=2)
    return len(labels) / (2 * counts)


def train_network(
    frames: "Frames",
    labels: pd.DataFrame,
    source: str,
    parameters: ShortVideoParameters,
    instance: ShortVideoInstance,
    resume_folder: Path,
    epochs_folder: Path,
    metric_logger: "MetricLogger",
) -> tuple[TrainedNetwork, pd.DataFrame]:
    """Trains adapters and head; the best epoch is the one with the highest weighted F1 on validation rows.

    Args:
        frames: The videos.
        labels: Output of `label_videos`, one row per video of `frames`.
        source: Where the backbone is.
        parameters: Seed.
        instance: Backbone, class weights, training options.
        resume_folder: Where a killed training left its state.
        epochs_folder: Where the weights of kept epochs go.
        metric_logger: Receives the metrics of each epoch.

    Returns:
        The network with its best weights, and one row of history per epoch.
    """
    import torch
    from transformers import set_seed

    from vidpop_pipelines.pipelines.short_video.model import add_adapters, load_backbone
    from vidpop_pipelines.training.batches import BatchDataset
    from vidpop_pipelines.training.precision import choose_precision
    from vidpop_pipelines.training.trainer import train

    rows = labelled_rows(labels)
    truth = labels["label"].to_numpy(np.float64)
    precision = choose_precision(instance.training.precision)
    set_seed(parameters.seed)
    backbone = load_backbone(instance.architecture, source, instance.backbone, precision)
    if instance.class_weights:
        backbone.weigh_classes(torch.from_numpy(class_weights(truth[rows["train"]])))
    model = add_adapters(backbone, instance.backbone)
    inputs = load_inputs(instance.architecture, source, instance.backbone)
    read_batch = LabelledBatches(inputs, frames, truth)
    result = train(
        model,
        BatchDataset(rows["train"], read_batch),
        BatchDataset(rows["validation"], read_batch),
        instance.training,
        seed=parameters.seed,
        compute_metrics=validation_metrics,
        monitor="f1_weighted",
        greater_is_better=True,
        fingerprint=_fingerprint(frames, truth, rows, source, parameters, instance),
        resume_folder=resume_folder,
        epochs_folder=epochs_folder,
        logger=metric_logger,
        description=f"Training {instance.architecture}",
    )
    kept = {} if instance.backbone.model == TINY else {"model": source}
    network = TrainedNetwork(
        architecture=instance.architecture,
        backbone=instance.backbone.model_copy(update=kept),
        source=source,
        precision=precision,
        inputs=inputs,
        model=model,
        batch_size=instance.training.batch_size,
    )
    return network, result.history.reset_index()


def validation_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns log loss and the scores of the more probable class; of (n, 2) logits and (n,) labels."""
    from sklearn.metrics import log_loss

    from vidpop_pipelines.evaluation.classification import classification_scores

    probability = TemperatureScaling().apply(logits[:, 1] - logits[:, 0])
    scores = classification_scores(labels, probability)
    kept = ("accuracy", "f1_weighted", "roc_auc")
    loss = {"log_loss": float(log_loss(labels, probability, labels=[0, 1]))}
    return loss | {name: scores[name] for name in kept if name in scores}


def _fingerprint(
    frames: "Frames",
    truth: np.ndarray,
    rows: dict[str, np.ndarray],
    source: str,
    parameters: ShortVideoParameters,
    instance: ShortVideoInstance,
) -> str:
    """Returns a digest of all that a training depends on: a killed one is resumed only if nothing changed."""
    path = Path(source)
    return combine(
        frames.fingerprint(),
        hash_arrays([rows["train"], rows["validation"], truth]),
        [source, hash_path(path)] if path.is_dir() else source,
        parameters.seed,
        instance.model_dump(),
        hash_code(),
        [version(package) for package in ("torch", "transformers", "peft", "bitsandbytes")],
    )


def train_boosting(
    statistics: pd.DataFrame, labels: pd.DataFrame, options: BoostingOptions, seed: int
) -> Any:
    """Trains the strong baseline, a LightGBM classifier that is stopped on validation rows.

    Args:
        statistics: (N, F) numbers about frames and files; NaN where unknown.
        labels: Output of `label_videos`, the same N videos.
        options: Shape of the trees.
        seed: Of the sampling.

    Returns:
        The `lightgbm.Booster`.
    """
    import lightgbm

    rows, truth, values = labelled_rows(labels), labels["label"].to_numpy(), statistics.to_numpy(np.float64)
    settings = {
        "objective": "binary",
        "learning_rate": options.learning_rate,
        "num_leaves": options.num_leaves,
        "min_child_samples": options.min_child_samples,
        "subsample": options.subsample,
        "subsample_freq": 1,
        "colsample_bytree": options.colsample_bytree,
        "reg_lambda": options.reg_lambda,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # a few hundred rows: threads would cost more than they bring
        "verbosity": -1,
    }
    train = lightgbm.Dataset(values[rows["train"]], truth[rows["train"]])
    validation = lightgbm.Dataset(values[rows["validation"]], truth[rows["validation"]], reference=train)
    stop = lightgbm.early_stopping(options.early_stopping_rounds, verbose=False)
    return lightgbm.train(settings, train, options.n_estimators, valid_sets=[validation], callbacks=[stop])


def calibrate(
    network: TrainedNetwork, frames: "Frames", labels: pd.DataFrame, coverage: float, seed: int
) -> tuple[TemperatureScaling | None, ConformalIntervals | None]:
    """Fits temperature and intervals on calibration rows, which neither trained nor stopped the network.

    Args:
        network: The trained network.
        frames: The videos.
        labels: Output of `label_videos`, one row per video of `frames`.
        coverage: Wanted coverage of the intervals.
        seed: Of the folds within the calibration rows.

    Returns:
        Scaling and intervals, None where there are no rows, or too few.
    """
    rows = labelled_rows(labels)["calibration"]
    scaling = intervals = None
    if len(rows):
        truth = labels["label"].to_numpy(np.float64)[rows]
        logits = network.logits(frames, rows)
        scaling = TemperatureScaling.fit(logits, truth)
        if len(rows) >= rows_needed(coverage):
            probabilities = out_of_fold_probabilities(logits, truth, seed=seed)
            intervals = ConformalIntervals.fit(
                truth[:, None], probabilities[:, None], steps=[0], coverage=coverage
            )
    if intervals is None:
        logger.warning(
            "No prediction intervals: %d labelled calibration videos, %d needed for a coverage of %s.",
            len(rows),
            rows_needed(coverage),
            coverage,
        )
    return scaling, intervals
