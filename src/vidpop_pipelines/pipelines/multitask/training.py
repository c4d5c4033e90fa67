"""Training: first on older videos, to find epochs and trees and to calibrate, then on all training videos."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.evaluation.intervals import ConformalIntervals, rows_needed
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.multitask.boosting import fit_catboost
from vidpop_pipelines.pipelines.multitask.members import Forecasts, Members, categorical_columns
from vidpop_pipelines.pipelines.multitask.parameters import MultitaskParameters
from vidpop_pipelines.pipelines.multitask.preparation import Preparation
from vidpop_pipelines.pipelines.multitask.targets import LIMITS, STAGE, TARGETS, VIEWS
from vidpop_pipelines.pipelines.tabular.channel_history import to_days
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters
from vidpop_pipelines.pipelines.tabular.trend import recency_weights

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.multitask.network import NetworkConfig
    from vidpop_pipelines.training.metric_logger import MetricLogger

logger = logging.getLogger(__name__)

# The metric that chooses the best epoch: 1 is as good as the network before any training.
MONITOR = "relative_loss"


@dataclass(frozen=True)
class Budget:
    """How long the models are trained.

    Attributes:
        epochs: Of the network.
        n_trees: Target to the number of trees of its CatBoost.
    """

    epochs: int
    n_trees: dict[str, int]


@dataclass(frozen=True)
class TrainingVideos:
    """Videos to fit on, and videos to stop on.

    Attributes:
        videos: N validated videos.
        targets: (N, T) the targets to learn, in link units.
        held_out: (N,) true for videos that only tell when to stop.
    """

    videos: pd.DataFrame
    targets: pd.DataFrame
    held_out: np.ndarray

    def weights(self, tabular: TabularParameters) -> np.ndarray:
        """Returns (N,) sample weights: recent videos count more."""
        days = to_days(self.videos["published_at"])
        return recency_weights(days, tabular.recency_days)


def fit_members(
    training: TrainingVideos,
    parameters: MultitaskParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    *,
    budget: Budget | None,
    fingerprint: str,
    resume_folder: Path,
    epochs_folder: Path,
    metric_logger: "MetricLogger | None" = None,
    description: str,
) -> tuple[Members, Budget, pd.DataFrame]:
    """Fits everything on some videos.

    Args:
        training: The videos; with a budget all of them are fitted on.
        parameters: Network, CatBoost, how to train.
        tabular: Seed, recency weights.
        compute: Where the CatBoost models are fitted.
        budget: How long to train; None to find out on the videos to stop on.
        fingerprint: Digest of everything that training depends on.
        resume_folder: Where a killed training left its state.
        epochs_folder: Where the weights of kept epochs go.
        metric_logger: Receives the metrics of each epoch.
        description: Label of the progress bar.

    Returns:
        The members, the budget they were trained with, and one row of history per epoch.
    """
    fitted = ~training.held_out
    weights = training.weights(tabular)
    preparation = Preparation.fit(
        training.videos[fitted],
        training.targets[fitted],
        weights[fitted],
        text_components=parameters.text_components,
        tabular=tabular,
    )
    matrix = preparation.features.transform(training.videos)
    catboost = _fit_all_catboost(
        preparation,
        matrix,
        training,
        weights,
        parameters,
        tabular,
        compute,
        budget,
        resume_folder,
        fingerprint,
    )
    network, epochs, history = _train_network(
        preparation,
        matrix,
        training,
        weights,
        parameters,
        epochs=budget.epochs if budget else None,
        seed=tabular.seed,
        fingerprint=fingerprint,
        resume_folder=resume_folder / "network",
        epochs_folder=epochs_folder,
        metric_logger=metric_logger,
        description=description,
    )
    n_trees = {name: int(model.tree_count_) for name, model in catboost.items()}
    return Members(preparation, network, catboost), Budget(epochs, n_trees), history


def _fit_all_catboost(
    preparation: Preparation,
    matrix: np.ndarray,
    training: TrainingVideos,
    weights: np.ndarray,
    parameters: MultitaskParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    budget: Budget | None,
    resume_folder: Path,
    fingerprint: str,
) -> dict:
    calls = []
    for name in preparation.targets:
        truth = training.targets[name].to_numpy(np.float64)
        if name != STAGE:
            start = preparation.expected_views(matrix) if name == VIEWS else preparation.centres[name]
            truth = (truth - start) / preparation.scales[name]
        calls.append(
            (
                name,
                matrix,
                categorical_columns(preparation),
                truth,
                weights,
                training.held_out,
                budget.n_trees[name] if budget else None,
                parameters.catboost,
                parameters.huber_delta,
                tabular.seed,
            )
        )
    models = parallel_map(
        fit_catboost,
        calls,
        compute,
        description="CatBoost by target",
        resume_folder=resume_folder / "catboost",
        fingerprint=fingerprint,
    )
    return dict(zip(preparation.targets, models, strict=True))


def network_config(preparation: Preparation, parameters: MultitaskParameters) -> "NetworkConfig":
    """Returns the configuration that fits the prepared inputs and targets."""
    from vidpop_pipelines.pipelines.multitask.network import NetworkConfig

    return NetworkConfig(
        n_numbers=len(preparation.features.numbers),
        category_sizes=preparation.category_sizes,
        block_sizes=preparation.block_sizes,
        targets=preparation.targets,
        centres=preparation.centres,
        scales=preparation.scales,
        stage_shares=preparation.stage_shares,
        huber_delta=parameters.huber_delta,
        **parameters.network.model_dump(),
    )


def _train_network(
    preparation: Preparation,
    matrix: np.ndarray,
    training: TrainingVideos,
    weights: np.ndarray,
    parameters: MultitaskParameters,
    *,
    epochs: int | None,
    seed: int,
    fingerprint: str,
    resume_folder: Path,
    epochs_folder: Path,
    metric_logger: "MetricLogger | None",
    description: str,
) -> tuple:
    """Trains the networks: to the best epoch on the videos to stop on, or for a given number of epochs."""
    from transformers import set_seed

    from vidpop_pipelines.pipelines.multitask.network import MultitaskNetworks
    from vidpop_pipelines.training.batches import BatchDataset
    from vidpop_pipelines.training.trainer import train

    read_batch = _batch_reader(preparation, matrix, training.targets, weights)
    train_rows, validation_rows = np.flatnonzero(~training.held_out), np.flatnonzero(training.held_out)
    set_seed(seed)
    network = MultitaskNetworks(network_config(preparation, parameters))
    options = parameters.training
    if epochs is None:
        compute_metrics = _validation_metrics(preparation, matrix[validation_rows], parameters.huber_delta)
        judge = {"monitor": MONITOR, "greater_is_better": False}
    else:
        # Nothing is held back: the best epoch is the last, the one with most of the training done.
        options = options.model_copy(update={"epochs": epochs, "patience": None})
        validation_rows = train_rows[:1]

        def compute_metrics(forecasts: np.ndarray, labels: np.ndarray) -> dict[str, float]:
            return {"progress": float(network.training_progress)}

        judge = {"monitor": "progress", "greater_is_better": True}
    result = train(
        network,
        BatchDataset(train_rows, read_batch),
        BatchDataset(validation_rows, read_batch),
        options,
        seed=seed,
        compute_metrics=compute_metrics,
        **judge,
        fingerprint=fingerprint,
        resume_folder=resume_folder,
        epochs_folder=epochs_folder,
        logger=metric_logger,
        description=description,
    )
    return network.eval(), result.best_epoch, result.history.reset_index()


def _batch_reader(preparation: Preparation, matrix: np.ndarray, targets: pd.DataFrame, weights: np.ndarray):
    labels = targets.reindex(columns=list(TARGETS)).to_numpy(np.float32)
    weights = (weights / weights.mean()).astype(np.float32)

    def read(rows: np.ndarray) -> dict[str, np.ndarray]:
        inputs = preparation.network_inputs(matrix[rows])
        return inputs | {"labels": labels[rows], "weights": weights[rows]}

    return read


def _validation_metrics(preparation: Preparation, matrix: np.ndarray, huber_delta: float):
    """Returns a function from the forecasts of the videos to stop on, and their labels, to metrics.

    Of each target the loss (`target_loss`), and the mean over targets of the loss in parts of that of the forecast
    that the network starts from: the trend's views, the mean of other numbers, the shares of the stages.
    """
    from vidpop_pipelines.pipelines.multitask.network import column_slices

    slices = column_slices(preparation.targets)
    start = {name: np.full((len(matrix), 1), value) for name, value in preparation.centres.items()}
    start[VIEWS] = preparation.expected_views(matrix)[:, None]
    if STAGE in slices:
        start[STAGE] = np.tile(np.log(preparation.stage_shares), (len(matrix), 1))

    def compute(forecasts: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        losses, relative = {}, []
        for name, part in slices.items():
            truth = labels[:, TARGETS.index(name)].astype(np.float64)
            known = ~np.isnan(truth)
            if not known.any():
                continue
            scale = preparation.scales.get(name, 1.0)
            loss, reference = (
                target_loss(name, truth[known], values[known], scale, huber_delta)
                for values in (forecasts[:, part], start[name])
            )
            losses[f"{name}_loss"] = loss
            # Where the start has no loss there is nothing to gain.
            relative.append(loss / reference if reference > 0 else 1.0 + loss)
        return {MONITOR: float(np.mean(relative))} | losses

    return compute


def target_loss(
    target: str, truth: np.ndarray, forecast: np.ndarray, scale: float, huber_delta: float
) -> float:
    """Returns the mean loss of (n, C) forecasts of one target in link units, all truths known.

    The one that is trained on: log loss of the stage, else the Huber loss of errors in units of `scale`.
    """
    if target == STAGE:
        return float(-np.mean(forecast[np.arange(len(truth)), truth.astype(int)]))
    errors = np.abs(forecast[:, 0] - truth) / scale
    linear = huber_delta * (errors - huber_delta / 2)
    return float(np.mean(np.where(errors <= huber_delta, errors**2 / 2, linear)))


def fit_intervals(
    targets: pd.DataFrame, forecasts: Forecasts, coverage: float
) -> dict[str, ConformalIntervals | None]:
    """Fits an interval for every number on calibration rows, in link units.

    Args:
        targets: (N, T) truth of the calibration rows.
        forecasts: Forecasts of the same rows by models that have not seen them.
        coverage: Wanted coverage.

    Returns:
        Target to intervals; None, with a warning, where too few calibration rows know it.
    """
    intervals: dict[str, ConformalIntervals | None] = {}
    for name, members in forecasts.items():
        if name == STAGE:
            continue
        truth = targets[name].to_numpy(np.float64)
        n_known = int((~np.isnan(truth)).sum())
        intervals[name] = None
        if n_known >= rows_needed(coverage):
            forecast = np.clip(members["network"], *LIMITS[name])
            intervals[name] = ConformalIntervals.fit(
                truth[:, None], forecast[:, None], steps=[0], coverage=coverage
            )
        else:
            logger.warning(
                "No intervals of %s: %d calibration videos know it, %d are needed for a coverage of %.2f.",
                name,
                n_known,
                rows_needed(coverage),
                coverage,
            )
    return intervals
