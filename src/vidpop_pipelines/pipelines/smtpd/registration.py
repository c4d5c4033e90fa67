"""Registers a trained SMTPD forecaster with MLflow, as a model that answers JSON requests."""

from pathlib import Path
from typing import Any

import pandas as pd

from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS, TEXT_FIELDS


def register_model(forecaster: Any) -> dict[str, Any]:
    """Logs the forecaster as a pyfunc from code and registers it as a new version.

    Args:
        forecaster: The trained forecaster.

    Returns:
        `name`, `version` and `model_uri` of the registered model.
    """
    from vidpop_pipelines.registry import register_pyfunc

    early_popularity = forecaster.early_popularity
    return register_pyfunc(
        name="smtpd_ep" if early_popularity else "smtpd_no_ep",
        code=Path(__file__).with_name("serving.py"),
        model=forecaster,
        signature=model_signature(early_popularity),
        input_example=request_example(early_popularity),
    )


def request_example(early_popularity: bool) -> pd.DataFrame:
    """Returns a request for one video, with every column that the served model reads."""
    example: dict[str, Any] = {
        "video_id": "example",
        "user_id": "a channel",
        "category": "Music",
        "title": "An example of a title",
        "keywords": "example, title",
        "description": "What the video is about.",
        "thumbnail": "",
    } | dict.fromkeys(NUMERICAL_FIELDS, 60.0)
    if early_popularity:
        example["day_1"] = 10.0
    return pd.DataFrame([example])


def model_signature(early_popularity: bool) -> Any:
    """Returns the MLflow signature: day 1 is required where it is an input, everything else may be unknown."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    texts = ["video_id", *TEXT_FIELDS, "thumbnail"]
    inputs = [ColSpec("string", name, required=False) for name in texts]
    inputs += [ColSpec("double", name, required=False) for name in NUMERICAL_FIELDS]
    if early_popularity:
        inputs.append(ColSpec("double", "day_1", required=True))
    outputs = [ColSpec("string", "video_id"), ColSpec("long", "day")]
    outputs += [ColSpec("double", name, required=False) for name in ("y_pred", "lower", "upper")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
