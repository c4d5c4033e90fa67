"""Nodes of the multitask family: targets, training on older and on all videos, intervals, predictions."""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.evaluation.predictions import build_predictions, validate_forecast, validate_predictions
from vidpop_pipelines.fingerprint import combine, hash_code, hash_table
from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.multitask.parameters import MultitaskParameters
from vidpop_pipelines.pipelines.multitask.targets import (
    STAGE,
    columns_of,
    derive_targets,
    mask_targets,
    to_natural_units,
    unknown_targets,
)
from vidpop_pipelines.pipelines.tabular.nodes import held_out_rows, training_rows
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters


def assign_roles(
    videos: pd.DataFrame, splits: pd.DataFrame, parameters: MultitaskParameters
) -> dict[str, np.ndarray]:
    """Cuts the training videos by time: the newest are for intervals, those before them for stopping.

    Returns:
        Row numbers of `train`, `validation` and `calibration`, oldest first.
    """
    rows = training_rows(videos, splits)
    n_validation, n_calibration = (
        max(1, round(share * len(rows)))
        for share in (parameters.validation_share, parameters.calibration_share)
    )
    ends = [len(rows) - n_validation - n_calibration, len(rows) - n_calibration]
    return dict(zip(("train", "validation", "calibration"), np.split(rows, ends), strict=True))


