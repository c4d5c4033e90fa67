"""What happens around every run: parameters and inputs are checked first, and everything is tracked in MLflow.

The catalog says what is tracked, with a dataset's ``metadata.mlflow``: ``input`` (its hash becomes a
parameter), ``metrics`` (a flat dict of numbers), ``artifact`` (its file). Kedro-mlflow opens and closes
the run of the pipeline; here every family gets a run of its own where several run together.
"""

import atexit
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from vidpop_pipelines.errors import InputError, input_error

logger = logging.getLogger(__name__)


def _family(node: Any) -> str:
    """Returns the first part of a node's namespace: `smtpd_ep` of `smtpd_ep.train_network`."""
    return (node.namespace or "").split(".")[0]


def _tracked_as(catalog: Any, name: str) -> str | None:
    dataset = catalog.get(name)
    return (getattr(dataset, "metadata", None) or {}).get("mlflow")


def _is_resume_folder(name: str) -> bool:
    """Tells a training node by its input: where it would be resumed from."""
    return name.partition(".")[2] == "resume_folder"


def _path(catalog: Any, name: str) -> Path:
    return Path(str(catalog.get(name)._filepath))


class ParameterCheck:
    """Checks the whole parameter tree before any work."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: Any) -> None:
        """Raises an `InputError` that names every wrong parameter."""
        from vidpop_pipelines.parameters import check_parameters

        check_parameters(context.config_loader["parameters"])


class PlainErrors:
    """Shows users the message of an `InputError`, and not that Kedro's catalog was on the way."""

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Raises the `InputError` itself, once all other hooks have been told."""
        cause = input_error(error)
        if cause is not None and cause is not error:
            raise cause from None


class InputCheck:
    """Checks that raw inputs exist before any work."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Raises an `InputError` for a raw input that is not there."""
        for name in sorted(pipeline.inputs()):
            if (
                not name.startswith("params:")
                and name != "parameters"
                and _tracked_as(catalog, name) == "input"
            ):
                path = _path(catalog, name)
                if not path.exists():
                    raise InputError(
                        f"{name}: {path} does not exist.",
                        "an existing file or folder",
                        f'give its place with --params="{name}=PATH" or in conf/<environment>/globals.yml.',
                    )


class ResumeCleanup:
    """Deletes what a killed run would have been resumed from, once a run has ended well."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Deletes the `resume_folder` of every family whose model this run has saved."""
        for name in pipeline.inputs():
            if _is_resume_folder(name) and f"{name.partition('.')[0]}.model" in pipeline.all_outputs():
                shutil.rmtree(_path(catalog, name), ignore_errors=True)


