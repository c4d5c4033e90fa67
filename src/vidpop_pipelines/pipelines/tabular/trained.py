"""Trained models for `predict_performance`: found in a project, a folder or MLflow, and read once."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.utils import find_kedro_project, is_kedro_project, load_obj

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.lifecycle import STAGES
from vidpop_pipelines.pipelines.tabular.columns import LIST_FIELDS, NUMERICAL_FIELDS
from vidpop_pipelines.pipelines.tabular.requests import FIELDS, MISSING, read_requests

# Model type -> pipeline that trains it, class of the model.
_TYPES = {
    "ensemble": ("ensemble", "vidpop_pipelines.pipelines.ensemble.model.EnsembleModel"),
    "deep_learning": ("multitask", "vidpop_pipelines.pipelines.multitask.model.MultitaskModel"),
}
_STAGE = "lifecycle_stage"


@dataclass(frozen=True)
class TrainedModel:
    """A model and what is known about it.

    Attributes:
        model: With `answer(videos)`, `features` and `interval_coverage`.
        unread: Fields of a request that the model has no feature for: its table lacked the column.
    """

    model: Any
    unread: frozenset[str]

    def answer(self, videos: pd.DataFrame, given: Sequence[str]) -> dict[str, Any]:
        """Returns what `predict_performance` returns.

        Args:
            videos: One video, as `read_arguments` makes it.
            given: Names of the arguments that were given.
        """
        (row,) = self.model.answer(videos).drop(columns="video_id").to_dict("records")
        values = {name: None if pd.isna(value) else value for name, value in row.items()}
        probabilities = {
            stage: values.pop(f"{_STAGE}={stage}") for stage in STAGES if f"{_STAGE}={stage}" in values
        }
        targets = [name for name in values if name not in ("predicted_views", "lower", "upper")]
        if targets:
            untrained = [name for name in targets if values[name] is None]
            values[f"{_STAGE}_probabilities"] = None if _STAGE in untrained else probabilities
            values["untrained_targets"] = untrained
        return values | {
            "interval_coverage": self.model.interval_coverage,
            "published_at": videos["published_at"].iloc[0].isoformat(),
            "age_hours": float(videos["age_hours"].iloc[0]),
            "unused_inputs": [name for name in given if name in self.unread],
        }


def read_arguments(video: dict[str, Any]) -> pd.DataFrame:
    """Makes the table of one video from the arguments of `predict_performance`; see `read_requests`.

    Raises:
        InputError: Also for a list that is given as one text, which a request may do.
    """
    for name in LIST_FIELDS:
        if isinstance(video.get(name), str):
            raise InputError(f"{name} is the text {video[name]!r}.", f"a list, for example [{video[name]!r}]")
    return read_requests([video])


def load_trained(
    model_type: str,
    model: str | Path | int | None,
    project_path: str | Path | None,
    output: str | Path | None,
) -> TrainedModel:
    """Reads a model, the first time only; a retrained one is read again.

    Args:
        model_type: `ensemble` or `deep_learning`.
        model: Folder of a model, MLflow URI such as ``models:/ensemble/3`` or ``models:/ensemble@champion``, or
            version of the registered model. None for the model that the project's pipeline has written.
        project_path: Folder of the Kedro project; None for the one around the working directory.
        output: The `output` with which the model was trained; None for `data`.

    Raises:
        InputError: If the type is unknown, or there is no such model, or it is of another type.
    """
    if model_type not in _TYPES:
        raise InputError(f"model_type is {model_type!r}.", f"one of {', '.join(_TYPES)}")
    pipeline, class_name = _TYPES[model_type]
    if model is None:
        folder = _find_project(project_path) / (output or "data") / "06_models" / pipeline
    elif isinstance(model, int) or (isinstance(model, str) and (model.isdigit() or ":/" in model)):
        uri = model if ":/" in str(model) else f"models:/{pipeline}/{model}"
        folder = _find_registered(str(uri), project_path)
    else:
        folder = Path(model)
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(
            f"{folder}: no trained model.",
            "config.json and the files it belongs to",
            f"train it with `kedro run --pipeline={pipeline}` in the project's folder, or name another place with"
            " model=, project_path= or output=.",
        )
    _check_type(config, pipeline)
    return _load(class_name, folder.resolve(), config.stat().st_mtime_ns)


def _find_project(project_path: str | Path | None) -> Path:
    if project_path is not None:
        if not is_kedro_project(project_path):
            raise InputError(
                f"{project_path}: no Kedro project.",
                "a folder whose pyproject.toml has the table [tool.kedro]",
            )
        return Path(project_path)
    project = find_kedro_project(Path.cwd())
    if project is None:
        raise InputError(
            f"{Path.cwd()} is not within a Kedro project.",
            "the project whose model is meant",
            "give project_path=, or the model's folder as model=.",
        )
    return project


def _find_registered(uri: str, project_path: str | Path | None) -> Path:
    """Returns the local folder of a model that is registered with MLflow, downloaded if it isn't here."""
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking_uri:
        store = _find_project(project_path) / "mlflow.db"
        if not store.is_file():
            raise InputError(
                f"{store} does not exist, and MLFLOW_TRACKING_URI is not set.",
                f"the MLflow store that knows {uri}",
                "train a model first, or set MLFLOW_TRACKING_URI.",
            )
        tracking_uri = f"sqlite:///{store.resolve()}"
    if "@" in uri:
        return _download(tracking_uri, uri)
    return _download_once(tracking_uri, uri)


