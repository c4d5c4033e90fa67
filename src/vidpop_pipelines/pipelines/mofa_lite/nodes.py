"""Nodes of the MoFA-Lite pipelines: from a folder of arrays to a trained and calibrated forecaster."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.datasets.npy import NpyFolder
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs, validate_inputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters
from vidpop_pipelines.pipelines.mofa_lite.protocol import assign_splits, calibration_rows, fold_rows

logger = logging.getLogger(__name__)

# Below this many numbers a fold takes seconds, less than a process needs to import what trains it.
_WORTH_A_PROCESS = 500_000


def validate_training_folder(
    folder: NpyFolder, parameters: MofaLiteParameters
) -> tuple[MofaInputs, pd.DataFrame, dict[str, Any]]:
    """Validates features and targets; see `validate_inputs` for results and errors."""
    return validate_inputs(folder, parameters.modalities, parameters.targets)


def validate_forecast_folder(
    folder: NpyFolder, forecaster: Any
) -> tuple[MofaInputs, pd.DataFrame, dict[str, Any]]:
    """Validates features of new videos against those that the forecaster was trained on.

    Returns:
        As `validate_inputs`, without targets.

    Raises:
        InputError: If a modality of the training is missing or has another width.
    """
    inputs, problems, summary = validate_inputs(folder, list(forecaster.widths), None)
    for name, width in forecaster.widths.items():
        if inputs.widths[name] != width:
            raise InputError(
                f"{folder.path / f'{name}_features.npy'}: {inputs.widths[name]} columns.",
                f"{width}, as in the training",
                "encode the new videos with the model that encoded the training videos.",
            )
    return inputs, problems, summary


def split_videos(
    inputs: MofaInputs, parameters: MofaLiteParameters, interval: IntervalOptions
) -> pd.DataFrame:
    """Assigns hold-out, folds and calibration rows; see `assign_splits`."""
    return assign_splits(inputs.video_ids, parameters, interval.coverage)


def _workers(inputs: MofaInputs, compute: ComputeOptions) -> ComputeOptions:
    """Returns where folds run: as configured, but small data in this process."""
    if compute.backend == "loky" and len(inputs) * sum(inputs.widths.values()) < _WORTH_A_PROCESS:
        return compute.model_copy(update={"n_jobs": 1})
    return compute


def train_networks(
    inputs: MofaInputs,
    splits: pd.DataFrame,
    parameters: MofaLiteParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    epochs_folder: Path,
) -> tuple[dict[int, Any], pd.DataFrame]:
    """Trains one network per fold, folds in parallel, and keeps what a killed run had finished.

    Returns:
        A `FoldNetwork` per fold, and the history (`fold`, `epoch`, training loss, validation Score).
    """
    from vidpop_pipelines.pipelines.mofa_lite.training import train_network
    from vidpop_pipelines.training.folds import fold_logger
    from vidpop_pipelines.training.metric_logger import log_history

    folds, digest = range(parameters.n_folds), inputs.fingerprint()
    tasks = [
        (
            inputs,
            fold_rows(splits, fold),
            parameters,
            fold,
            resume_folder / f"fold_{fold}",
            epochs_folder / f"fold_{fold}",
            digest,
        )
        for fold in folds
    ]
    workers = _workers(inputs, compute)
    trained = parallel_map(train_network, tasks, workers, description="Networks of the folds")
    # Here, and not in the workers: SQLite takes one writer at a time.
    for fold, result in zip(folds, trained, strict=True):
        with fold_logger(f"fold_{fold}", n_folds=len(trained)) as metric_logger:
            history = result.history.set_index("epoch")
            log_history(history, metric_logger)
            best = {
                "best_epoch": result.best_epoch,
                "best_score": float(history.at[result.best_epoch, "validation_score"]),
            }
            metric_logger.log_metrics(best, step=result.best_epoch)
    histories = [result.history.assign(fold=fold) for fold, result in zip(folds, trained, strict=True)]
    return dict(zip(folds, trained, strict=True)), pd.concat(histories, ignore_index=True)


def train_baselines(
    inputs: MofaInputs,
    splits: pd.DataFrame,
    networks: dict[int, Any],
    parameters: MofaLiteParameters,
    compute: ComputeOptions,
    resume_folder: Path,
) -> dict[int, Any]:
    """Trains LightGBM, Ridge and kernel regression on the same rows, folds in parallel: `Baselines` per fold.

    A killed run goes on with the folds that it had not finished.
    """
    from vidpop_pipelines.fingerprint import combine, hash_code, hash_table
    from vidpop_pipelines.pipelines.mofa_lite import baselines

    folds = range(parameters.n_folds)
    tasks = [(inputs, fold_rows(splits, fold), networks[fold].preprocessing, parameters) for fold in folds]
    trained = parallel_map(
        baselines.train_baselines,
        tasks,
        _workers(inputs, compute),
        description="Baselines of the folds",
        resume_folder=resume_folder / "baselines",
        fingerprint=combine(
            inputs.fingerprint(), hash_table(splits), parameters.model_dump(exclude={"analysis"}), hash_code()
        ),
    )
    return dict(zip(folds, trained, strict=True))


def blend_and_calibrate(
    inputs: MofaInputs,
    splits: pd.DataFrame,
    networks: dict[int, Any],
    baselines: dict[int, Any],
    parameters: MofaLiteParameters,
    interval: IntervalOptions,
) -> Any:
    """Weighs the members on out-of-fold rows, and fits intervals on calibration rows.

    Returns:
        The `MofaForecaster`.
    """
    from dataclasses import replace

    from vidpop_pipelines.evaluation.intervals import ConformalIntervals
    from vidpop_pipelines.pipelines.mofa_lite.forecaster import FoldModels, MofaForecaster
    from vidpop_pipelines.pipelines.mofa_lite.training import blend_weights

    forecaster = MofaForecaster(
        folds={
            fold: FoldModels(trained.preprocessing, trained.network, baselines[fold])
            for fold, trained in networks.items()
        },
        widths=inputs.widths,
        targets=parameters.targets,
        shares={"network": 1.0},
        intervals=None,
        minimum=0.0 if inputs.targets.min() >= 0 else None,
        data_fingerprint=inputs.fingerprint(),
    )
    if parameters.blend:
        rows = {fold: fold_rows(splits, fold)["validation"] for fold in forecaster.folds}
        forecasts = [forecaster.folds[fold].forecast(inputs, chosen) for fold, chosen in rows.items()]
        members = {
            name: np.concatenate([part[name] for part in forecasts])
            for name in ("network", *parameters.blend)
        }
        truth = inputs.targets[np.concatenate(list(rows.values()))]
        forecaster = replace(forecaster, shares=blend_weights(truth, members))
    rows = calibration_rows(splits)
    if not len(rows):
        logger.warning("No prediction intervals: mofa_lite.calibration is 0.")
        return forecaster
    intervals = ConformalIntervals.fit(
        inputs.targets[rows],
        forecaster.forecast(inputs, rows)["y_pred"],
        steps=range(len(parameters.targets)),
        coverage=interval.coverage,
    )
    return replace(forecaster, intervals=intervals)
