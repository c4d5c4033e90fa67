"""The one way into MLflow's registry: a model's folder and the code that serves it (no pickle), its card, its alias."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidpop_pipelines.errors import InputError

CHAMPION = "champion"
CARD_FILE = "model_card.md"
# MLflow's limit of a description.
_LONGEST_DESCRIPTION = 5000


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        number: Number of the version.
        run_id: The MLflow run that registered it.
        metrics: Metrics of that run.
        tags: Tags of that run.
        parameters: Parameters of that run.
    """

    number: str
    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)


def register_pyfunc(name: str, code: Path, model: Any, signature: Any, input_example: Any) -> dict[str, Any]:
    """Logs a model to the active run and registers it as a new version.

    Args:
        name: Name of the registered model: the pipeline's.
        code: Python file that ends with `mlflow.models.set_model(...)` (models from code).
        model: The trained model; its `save(folder)` fills `context.artifacts["model"]` of the served code.
        signature: MLflow signature of requests and answers.
        input_example: A request, stored with the model.

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
            pip_requirements=pinned_requirements(),
            registered_model_name=name,
        )
    return {"name": name, "version": str(info.registered_model_version), "model_uri": info.model_uri}


def pinned_requirements() -> list[str]:
    """Returns what a serving process needs beside this package, whose source travels with the model.

    All that `pyproject.toml` names, extras aside, in the versions installed here: a list per family would have to
    follow each of its imports.
    """
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in requires("vidpop_pipelines") or []]
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [f"{name}=={version(name)}" for name in names]


def describe_version(name: str, version: str, card: str, tags: dict[str, str]) -> None:
    """Attaches a model card to a registered version: as its description, and as a file beside the model's own.

    Args:
        name: Name of the registered model.
        version: Number of the version.
        card: The card as Markdown; a description longer than MLflow allows is cut at a line, and says so.
        tags: Tags of the version.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    client.update_model_version(name, version, description=_shorten(card))
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    with TemporaryDirectory() as folder:
        file = Path(folder) / CARD_FILE
        file.write_text(card, encoding="utf-8")
        model_id = client.get_model_version(name, version).source.removeprefix("models:/")
        client.log_model_artifact(model_id, str(file))


def _shorten(card: str) -> str:
    if len(card) <= _LONGEST_DESCRIPTION:
        return card
    rest = f"\n\n(shortened; the whole card is {CARD_FILE} beside the model)"
    return card[: _LONGEST_DESCRIPTION - len(rest)].rpartition("\n")[0] + rest


def read_version(name: str, version: str | int) -> Version:
    """Reads a version of a registered model and the run that made it.

    Args:
        name: Name of the registered model.
        version: Number of the version, or `latest`.

    Raises:
        InputError: If there is no such version.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    numbers = sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))
    wanted = numbers[-1] if version == "latest" and numbers else version
    if str(wanted) not in map(str, numbers):
        raise InputError(
            f"MLflow has no version {version} of a model {name} (in {client.tracking_uri}).",
            f"one of the versions {', '.join(map(str, numbers))}" if numbers else "a registered model",
            f"train it: `kedro run --pipeline={name}`; check MLFLOW_TRACKING_URI if it was trained elsewhere.",
        )
    run_id = client.get_model_version(name, str(wanted)).run_id
    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise InputError(
            f"The run {run_id}, which made version {wanted} of {name}, is not in {client.tracking_uri}.",
            "the MLflow store that the version was registered in",
        ) from None
    return Version(str(wanted), run_id, run.data.metrics, run.data.tags, run.data.params)


def champion_version(name: str) -> str | None:
    """Returns the number of the champion of a registered model; None if nothing has been promoted."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return str(MlflowClient().get_model_version_by_alias(name, CHAMPION).version)
    except MlflowException as error:
        # MLflow says INVALID_PARAMETER_VALUE where the model is there and has no such alias.
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def set_champion(name: str, version: str, reason: str) -> None:
    """Makes a version the champion of its registered model, and notes why on it."""
    from mlflow import MlflowClient

    client = MlflowClient()
    client.set_registered_model_alias(name, CHAMPION, version)
    client.set_model_version_tag(name, version, "promoted_because", reason)


def version_to_serve(name: str, version: str) -> str:
    """Returns the number of the version that is meant by `champion`, `latest` or a number.

    Raises:
        InputError: If there is no such version; where nothing has been promoted, it says how to promote.
    """
    if version != CHAMPION:
        return read_version(name, version).number
    champion = champion_version(name)
    if champion is None:
        latest = read_version(name, "latest").number
        raise InputError(
            f"Nothing of {name} has been promoted: none of its versions is the champion.",
            f"a version with the alias {CHAMPION}",
            f'promote one: `kedro run --pipelines=promote --params="promote.family={name}"`; or serve the newest,'
            f" version {latest}: `make serve FAMILY={name} VERSION=latest`.",
        )
    return champion
