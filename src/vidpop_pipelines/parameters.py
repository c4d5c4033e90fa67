"""The whole parameter tree of the project, and the check that runs before any work.

A family adds an import and a line to `ProjectParameters`; its own models live in its folder.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vidpop_pipelines.errors import InputError


class Parameters(BaseModel):
    """Base of every parameter model: an unknown key is an error, and values never change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _split_plus(value: Any) -> Any:
    return [part for part in value.split("+") if part] if isinstance(value, str) else value


PlusList = Annotated[list[str], BeforeValidator(_split_plus)]
"""A list of names; Kedro's command line has no lists, so ``visual+text`` means ``[visual, text]``."""


class IntervalOptions(Parameters):
    """Prediction intervals of every family (split-conformal).

    Attributes:
        coverage: Share of true values that the interval is to contain.
    """

    coverage: float = Field(default=0.9, gt=0, lt=1)


class ComputeOptions(Parameters):
    """Where independent pieces of work run (folds, days, base learners; on dask encoding too).

    Attributes:
        backend: `loky` uses processes on this machine, `threading` threads, `dask` a cluster.
        n_jobs: Number of pieces at once; -1 means one per processor core. Without effect on dask, which gives each
            worker one.
        address: Scheduler address of the dask cluster, for example ``tcp://host:8786``.
    """

    backend: Literal["loky", "threading", "dask"] = "loky"
    n_jobs: int = -1
    address: str | None = None


def _project_parameters() -> type[BaseModel]:
    # Imported here: families import the base classes above from this module.
    from vidpop_pipelines.pipelines.comparison.parameters import ComparisonParameters
    from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
    from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaFolders, MofaLiteParameters
    from vidpop_pipelines.pipelines.multitask.parameters import MultitaskParameters
    from vidpop_pipelines.pipelines.promote.parameters import PromoteParameters
    from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
    from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoInstance, ShortVideoParameters
    from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdInstance, SmtpdParameters
    from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

    class ProjectParameters(Parameters):
        output: str
        interval: IntervalOptions
        compute: ComputeOptions
        sample: SampleDataParameters
        smtpd: SmtpdParameters
        smtpd_ep: SmtpdInstance
        smtpd_no_ep: SmtpdInstance
        short_video: ShortVideoParameters
        timesformer: ShortVideoInstance
        smolvlm2: ShortVideoInstance
        tabular: TabularParameters
        ensemble: EnsembleParameters
        multitask: MultitaskParameters
        mofa: MofaFolders
        mofa_lite: MofaLiteParameters
        comparison: ComparisonParameters
        promote: PromoteParameters

    return ProjectParameters


def check_parameters(parameters: dict[str, Any]) -> BaseModel:
    """Validates the parameter tree, keys given at run time included.

    Args:
        parameters: The merged tree as Kedro loads it.

    Returns:
        The validated tree.

    Raises:
        InputError: Naming every wrong key or value; for an unknown key also the nearest right one.
    """
    model = _project_parameters()
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        known = list(_dotted_keys(model))
        problems = [_explain(problem, known) for problem in error.errors()]
    raise InputError(
        "Parameters are wrong:\n" + "\n".join(f"  - {problem}" for problem in problems),
        remedy="correct conf/<environment>/parameters/ or --params and run again; nothing has been run yet.",
    )


def _explain(problem: Any, known: list[str]) -> str:
    # pydantic adds the branch of a union to the location; only names of the tree are the user's.
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(key, known, n=1, cutoff=0.5) or [
            name for name in known if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]
        ]
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"unknown parameter '{key}'{hint}"
    return f"'{key}': {problem['msg']} (got {problem['input']!r})"


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for candidate in (field.annotation, *get_args(field.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from _dotted_keys(candidate, f"{prefix}{name}.")


def flatten(parameters: BaseModel, prefix: str) -> dict[str, Any]:
    """Flattens a parameter model to dotted keys, as MLflow compares them.

    Args:
        parameters: Any parameter model.
        prefix: Name of the model in the tree, for example ``smtpd``.

    Returns:
        For example ``{"smtpd.training.learning_rate": 0.001}``.
    """
    flat: dict[str, Any] = {}

    def visit(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                visit(item, f"{key}.{name}")
        else:
            flat[key] = value

    visit(parameters.model_dump(), prefix)
    return flat
