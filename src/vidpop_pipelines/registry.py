"""The one way a trained model gets into MLflow's registry: a folder and the code that serves it, no pickle."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# What a serving process needs beside this package, whose source travels with the model.
_REQUIREMENTS = (
    "mlflow",
    "torch",
    "torchvision",
    "transformers",
    "catboost",
    "scikit-learn",
    "pandas",
    "pydantic",
)


def register_pyfunc(
    name: str,
    code: Path,
    model: Any,
    signature: Any,
    input_example: Any,
    further_requirements: Sequence[str] = (),
) -> dict[str, Any]:
    """Logs a model to the active run and registers it as a new version.

    Args:
        name: Name of the registered model: the pipeline's.
        code: Python file that ends with `mlflow.models.set_model(...)` (models from code).
        model: The trained model; its `save(folder)` fills `context.artifacts["model"]` of the served code.
        signature: MLflow signature of requests and answers.
        input_example: A request, stored with the model.
        further_requirements: Packages that only this model needs to be served.

    Returns:
        `name`, `version` and `model_uri`.
    """
    import mlflow

    package = Path(__file__).parent
    with TemporaryDirectory() as folder:
        model.save(Path(folder))
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(code),
            artifacts={"model": folder},
            code_paths=[str(package)],
            signature=signature,
            input_example=input_example,
            # Given here, since MLflow would start a second Python and import everything to find them.
            pip_requirements=[
                f"{needed}=={version(needed)}" for needed in (*_REQUIREMENTS, *further_requirements)
            ],
            registered_model_name=name,
        )
    return {"name": name, "version": str(info.registered_model_version), "model_uri": info.model_uri}
