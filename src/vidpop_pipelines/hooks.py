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
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from vidpop_pipelines.datasets.folder import ModelFolderDataset
from vidpop_pipelines.errors import InputError, input_error
from vidpop_pipelines.run_record import RunRecord

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


class ArtifactsInProject:
    """Makes MLflow keep artifacts in the project, also where Kedro was started in a folder of it (notebooks)."""

    @hook_impl(wrapper=True)
    def after_context_created(self, context: Any) -> Iterator[None]:
        """Lets kedro-mlflow create the experiment, whose `mlruns` lie in the working directory, from the project."""
        with chdir(context.project_path):
            return (yield)


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


class OptionalInputs:
    """Lets nodes tagged `inputs_may_be_absent` run where some of their files do not exist: these are None.

    Whether a file exists is looked up when it is loaded: the same run may have written it by then. Inputs keep their
    names, so that Kedro still runs these nodes after whatever writes their inputs, in every combination of pipelines.
    """

    # Before any other hook has looked datasets up in the catalog.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Any, catalog: Any) -> None:
        """Puts an `OptionalDataset` around each input that this run does not produce."""
        from vidpop_pipelines.datasets.optional import OptionalDataset

        nodes = [node for node in pipeline.nodes if "inputs_may_be_absent" in node.tags]
        names = {name for node in nodes for name in node.inputs} - pipeline.all_outputs()
        for name in sorted(names):
            if not name.startswith("params:"):
                catalog[name] = OptionalDataset(catalog.config_resolver.resolve_pattern(name))


class Tracking:
    """Logs parameters, inputs, metrics and artifacts of each family to its MLflow run.

    Every run has the tags `family`, `protocol`, `data_fingerprint`, `test_fingerprint`, `git_commit` and
    `environment`, as far as they apply, and its raw inputs as dataset inputs.
    """

    def __init__(self) -> None:
        self._catalog: Any = None
        self._records: dict[str, RunRecord] = {}
        self._started: dict[str, float] = {}

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Remembers the environment, which is a tag of every run."""
        self._environment = context.env or "base"

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Opens one run per family; kedro-mlflow, whose hook comes before, has opened the pipeline's."""
        import mlflow

        from vidpop_pipelines.fingerprint import hash_path

        self._catalog, self._records = catalog, {}
        self._runtime_parameters = dict(_dotted(run_params["runtime_params"]))
        parent = mlflow.active_run()
        families = list(dict.fromkeys(_family(node) for node in pipeline.nodes if node.namespace))
        if parent is not None:
            mlflow.log_params({f"runtime.{key}": value for key, value in self._runtime_parameters.items()})
        for family in families:
            record = self._records[family] = RunRecord(family)
            nodes = [node for node in pipeline.nodes if _family(node) == family]
            record.find_nodes(pipeline)
            names = sorted({name for node in nodes for name in node.inputs} & pipeline.inputs())
            inputs = [name for name in names if _tracked_as(catalog, name) == "input"]
            record.inputs = {name: hash_path(_path(catalog, name)) for name in inputs}
            if parent is None:
                continue
            nested = (
                mlflow.start_run(run_name=family, nested=True) if len(families) > 1 else nullcontext(parent)
            )
            with nested as run:
                record.run_id = run.info.run_id
                self._describe_run(record)

    def _describe_run(self, record: RunRecord) -> None:
        """Tags the active run, and logs its raw inputs."""
        import mlflow
        from mlflow.data.dataset_source_registry import resolve_dataset_source
        from mlflow.data.meta_dataset import MetaDataset

        mlflow.set_tags(
            {"family": record.family, "environment": self._environment, "git_commit": _git_commit()}
        )
        if not record.inputs:
            return
        mlflow.set_tag("data_fingerprint", record.data_fingerprint)
        mlflow.log_params({f"sha256.{name}": digest for name, digest in record.inputs.items()})
        context = "prediction" if record.family.endswith("_predict") else "training"
        for name, digest in record.inputs.items():
            source = resolve_dataset_source(str(_path(self._catalog, name)))
            # MLflow allows digests of 36 characters; the whole one is a parameter.
            mlflow.log_input(MetaDataset(source, name=name, digest=digest[:36]), context=context)

    @hook_impl
    def before_node_run(self, node: Any, inputs: dict[str, Any]) -> None:
        """Makes the family's run the active one, and logs the node's parameters to it."""
        import mlflow
        from pydantic import BaseModel

        from vidpop_pipelines.parameters import flatten

        self._started[node.name] = time.perf_counter()
        record = self._records.get(_family(node))
        if record is None or record.run_id is None:
            return
        active = mlflow.active_run()
        if active is None or active.info.run_id != record.run_id:
            mlflow.start_run(run_id=record.run_id, nested=True)
        for name, value in inputs.items():
            if isinstance(value, BaseModel):
                mlflow.log_params(flatten(value, name.removeprefix("params:")))
                if hasattr(value, "protocol"):
                    record.protocol = value.protocol
                    mlflow.set_tag("protocol", value.protocol)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Any) -> None:
        """Logs what the catalog marks as metrics or artifact, and notes model and predictions in `run.json`."""
        import mlflow

        from vidpop_pipelines.fingerprint import hash_test_set

        record = self._records.get(_family(node))
        if record is None:
            return
        kind, run_id = _tracked_as(self._catalog, dataset_name), record.run_id
        if dataset_name == f"{record.family}.model":
            dataset = self._catalog.get(dataset_name)
            if isinstance(dataset, ModelFolderDataset):
                record.model_bytes = dataset.size()
        if dataset_name == f"{record.family}.predictions":
            record.test_fingerprint = hash_test_set(data)
            # Not only at the end: `comparison` reads it in the same run.
            self._save(record)
            if run_id:
                tags = {"test_fingerprint": record.test_fingerprint, "protocol": record.protocol}
                for key, value in tags.items():
                    mlflow.MlflowClient().set_tag(run_id, key, value)
        # By its id: Kedro saves after the node's run has been closed.
        if run_id and kind == "metrics":
            mlflow.log_metrics(data, run_id=run_id)
        if run_id and kind in ("metrics", "artifact"):
            mlflow.log_artifact(str(_path(self._catalog, dataset_name)), run_id=run_id)

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Notes the node's seconds (without loading and saving), and steps back to the pipeline's run."""
        import mlflow

        record = self._records.get(_family(node))
        if record is None:
            return
        record.seconds[node.short_name] = round(time.perf_counter() - self._started[node.name], 3)
        if len(self._records) > 1 and record.run_id:
            mlflow.end_run()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Writes each family's `run.json`: timings, sizes, peak memory, versions, environment."""
        for record in self._records.values():
            self._save(record)

    def _save(self, record: RunRecord) -> None:
        name = f"{record.family}.run"
        if name in self._catalog:
            run = {"environment": self._environment, "git_commit": _git_commit()}
            run["runtime_parameters"] = self._runtime_parameters
            self._catalog.save(name, record.summary() | run)


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
