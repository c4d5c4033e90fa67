"""Registers a trained ensemble with MLflow, as a model that answers JSON requests."""

from pathlib import Path
from typing import Any


def register_model(model: Any) -> dict[str, Any]:
    """Logs the ensemble as a pyfunc from code and registers it as a new version.

    Args:
        model: The trained ensemble.

    Returns:
        `name`, `version` and `model_uri` of the registered model.
    """
    from vidpop_pipelines.pipelines.tabular.requests import model_signature, request_example
    from vidpop_pipelines.registry import register_pyfunc

    return register_pyfunc(
        name="ensemble",
        code=Path(__file__).with_name("serving.py"),
        model=model,
        signature=model_signature(dict.fromkeys(["predicted_views", "lower", "upper"], "double")),
        input_example=request_example(),
    )
