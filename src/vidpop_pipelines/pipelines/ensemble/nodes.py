"""Nodes of the ensemble: number of trees, out-of-fold predictions, stack, predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.predictions import build_predictions, validate_forecast, validate_predictions
from vidpop_pipelines.fingerprint import combine, hash_code, hash_table
from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
from vidpop_pipelines.pipelines.ensemble.stack import progressive_stack
from vidpop_pipelines.pipelines.tabular.nodes import held_out_rows, training_rows
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

TARGET = "views"


def train_folds(
    videos: pd.DataFrame,
    splits: pd.DataFrame,
    parameters: EnsembleParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
) -> tuple[dict[str, int], pd.DataFrame]:
    """Trains the learners once per time-ordered fold.

    Returns:
        Trees of each learner, and the out-of-fold predictions: one row per video (`row`, `fold`, log views of
        each learner and baseline).
    """
    from vidpop_pipelines.pipelines.ensemble import training

    rows = training_rows(videos, splits)
    fingerprint = _fingerprint(videos, splits, parameters, tabular)
    n_trees, out_of_fold = training.train_folds(
        videos.iloc[rows], parameters, tabular, compute, resume_folder, fingerprint
    )
    return n_trees, out_of_fold.assign(row=rows[out_of_fold["row"]])


def train_final(
    videos: pd.DataFrame,
    splits: pd.DataFrame,
    n_trees: dict[str, int],
    parameters: EnsembleParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
) -> Any:
    """Trains the learners on all training videos: the final `Members`."""
    from vidpop_pipelines.pipelines.ensemble import training

    return training.fit_final(
        videos.iloc[training_rows(videos, splits)],
        n_trees,
        parameters,
        tabular,
        compute,
        resume_folder,
        _fingerprint(videos, splits, parameters, tabular),
    )


def _fingerprint(
    videos: pd.DataFrame, splits: pd.DataFrame, parameters: EnsembleParameters, tabular: TabularParameters
) -> str:
    options = (parameters.model_dump(), tabular.model_dump())
    return combine(hash_table(videos), hash_table(splits), *options, hash_code())


def stack_and_calibrate(
    members: Any,
    out_of_fold: pd.DataFrame,
    videos: pd.DataFrame,
    parameters: EnsembleParameters,
    interval: IntervalOptions,
) -> tuple[Any, pd.DataFrame]:
    """Weighs the learners on older out-of-fold rows, and fits intervals on the newest.

    Returns:
        The `EnsembleModel`, and the out-of-fold predictions with the column `stack`.
    """
    from vidpop_pipelines.pipelines.ensemble.model import EnsembleModel
    from vidpop_pipelines.pipelines.ensemble.training import calibration_folds, fit_intervals

    learners = parameters.learners
    target = np.log1p(videos["views"].to_numpy(np.float64)[out_of_fold["row"]])
    folds = out_of_fold["fold"].to_numpy()
    n_calibration_folds = calibration_folds(parameters)
    stacked, weights = progressive_stack(
        out_of_fold[learners].to_numpy(), target, folds, n_calibration_folds, parameters.ridge_alpha
    )
    newest = folds > folds.max() - n_calibration_folds
    model = EnsembleModel(
        members=members,
        weights=dict(zip(learners, weights.tolist(), strict=True)),
        intervals=fit_intervals(target[newest], stacked[newest], interval.coverage),
        data_fingerprint=hash_table(videos),
    )
    return model, out_of_fold.assign(stack=stacked)


def predict_held_out(
    model: Any, out_of_fold: pd.DataFrame, videos: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    """Predicts the test videos, and takes the out-of-fold predictions as those of the validation split.

    Returns:
        The predictions table (contract in `evaluation.predictions`), in views; test rows have fold -1.
    """
    from vidpop_pipelines.pipelines.ensemble.model import to_views, to_views_each

    stacked = out_of_fold["stack"].to_numpy()
    members = {
        name: out_of_fold[name].to_numpy() for name in out_of_fold if name not in ("row", "fold", "stack")
    }
    validation = {"y_pred": to_views(stacked)} | model.bounds(stacked) | to_views_each(members)
    test_rows = held_out_rows(splits)
    parts = [
        (out_of_fold["row"].to_numpy(), validation, "val", out_of_fold["fold"].to_numpy()),
        (test_rows, model.predict(videos.iloc[test_rows]), "test", -1),
    ]
    tables = [
        _long_table(videos.iloc[rows], forecast, split=split, fold=fold, labelled=True)
        for rows, forecast, split, fold in parts
    ]
    return validate_predictions(pd.concat(tables, ignore_index=True))


def forecast_new_videos(model: Any, videos: pd.DataFrame) -> pd.DataFrame:
    """Forecasts videos whose views are unknown: the predictions table without `y_true`, in views."""
    forecast = model.predict(videos)
    return validate_forecast(_long_table(videos, forecast, split="test", fold=-1, labelled=False))


def _long_table(
    videos: pd.DataFrame, forecast: dict[str, np.ndarray], *, split: str, fold: Any, labelled: bool
) -> pd.DataFrame:
    columns = {name: values[:, None] for name, values in forecast.items()}
    return build_predictions(
        videos["video_id"].to_numpy(),
        columns.pop("y_pred"),
        target=TARGET,
        steps=[0],
        split=split,
        fold=fold,
        y_true=videos[["views"]].to_numpy(np.float64) if labelled else None,
        lower=columns.pop("lower"),
        upper=columns.pop("upper"),
        members=columns,
        dtype=np.float64,
    )
