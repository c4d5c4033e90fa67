"""Registers a trained multitask model with MLflow, as a model that answers JSON requests."""

from pathlib import Path
from typing import Any


def register_model(model: Any) -> dict[str, Any]:
    """Logs the model as a pyfunc from code and registers it as a new version.

    Args:
        model: The trained multitask model.

    Returns:
        `name`, `version` and `model_uri` of the registered model.
    """
    from vidpop_pipelines.pipelines.multitask.targets import STAGE, TARGETS, VIEWS, columns_of
    from vidpop_pipelines.pipelines.tabular.requests import model_signature, request_example
    from vidpop_pipelines.registry import register_pyfunc

    targets = [name for name in TARGETS if name != VIEWS]
    answers = dict.fromkeys(["predicted_views", "lower", "upper", *targets, *columns_of(STAGE)], "double")
    return register_pyfunc(
        name="multitask",
        code=Path(__file__).with_name("serving.py"),
        model=model,
        signature=model_signature(answers | {STAGE: "string"}),
        input_example=request_example(),
    )