@lru_cache(maxsize=64)
def _download_once(tracking_uri: str, uri: str) -> Path:
    """Remembers where a model lies whose URI, unlike one with an alias, means the same for ever."""
    return _download(tracking_uri, uri)


def _download(tracking_uri: str, uri: str) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        folder = Path(download_artifacts(_locate(tracking_uri, uri), tracking_uri=tracking_uri))
        artifacts = Model.load(folder).flavors["python_function"].get("artifacts", {})
    except MlflowException as error:
        raise InputError(
            f"{uri}: {error.message}",
            f"a model that the MLflow store {tracking_uri} knows, such as models:/ensemble/1",
            "see what there is with `mlflow ui`, or set MLFLOW_TRACKING_URI to another store.",
        ) from None
    if "model" not in artifacts:
        raise InputError(
            f"{uri} is not a model of this project.", "a model that one of its pipelines registered"
        )
    return folder / artifacts["model"]["path"]


def _locate(tracking_uri: str, uri: str) -> str:
    """Returns where the files of a model lie: MLflow's download function asks only its global store for that."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri, tracking_uri)
    scheme, _, path = uri.partition(":/")
    name, _, version = path.partition("/")
    if scheme != "models":
        return uri
    if "@" in path:
        name, _, alias = path.partition("@")
        version = client.get_model_version_by_alias(name, alias).version
    if not version:
        return client.get_logged_model(name).artifact_location
    return client.get_model_version_download_uri(name, version)


def _check_type(config: Path, pipeline: str) -> None:
    try:
        found = json.loads(config.read_text()).get("model_type")
    except (ValueError, AttributeError):
        raise InputError(f"{config} is not the configuration of a model.", "a JSON object") from None
    if found != pipeline:
        types = {name: model_type for model_type, (name, _) in _TYPES.items()}
        remedy = f"ask with model_type={types[found]!r}." if found in types else ""
        raise InputError(f"{config.parent} holds a model of type {found!r}.", f"type {pipeline!r}", remedy)


@lru_cache(maxsize=4)
def _load(class_name: str, folder: Path, written_ns: int) -> TrainedModel:
    model = load_obj(class_name).load(folder)
    return TrainedModel(model, frozenset(find_unread_fields(model.features)))


def find_unread_fields(features: Any) -> list[str]:
    """Finds the fields of a request that a fitted transformer has no feature for.

    Args:
        features: A `TableFeatures`.

    Returns:
        The fields without which all features of a video stay the same, the video being one that has everything
        and whose categories and channel are known.
    """
    known = {name: values[:1] for name, values in features.values.items()}
    epoch = pd.Timestamp(0, tz="UTC")
    video = dict.fromkeys(NUMERICAL_FIELDS, 3.0) | {
        "title": "A title",
        "description": "A description",
        "tags": ["a title"],
        "categories": known.pop("category") + features.category_weights[:1],
        "channel_id": next(iter(features.history.channels), ""),
        "published_at": epoch + pd.Timedelta(days=features.history.all_days[-1] + 1),
        "channel_created_at": epoch,
        **{name: values[0] for name, values in known.items() if values},
    }
    fields = [name for name in FIELDS if name != "video_id"]
    probes = pd.concat([read_requests([video])] * (len(fields) + 1), ignore_index=True)
    for row, name in enumerate(fields, start=1):
        probes.loc[row, name] = MISSING.get(name, "")
        if name == "tags":
            probes.loc[row, "num_tags"] = np.nan
    matrix = features.transform(probes)
    same = ((matrix == matrix[0]) | (np.isnan(matrix) & np.isnan(matrix[0]))).all(axis=1)
    return [name for row, name in enumerate(fields, start=1) if same[row]]