def choose_targets(videos: pd.DataFrame, roles: dict[str, np.ndarray]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Derives the targets that the table carries.

    Returns:
        Their values in link units (see `targets`), and the reason for each target that is left out.
    """
    targets = derive_targets(videos)
    masked = mask_targets(videos, targets, roles["train"])
    return targets.drop(columns=list(masked)), masked


def report_data(
    summary: dict[str, Any],
    videos: pd.DataFrame,
    problems: pd.DataFrame,
    targets: pd.DataFrame,
    masked_targets: dict[str, str],
) -> dict[str, Any]:
    """Says what was read, used and left out, and which targets the table does not carry."""
    masked = [{"target": target, "reason": reason} for target, reason in masked_targets.items()]
    problems = pd.concat([problems, unknown_targets(videos, targets)], ignore_index=True)
    return build_data_report(summary | {"masked_targets": masked}, videos, problems)


def train_on_older_videos(
    videos: pd.DataFrame,
    targets: pd.DataFrame,
    roles: dict[str, np.ndarray],
    parameters: MultitaskParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    epochs_folder: Path,
) -> tuple[Any, dict[str, Any], pd.DataFrame]:
    """Trains on the older training videos; the error on those for stopping tells for how long.

    Returns:
        The `Members`, the best number of epochs and of trees, and the history of the network.
    """
    from vidpop_pipelines.pipelines.multitask.training import TrainingVideos, fit_members
    from vidpop_pipelines.training.folds import fold_logger

    rows = np.concatenate([roles["train"], roles["validation"]])
    held_out = np.arange(len(rows)) >= len(roles["train"])
    with fold_logger("multitask", n_folds=1) as metric_logger:
        members, budget, history = fit_members(
            TrainingVideos(videos.iloc[rows], targets.iloc[rows], held_out),
            parameters,
            tabular,
            compute,
            budget=None,
            fingerprint=_fingerprint(videos, targets, rows, parameters, tabular),
            resume_folder=resume_folder / "older",
            epochs_folder=epochs_folder / "older",
            metric_logger=metric_logger,
            description="Training on older videos",
        )
    return members, asdict(budget), history


def train_on_all_videos(
    videos: pd.DataFrame,
    targets: pd.DataFrame,
    roles: dict[str, np.ndarray],
    budget: dict[str, Any],
    parameters: MultitaskParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    epochs_folder: Path,
) -> Any:
    """Trains on all training videos, for as long as the older ones needed: the final `Members`.

    What is watched changes, so the newest videos are worth more than the rows to stop on that they cost.
    """
    from vidpop_pipelines.pipelines.multitask.training import Budget, TrainingVideos, fit_members

    rows = np.concatenate(list(roles.values()))
    members, _, _ = fit_members(
        TrainingVideos(videos.iloc[rows], targets.iloc[rows], np.zeros(len(rows), bool)),
        parameters,
        tabular,
        compute,
        budget=Budget(**budget),
        fingerprint=_fingerprint(videos, targets, rows, parameters, tabular),
        resume_folder=resume_folder / "all",
        epochs_folder=epochs_folder / "all",
        description="Training on all videos",
    )
    return members


def _fingerprint(
    videos: pd.DataFrame,
    targets: pd.DataFrame,
    rows: np.ndarray,
    parameters: MultitaskParameters,
    tabular: TabularParameters,
) -> str:
    options = (parameters.model_dump(), tabular.model_dump())
    return combine(
        hash_table(videos), list(targets.columns), rows.tolist(), *options, hash_code(), version("torch")
    )


def calibrate(
    members: Any,
    older_members: Any,
    videos: pd.DataFrame,
    targets: pd.DataFrame,
    masked_targets: dict[str, str],
    roles: dict[str, np.ndarray],
    interval: IntervalOptions,
) -> Any:
    """Fits intervals on the newest training videos, which the members trained on older ones have not seen.

    Returns:
        The `MultitaskModel`.
    """
    from vidpop_pipelines.pipelines.multitask.model import MultitaskModel
    from vidpop_pipelines.pipelines.multitask.training import fit_intervals

    rows = roles["calibration"]
    return MultitaskModel(
        members=members,
        intervals=fit_intervals(
            targets.iloc[rows], older_members.forecast(videos.iloc[rows]), interval.coverage
        ),
        masked_targets=masked_targets,
        data_fingerprint=hash_table(videos),
    )


def predict_held_out(
    model: Any,
    older_members: Any,
    videos: pd.DataFrame,
    targets: pd.DataFrame,
    splits: pd.DataFrame,
    roles: dict[str, np.ndarray],
) -> pd.DataFrame:
    """Predicts the test videos, and with the members trained on older videos those for stopping and intervals.

    Returns:
        The predictions table (contract in `evaluation.predictions`) in natural units; the latter are `val` with
        fold 0, test videos have fold -1.
    """
    from vidpop_pipelines.pipelines.multitask.model import target_columns

    parts = [
        ("val", 0, np.concatenate([roles["validation"], roles["calibration"]]), older_members),
        ("test", -1, held_out_rows(splits), model.members),
    ]
    tables = []
    for split, fold, rows, members in parts:
        columns = target_columns(members.forecast(videos.iloc[rows]), model.intervals)
        tables.append(_long_table(videos.iloc[rows], columns, targets.iloc[rows], split=split, fold=fold))
    return validate_predictions(pd.concat(tables, ignore_index=True))


def forecast_new_videos(model: Any, videos: pd.DataFrame) -> pd.DataFrame:
    """Forecasts videos whose targets are unknown: the predictions table without `y_true`, in natural units."""
    from vidpop_pipelines.pipelines.multitask.model import target_columns

    columns = target_columns(model.members.forecast(videos), model.intervals)
    return validate_forecast(_long_table(videos, columns, None, split="test", fold=-1))


def _long_table(
    videos: pd.DataFrame,
    columns: dict[str, dict[str, np.ndarray]],
    targets: pd.DataFrame | None,
    *,
    split: str,
    fold: int,
) -> pd.DataFrame:
    truths = {} if targets is None else _truths(targets)
    tables = []
    for name, arrays in columns.items():
        wide = {key: values[:, None] for key, values in arrays.items()}
        tables.append(
            build_predictions(
                videos["video_id"].to_numpy(),
                wide.pop("y_pred"),
                target=name,
                steps=[0],
                split=split,
                fold=fold,
                y_true=truths[name][:, None] if truths else None,
                lower=wide.pop("lower"),
                upper=wide.pop("upper"),
                members=wide,
                dtype=np.float64,
            )
        )
    return pd.concat(tables, ignore_index=True)


def _truths(targets: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns the truth of every name in the predictions table in natural units, of a stage 1 or 0."""
    truths = {}
    for target, values in targets.items():
        if target == STAGE:
            for number, name in enumerate(columns_of(STAGE)):
                truths[name] = (values == number).astype(float).where(values.notna()).to_numpy()
        else:
            truths[target] = to_natural_units(target, values.to_numpy())
    return truths
