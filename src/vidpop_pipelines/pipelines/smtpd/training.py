"""Training of one fold: CatBoost per day, the network, their blend and its intervals."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.evaluation.intervals import ConformalIntervals, rows_needed
from vidpop_pipelines.evaluation.metrics import score_days, window_metrics
from vidpop_pipelines.fingerprint import combine, hash_arrays, hash_code
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.smtpd.forecaster import FoldModels, forecast_catboost, forecast_network
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import CatBoostOptions, SmtpdParameters
from vidpop_pipelines.pipelines.smtpd.preprocessing import Preprocessing
from vidpop_pipelines.pipelines.smtpd.protocol import evaluation_window

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vidpop_pipelines.training.metric_logger import MetricLogger

logger = logging.getLogger(__name__)

_CATEGORICAL = ["category", "language"]


def train_catboost_fold(
    inputs: SmtpdInputs,
    rows: dict[str, np.ndarray],
    preprocessing: Preprocessing,
    parameters: SmtpdParameters,
    compute: ComputeOptions,
) -> list:
    """Trains one CatBoost model per forecast day, on the training rows, stopped early on validation rows.

    Args:
        inputs: All videos.
        rows: Row numbers of each role.
        preprocessing: What was fitted on the training rows.
        parameters: CatBoost options, modalities, seed.
        compute: Where the days run.

    Returns:
        The models, in the order of the days.
    """
    tables = {
        role: preprocessing.table(inputs, rows[role], parameters.modalities)
        for role in ("train", "validation")
    }
    curves = {role: inputs.curves(preprocessing.days)[rows[role]] for role in tables}
    tasks = [
        (
            tables["train"],
            curves["train"][:, step],
            tables["validation"],
            curves["validation"][:, step],
            parameters.catboost,
            parameters.seed,
        )
        for step in range(len(preprocessing.days))
    ]
    return parallel_map(fit_catboost, tasks, compute)


def fit_catboost(
    train: pd.DataFrame,
    target: np.ndarray,
    validation: pd.DataFrame,
    validation_target: np.ndarray,
    options: CatBoostOptions,
    seed: int,
) -> Any:
    """Fits one model on the rows whose target is observed; loss MAE, since MAE is what is reported."""
    from catboost import CatBoostRegressor, Pool

    categorical = [name for name in _CATEGORICAL if name in train]
    observed, validated = ~np.isnan(target), ~np.isnan(validation_target)
    model = CatBoostRegressor(
        loss_function="MAE",
        iterations=options.iterations,
        learning_rate=options.learning_rate,
        depth=options.depth,
        early_stopping_rounds=options.early_stopping_rounds if validated.any() else None,
        random_seed=seed,
        # Few categories: one-hot is stronger here than target statistics, and three times faster.
        one_hot_max_size=255,
        # Days run beside each other, so that one thread each keeps every core busy.
        thread_count=1,
        allow_writing_files=False,
        verbose=False,
    )
    pool = Pool(train[observed], target[observed], cat_features=categorical)
    held_out = Pool(validation[validated], validation_target[validated], cat_features=categorical)
    return model.fit(pool, eval_set=held_out if validated.any() else None)


def network_config(preprocessing: Preprocessing, parameters: SmtpdParameters) -> Any:
    """Returns the `SmtpdConfig` that fits the preprocessed inputs."""
    from vidpop_pipelines.features.language import LANGUAGES
    from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig
    from vidpop_pipelines.pipelines.smtpd.table import N_CATEGORIES

    return SmtpdConfig(
        modalities=parameters.modalities,
        visual_size=preprocessing.visual.width,
        text_size=preprocessing.text.width,
        n_numerical=len(preprocessing.arrays["numerical_mean"]),
        n_categories=N_CATEGORIES,
        n_languages=len(LANGUAGES) + 1,
        n_steps=len(preprocessing.days),
        loss=parameters.loss.model_dump(),
        target_mean=preprocessing.arrays["target_mean"].tolist(),
        target_scale=preprocessing.arrays["target_scale"].tolist(),
        **parameters.network.model_dump(),
    )


def train_network_fold(
    inputs: SmtpdInputs,
    rows: dict[str, np.ndarray],
    preprocessing: Preprocessing,
    parameters: SmtpdParameters,
    fold: int,
    resume_folder: Path,
    epochs_folder: Path,
    logger: "MetricLogger | None" = None,
) -> tuple["PreTrainedModel", pd.DataFrame]:
    """Trains the network of one fold; its best epoch is the one with the lowest validation AMAE.

    Args:
        inputs: All videos.
        rows: Row numbers of each role.
        preprocessing: What was fitted on the training rows.
        parameters: Network, loss, training options, evaluation window, seed.
        fold: The test fold.
        resume_folder: Where a killed training left its state.
        epochs_folder: Where the weights of kept epochs go.
        logger: Receives the metrics of each epoch; None in a dask worker, whose caller logs the history.

    Returns:
        The network with its best weights, and one row of history per epoch.
    """
    from transformers import set_seed

    from vidpop_pipelines.pipelines.smtpd.model import build_network
    from vidpop_pipelines.training.batches import BatchDataset
    from vidpop_pipelines.training.trainer import train

    days = preprocessing.days
    first, last = evaluation_window(days, parameters)

    def compute_metrics(forecast: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        scores = window_metrics(score_days(truth, forecast, days), first, last)
        return {name.split("_")[0]: value for name, value in scores.items()}

    set_seed(parameters.seed)
    network = build_network(network_config(preprocessing, parameters))
    read_batch = preprocessing.transform(inputs)
    result = train(
        network,
        BatchDataset(rows["train"], read_batch),
        BatchDataset(rows["validation"], read_batch),
        parameters.training,
        seed=parameters.seed,
        compute_metrics=compute_metrics,
        monitor="amae",
        fingerprint=_fingerprint(inputs, rows, network.config, parameters),
        resume_folder=resume_folder,
        epochs_folder=epochs_folder,
        logger=logger,
        description=f"Training fold {fold}",
    )
    # A worker may have a GPU where its caller has none.
    return network if logger else network.cpu(), result.history.reset_index()


def _fingerprint(
    inputs: SmtpdInputs, rows: dict[str, np.ndarray], config: Any, parameters: SmtpdParameters
) -> str:
    """Returns a digest of all that a training depends on: a killed one is resumed only if nothing changed."""
    return combine(
        inputs.fingerprint(),
        hash_arrays([rows["train"], rows["validation"]]),
        config.to_dict(),
        parameters.model_dump(exclude={"csv", "images", "checkpoint"}),
        hash_code(),
        version("torch"),
    )


def blend_and_calibrate_fold(
    inputs: SmtpdInputs,
    rows: dict[str, np.ndarray],
    preprocessing: Preprocessing,
    network: "PreTrainedModel",
    catboost: list,
    parameters: SmtpdParameters,
    coverage: float,
) -> FoldModels:
    """Weighs network and CatBoost on the validation rows, then fits intervals on the calibration rows.

    Args:
        inputs: All videos.
        rows: Row numbers of each role.
        preprocessing: What was fitted on the training rows.
        network: Trained network.
        catboost: Trained CatBoost models, one per day.
        parameters: Whether to blend at all, modalities.
        coverage: Wanted coverage of the intervals.
    """

    def members(role: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = rows[role]
        return (
            inputs.curves(preprocessing.days)[chosen],
            forecast_network(network, preprocessing, inputs, chosen),
            forecast_catboost(catboost, preprocessing, inputs, chosen, parameters.modalities),
        )

    weight = np.ones(len(preprocessing.days))
    if parameters.blend:
        weight = weight * best_network_weight(*members("validation"))
    intervals = None
    if len(rows["calibration"]):
        truth, by_network, by_catboost = members("calibration")
        n_observed = int((~np.isnan(truth)).sum(axis=0).min())
        if n_observed >= rows_needed(coverage):
            blend = weight * by_network + (1 - weight) * by_catboost
            scale = preprocessing.difficulty(inputs, rows["calibration"])
            intervals = ConformalIntervals.fit(
                truth, blend, steps=preprocessing.days, coverage=coverage, scale=scale
            )
    if intervals is None:
        logger.warning(
            "No prediction intervals: %d calibration videos, %d needed for a coverage of %s.",
            len(rows["calibration"]),
            rows_needed(coverage),
            coverage,
        )
    return FoldModels(preprocessing, network, catboost, weight, intervals)


def best_network_weight(truth: np.ndarray, network: np.ndarray, catboost: np.ndarray) -> float:
    """Returns the share of the network in the blend: half way from 0.5 to the best on validation rows.

    Both members are nearly equally good, so the best share on a small validation set is mostly noise. On the
    ACTIVE data, cross-validated within the validation rows, the shrunken share was better than the best one,
    and a share per day worse than either.

    Args:
        truth: (N, T) popularity scores, NaN where missing.
        network: (N, T) forecast.
        catboost: (N, T) forecast.
    """
    shares = np.linspace(0, 1, 21)
    errors = [np.nanmean(np.abs(share * network + (1 - share) * catboost - truth)) for share in shares]
    return (float(shares[int(np.argmin(errors))]) + 0.5) / 2