class FurtherProcesses:
    """Lets the further processes of `torchrun` and `accelerate launch` help to train, and do nothing else.

    Each runs the nodes up to the last training, of which it needs the outputs; those stay in its memory. Only the first
    process writes results, tracks them, and goes on to the end.
    """

    def __init__(self) -> None:
        self._trainings: set[str] | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self) -> None:
        """Gives a further process an MLflow store that is thrown away, before kedro-mlflow opens one."""
        if int(os.environ.get("RANK", "0")):
            store = tempfile.mkdtemp(prefix="vidpop_tracking_")
            atexit.register(shutil.rmtree, store, ignore_errors=True)
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}/mlflow.db"

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Keeps the outputs of a further process in memory."""
        from kedro.io import MemoryDataset

        if int(os.environ.get("RANK", "0")):
            self._trainings = {
                node.name for node in pipeline.nodes if any(map(_is_resume_folder, node.inputs))
            }
            for name in pipeline.all_outputs():
                catalog[name] = MemoryDataset(copy_mode="assign")

    @hook_impl(trylast=True)
    def after_node_run(self, node: Any) -> None:
        """Ends a further process after the last training."""
        if self._trainings is not None:
            self._trainings.discard(node.name)
            if not self._trainings:
                import mlflow

                while mlflow.active_run():  # MLflow would do it when its store is gone
                    mlflow.end_run()
                logger.info("Process %s has helped to train, and ends here.", os.environ["RANK"])
                raise SystemExit(0)


class Tracking:
    """Logs parameters, inputs, metrics and artifacts of each family to its MLflow run."""

    def __init__(self) -> None:
        self._catalog: Any = None
        self._runs: dict[str, str] = {}
        self._seconds: dict[str, dict[str, float]] = {}
        self._started: dict[str, float] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remembers the environment, which is a tag of every run."""
        self._environment = context.env or "base"

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Opens one run per family; kedro-mlflow, whose hook comes before, has opened the pipeline's."""
        import mlflow

        self._catalog, self._runs, self._seconds = catalog, {}, {}
        parent = mlflow.active_run()
        if parent is None:
            return
        mlflow.log_params({f"runtime.{key}": value for key, value in _dotted(run_params["runtime_params"])})
        families = list(dict.fromkeys(_family(node) for node in pipeline.nodes if node.namespace))
        for family in families:
            run_id = parent.info.run_id
            if len(families) > 1:
                with mlflow.start_run(run_name=family, nested=True) as child:
                    run_id = child.info.run_id
            self._runs[family] = run_id
            tags = {"family": family, "environment": self._environment, "git_commit": _git_commit()}
            for key, value in tags.items():
                mlflow.MlflowClient().set_tag(run_id, key, value)

    @hook_impl
    def before_node_run(self, node: Any, inputs: dict[str, Any]) -> None:
        """Makes the family's run the active one, and logs the node's parameters and inputs to it."""
        import mlflow
        from pydantic import BaseModel

        from vidpop_pipelines.parameters import flatten

        self._started[node.name] = time.perf_counter()
        run_id = self._runs.get(_family(node))
        if run_id is None:
            return
        active = mlflow.active_run()
        if active is None or active.info.run_id != run_id:
            mlflow.start_run(run_id=run_id, nested=True)
        for name, value in inputs.items():
            if isinstance(value, BaseModel):
                mlflow.log_params(flatten(value, name.removeprefix("params:")))
            elif _tracked_as(self._catalog, name) == "input":
                from vidpop_pipelines.fingerprint import hash_path

                mlflow.log_param(f"sha256.{name}", hash_path(_path(self._catalog, name)))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        """Logs what the catalog marks as metrics or artifact."""
        import mlflow

        run_id = self._runs.get(_family(node))
        kind = _tracked_as(self._catalog, dataset_name)
        if run_id is None:
            return
        # By its id: Kedro saves after the node's run has been closed.
        if kind == "metrics":
            mlflow.log_metrics(data, run_id=run_id)
        if kind in ("metrics", "artifact"):
            mlflow.log_artifact(str(_path(self._catalog, dataset_name)), run_id=run_id)

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Notes the node's seconds (without loading and saving), and steps back to the pipeline's run."""
        import mlflow

        family = _family(node)
        seconds = self._seconds.setdefault(family, {})
        seconds[node.short_name] = round(time.perf_counter() - self._started[node.name], 3)
        if len(self._runs) > 1 and family in self._runs:
            mlflow.end_run()

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], catalog: Any) -> None:
        """Writes each family's `run.json`: timings, peak memory, versions, environment."""
        for family, seconds in self._seconds.items():
            name = f"{family}.run"
            if family and name in catalog:
                catalog.save(
                    name,
                    {
                        "pipeline": family,
                        "environment": self._environment,
                        "git_commit": _git_commit(),
                        "mlflow_run_id": self._runs.get(family),
                        "seconds": seconds,
                        "total_seconds": round(sum(seconds.values()), 3),
                        "peak_memory_mb": _peak_memory_mb(),
                        "versions": _versions(),
                        "runtime_parameters": dict(_dotted(run_params["runtime_params"])),
                    },
                )


def _dotted(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for key, value in (tree or {}).items():
        if isinstance(value, dict):
            pairs += _dotted(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, value))
    return pairs


def _git_commit() -> str:
    command = ["git", "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    return result.stdout.strip() or "not a git checkout"


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("vidpop_pipelines", "kedro", "mlflow", "torch", "transformers", "catboost", "scikit-learn")
    return {"python": sys.version.split()[0]} | {package: version(package) for package in packages}
