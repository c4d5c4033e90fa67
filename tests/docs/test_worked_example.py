"""The worked example of docs/architecture.md: a family that nothing else knows of, tracked and compared."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import planted
import pytest
from documentation import apply_blocks, worked_example
from tests_project import ROOT, Project, create_project

NAME = "category_mean"


@pytest.fixture(scope="module")
def extended_project(tmp_path_factory) -> Project:
    """A project with the family of the document and with planted predictions of `ensemble`, after a run."""
    project = create_project(tmp_path_factory.mktemp("example") / "project")
    package = project.path / "src/vidpop_pipelines"
    shutil.copytree(ROOT / "src/vidpop_pipelines", package, ignore=shutil.ignore_patterns("__pycache__"))
    apply_blocks(worked_example(), project.path)
    planted.write_run(project.path / "data", "ensemble", planted.views_table(planted.noise(1, 0.2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(project.path / "src")]))
        # One run of both: the comparison waits for the family, whatever the order on the command line.
        project.kedro("run", f"--pipelines=comparison,{NAME}")
    return project


@pytest.fixture(scope="module")
def compared(extended_project) -> pd.Series:
    """The family's row of the leaderboard."""
    leaderboard = pd.read_csv(extended_project.path / "data/08_reporting/comparison/leaderboard.csv")
    return leaderboard.query(f"family == '{NAME}'").iloc[0]


def test_example_is_short_and_touches_its_folder_its_configuration_and_the_registries_only():
    blocks = worked_example()
    assert sum(bool(line.strip()) for block in blocks for line in block.text.splitlines()) < 100
    changed = {block.comment for block in blocks if block.comment.startswith("change: ")}
    assert changed == {
        f"change: src/vidpop_pipelines/{name}.py" for name in ("pipeline_registry", "parameters")
    }
    files = [block.comment.removeprefix("file: ") for block in blocks if block.comment.startswith("file: ")]
    assert all(NAME in path for path in files)


def test_family_is_compared(extended_project, compared):
    assert (compared["task"], compared["n_videos"], compared["protocol"]) == ("views", 80, "honest")
    assert compared["training_seconds"] >= 0 and compared["model_megabytes"] > 0
    assert compared["prediction_seconds_per_1000"] >= 0
    metrics = json.loads((extended_project.path / f"data/08_reporting/{NAME}/metrics.json").read_text())
    assert metrics["log_mae"] < metrics["log_mae.mean"]
    assert compared["log_mae"] == pytest.approx(metrics["log_mae"])


def test_parameter_of_the_family_is_checked(extended_project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(extended_project.path / "src"))
    result = extended_project.run(NAME, check=False, category_mean__prior_video=3)
    assert result.returncode and f"did you mean '{NAME}.prior_videos'?" in result.stderr


def test_family_is_tracked(extended_project, compared):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{extended_project.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vidpop_pipelines")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {NAME, "comparison"} < set(runs)
    tags = runs[NAME].data.tags
    assert (tags["family"], tags["protocol"], tags["environment"]) == (NAME, "honest", "base")
    assert tags["data_fingerprint"] == compared["data_fingerprint"]
    assert tags["test_fingerprint"] == compared["test_fingerprint"]
    assert "git_commit" in tags
    inputs = [given.dataset for given in runs[NAME].inputs.dataset_inputs]
    assert [given.name for given in inputs] == ["tabular.csv"]
    params = runs[NAME].data.params
    assert params["sha256.tabular.csv"].startswith(inputs[0].digest)
    assert float(params[f"{NAME}.prior_videos"]) == 5
    assert runs["comparison"].data.metrics == {}
    artifacts = {one.path for one in client.list_artifacts(runs["comparison"].info.run_id)}
    assert {"leaderboard.csv", "leaderboard.md", "report.html"} <= artifacts


def test_test_of_the_example_passes(extended_project):
    tests = extended_project.path / "tests/pipelines" / NAME
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=extended_project.path,
        env=os.environ | {"PYTHONPATH": str(extended_project.path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
