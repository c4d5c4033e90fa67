"""Nodes of the SMTPD pipelines: from the raw table to a trained and calibrated forecaster."""

import logging
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
from vidpop_pipelines.evaluation.data_report import list_problems
from vidpop_pipelines.evaluation.splits import assign_folds, check_given_folds
from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.features.images import ImageEncoderOptions
from vidpop_pipelines.features.text import TextEncoderOptions
from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdInstance, SmtpdParameters
from vidpop_pipelines.pipelines.smtpd.protocol import evaluation_window, forecast_days, rows_of
from vidpop_pipelines.pipelines.smtpd.table import (
    TEXT_FIELDS,
    check_enough_videos,
    leave_out_without_early_popularity,
    rare_categories,
    validate_videos,
)

logger = logging.getLogger(__name__)


class HasEncoders(Protocol):
    """Parameters or a trained forecaster: whoever says how thumbnails and texts are encoded."""

    visual_encoder: ImageEncoderOptions
    text_encoder: TextEncoderOptions


def validate_training_table(
    raw: pd.DataFrame, parameters: SmtpdParameters, instance: SmtpdInstance
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Validates a labelled table; see `validate_videos` for arguments, results and errors.

    Returns:
        Videos, problems, and what was read (`source`, `rows_read`).
    """
    videos, problems = validate_videos(raw)
    if instance.early_popularity:
        videos, problems = leave_out_without_early_popularity(videos, problems)
    check_enough_videos(videos, parameters.n_folds, parameters.group_by)
    return videos, pd.concat([problems, rare_categories(videos)], ignore_index=True), _summary(raw)


def validate_forecast_table(
    raw: pd.DataFrame, instance: SmtpdInstance
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Validates a table to be forecast, whose days (but day 1, where it is an input) may be absent.

    Returns:
        As `validate_training_table`.
    """
    videos, problems = validate_videos(raw, labelled=False)
    if instance.early_popularity:
        videos, problems = leave_out_without_early_popularity(videos, problems)
    # Later days are what is asked for: neither known nor missed.
    asked = problems["column"].str.match(r"day_\d+$") & ~problems["left_out"]
    known = [name for name in videos if name == "day_1" or not name.startswith("day_")]
    return videos[known], problems[~asked], _summary(raw)


def _summary(raw: pd.DataFrame) -> dict[str, Any]:
    return {"source": raw.attrs.get("source", ""), "rows_read": len(raw)}


def split_videos(
    videos: pd.DataFrame, given_splits: pd.DataFrame | None, parameters: SmtpdParameters
) -> pd.DataFrame:
    """Assigns every video to a fold, once.

    Args:
        videos: Validated videos.
        given_splits: `splits.csv` beside the table (`video_id`, `fold`), or None for random folds. A split by
            groups that is asked for goes before it.
        parameters: Number of folds, seed, grouping.

    Returns:
        `video_id` and `fold`.
    """
    if given_splits is not None and parameters.group_by is None:
        logger.info("Folds are those of splits.csv beside the table.")
        return check_given_folds(given_splits, videos["video_id"], "splits.csv beside the table")
    groups = videos[parameters.group_by] if parameters.group_by else None
    return assign_folds(videos["video_id"], n_folds=parameters.n_folds, seed=parameters.seed, groups=groups)


def encode_thumbnails(
    videos: pd.DataFrame,
    thumbnails: Path,
    store: EmbeddingStore,
    encoders: HasEncoders,
    compute: ComputeOptions,
) -> tuple[Embeddings, pd.DataFrame]:
    """Encodes each thumbnail once.

    Returns:
        One vector per usable thumbnail, and the problems of the others.
    """
    from vidpop_pipelines.features.encoding import encode_images
    from vidpop_pipelines.features.images import create_image_encoder

    paths = [thumbnails / f"{video_id}.jpg" for video_id in videos["video_id"]]
    encoder = create_image_encoder(encoders.visual_encoder)
    embeddings, found = encode_images(
        paths, encoder, store, batch_size=encoders.visual_encoder.batch_size, compute=compute
    )
    ids = videos["video_id"].iloc[found["index"]]
    return embeddings, list_problems(ids, "thumbnail", found["reason"].set_axis(ids.index))


def encode_descriptions(
    videos: pd.DataFrame, store: EmbeddingStore, encoders: HasEncoders, compute: ComputeOptions
) -> Embeddings:
    """Encodes each different text of the five fields once."""
    from vidpop_pipelines.features.encoding import encode_texts
    from vidpop_pipelines.features.text import create_text_encoder

    encoder = create_text_encoder(encoders.text_encoder)
    batch_size = encoders.text_encoder.batch_size
    return encode_texts(videos[TEXT_FIELDS], encoder, store, batch_size=batch_size, compute=compute)


def detect_title_languages(videos: pd.DataFrame) -> pd.DataFrame:
    """Detects the language of each title: `video_id`, `language` ("" where the title is empty)."""
    from vidpop_pipelines.features.language import detect_languages

    return pd.DataFrame({"video_id": videos["video_id"], "language": detect_languages(videos["title"])})


def assemble_inputs(
    videos: pd.DataFrame, languages: pd.DataFrame, visual: Embeddings, text: Embeddings
) -> SmtpdInputs:
    """Joins table, languages and vectors of the same videos into what the models read."""
    return SmtpdInputs.assemble(videos, languages["language"].to_numpy(), visual, text)


def fit_preprocessing(
    inputs: SmtpdInputs, splits: pd.DataFrame, parameters: SmtpdParameters, instance: SmtpdInstance
) -> dict[int, Any]:
    """Fits, for each test fold, everything that is fitted on its training rows: see `Preprocessing`."""
    from vidpop_pipelines.pipelines.smtpd.preprocessing import Preprocessing

    days = forecast_days(inputs, instance)
    evaluation_window(days, parameters)
    return {
        fold: Preprocessing.fit(
            inputs,
            rows_of(splits, fold, inputs, parameters)["train"],
            days,
            instance.early_popularity,
            parameters.preprocessing,
            parameters.seed,
        )
        for fold in parameters.folds
    }


def train_catboost(
    inputs: SmtpdInputs,
    splits: pd.DataFrame,
    preprocessing: dict[int, Any],
    parameters: SmtpdParameters,
    compute: ComputeOptions,
) -> dict[int, list]:
    """Trains the strong baseline: for each fold one CatBoost model per forecast day, days in parallel."""
    from vidpop_pipelines.pipelines.smtpd.training import train_catboost_fold

    return {
        fold: train_catboost_fold(
            inputs, rows_of(splits, fold, inputs, parameters), fitted, parameters, compute
        )
        for fold, fitted in preprocessing.items()
    }


def train_network(
    inputs: SmtpdInputs,
    splits: pd.DataFrame,
    preprocessing: dict[int, Any],
    parameters: SmtpdParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    epochs_folder: Path,
) -> tuple[dict[int, Any], pd.DataFrame]:
    """Trains one network per fold, and keeps what a killed run had finished.

    One after the other, each with the threads that `training.n_threads` gives it; on a dask cluster side by side.

    Returns:
        The networks with the weights of their best epochs, and the history (`fold`, `epoch`, losses, AMAE).
    """
    from vidpop_pipelines.pipelines.smtpd.training import train_network_fold
    from vidpop_pipelines.training.folds import fold_logger
    from vidpop_pipelines.training.metric_logger import log_history

    tasks = {
        fold: (
            inputs,
            rows_of(splits, fold, inputs, parameters),
            fitted,
            parameters,
            fold,
            resume_folder / f"fold_{fold}",
            epochs_folder / f"fold_{fold}",
        )
        for fold, fitted in preprocessing.items()
    }
    trained = {}
    if compute.backend == "dask":
        results = parallel_map(
            train_network_fold, tasks.values(), compute, description="Networks of the folds"
        )
        trained = dict(zip(tasks, results, strict=True))
    for fold, task in tasks.items():
        with fold_logger(f"fold_{fold}", n_folds=len(tasks)) as metric_logger:
            if fold in trained:
                log_history(trained[fold][1].set_index("epoch"), metric_logger)
            else:
                trained[fold] = train_network_fold(*task, metric_logger)
    histories = [history.assign(fold=fold) for fold, (_, history) in trained.items()]
    return {fold: network for fold, (network, _) in trained.items()}, pd.concat(histories, ignore_index=True)


def blend_and_calibrate(
    inputs: SmtpdInputs,
    splits: pd.DataFrame,
    preprocessing: dict[int, Any],
    networks: dict[int, Any],
    catboosts: dict[int, list],
    parameters: SmtpdParameters,
    interval: IntervalOptions,
) -> Any:
    """Weighs network and CatBoost on validation rows, and fits intervals on calibration rows.

    Returns:
        The `SmtpdForecaster`.
    """
    from vidpop_pipelines.pipelines.smtpd.forecaster import SmtpdForecaster
    from vidpop_pipelines.pipelines.smtpd.training import blend_and_calibrate_fold

    folds = {
        fold: blend_and_calibrate_fold(
            inputs,
            rows_of(splits, fold, inputs, parameters),
            fitted,
            networks[fold],
            catboosts[fold],
            parameters,
            interval.coverage,
        )
        for fold, fitted in preprocessing.items()
    }
    return SmtpdForecaster(
        folds=folds,
        modalities=parameters.modalities,
        visual_encoder=parameters.visual_encoder,
        text_encoder=parameters.text_encoder,
        protocol=parameters.protocol,
        group_by=parameters.group_by,
        data_fingerprint=inputs.fingerprint(),
    )
