"""Registers a trained MoFA-Lite forecaster with MLflow, as a model that answers JSON requests."""

from pathlib import Path
from typing import Any


def register_model(forecaster: Any) -> dict[str, Any]:
    """Logs the forecaster as a pyfunc from code and registers it as a new version.

    Args:
        forecaster: The trained forecaster.

    Returns:
        `name`, `version` and `model_uri` of the registered model.
    """
    from vidpop_pipelines.registry import register_pyfunc

    return register_pyfunc(
        name="mofa_lite",
        code=Path(__file__).with_name("serving.py"),
        model=forecaster,
        signature=model_signature(forecaster.widths),
        input_example=request_example(forecaster.widths),
    )


def request_example(widths: dict[str, int]) -> Any:
    """Returns a request for one video, with every field that the served model reads."""
    import pandas as pd

    return pd.DataFrame([{"video_id": "example", **{name: [0.0] * width for name, width in widths.items()}}])


def model_signature(widths: dict[str, int]) -> Any:
    """Returns the MLflow signature: one list of numbers per modality; a modality may be left out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array, DataType

    inputs = [ColSpec("string", "video_id", required=False)]
    inputs += [ColSpec(Array(DataType.double), name, required=False) for name in widths]
    outputs = [ColSpec("string", "video_id"), ColSpec("string", "target")]
    outputs += [ColSpec("double", name, required=False) for name in ("y_pred", "lower", "upper")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
