"""The comparison from the command line, on planted runs; and a family that nobody else knows of."""

import json
import os
import shutil

import pandas as pd
import planted
import pytest
from families import FAMILIES
from tests_project import ROOT, Project, create_project


@pytest.fixture
def bare_project(tmp_path) -> Project:
    return create_project(tmp_path / "project", share_sample=False)


def test_planted_runs_become_one_leaderboard(bare_project):
    data = bare_project.path / "data"
    planted.write_run(data, "ensemble", planted.views_table(planted.noise(1, 0.2)), model_bytes=2_000_000)
    planted.write_run(data, "smtpd_ep", planted.curve_table(planted.noise(2, 0.9)))
    result = bare_project.run("comparison")
    assert "Replacing dataset" not in result.stderr

    folder = data / "08_reporting/comparison"
    leaderboard = pd.read_csv(folder / "leaderboard.csv")
    best = leaderboard.query("view == 'shared test videos' and task == 'views' and rank == 1").iloc[0]
    assert best["family"] == "ensemble" and best["log_mae"] == pytest.approx(0.2)
    assert best["model_megabytes"] == 2 and best["training_seconds"] == 12.5
    assert pd.read_csv(folder / "differences.csv")["told_apart"].all()
    figures = [json.loads(path.read_text()) for path in folder.glob("*.plotly.json")]
    assert len(figures) == 4 and all(figure["data"] and figure["layout"]["title"] for figure in figures)

    report, markdown = (folder / "report.html").read_text(), (folder / "leaderboard.md").read_text()
    assert "<script src=" not in report and "plotly" in report
    absent = ", ".join(name for name in FAMILIES if name not in ("ensemble", "smtpd_ep"))
    for text in (report, markdown):
        assert f"Not run, and left out: {absent}" in text
        assert "kedro run --pipeline=multitask" in text
    assert "| 1 | ensemble | 60 | 0.2000 |" in markdown


def test_without_any_run_it_says_what_to_run(bare_project):
    nothing = bare_project.run("comparison", check=False)
    assert nothing.returncode and "no family has been run" in nothing.stderr
    assert "Traceback" not in nothing.stderr


TOY = '''
import json
from pathlib import Path

import numpy as np
import pandas as pd
from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.evaluation.data_report import build_data_report, list_problems
from vidpop_pipelines.evaluation.predictions import build_predictions
from vidpop_pipelines.evaluation.regression import regression_metrics


class Toy:
    """Knows the mean of log views by category."""

    def __init__(self, means, rest):
        self.means, self.rest = means, rest

    def save(self, folder):
        (folder / "config.json").write_text(json.dumps([self.means, self.rest]))

    @classmethod
    def load(cls, folder):
        return cls(*json.loads((folder / "config.json").read_text()))


def train(table, splits):
    old = table[table["video_id"].map(dict(zip(splits["video_id"], splits["fold"]))) != 0]
    log_views = np.log1p(old["views"].astype(float))
    return Toy(log_views.groupby(old["categories"]).mean().to_dict(), float(log_views.mean()))


def predict(model, table, splits):
    new = table[table["video_id"].map(dict(zip(splits["video_id"], splits["fold"]))) == 0]
    forecast = np.expm1(new["categories"].map(model.means).fillna(model.rest).to_numpy(float))
    return build_predictions(
        new["video_id"].to_numpy(), forecast[:, None], target="views", steps=[0], split="test", fold=0,
        y_true=new[["views"]].to_numpy(float), dtype=np.float64,
    )


def evaluate(predictions):
    return regression_metrics(predictions, target="views")


def report(table):
    return build_data_report({"rows_read": len(table)}, table, list_problems(table["video_id"][:0], "", ""))


def create_pipeline():
    return Pipeline(
        [
            Node(train, ["table", "given_splits"], "model", name="train"),
            Node(predict, ["model", "table", "given_splits"], "predictions", name="predict"),
            Node(evaluate, "predictions", "metrics", name="evaluate"),
            Node(report, "table", "data_report", name="report"),
        ],
        namespace="toy",
        inputs={"table": "tabular.csv", "given_splits": "tabular.given_splits"},
    )
'''
TOY_CATALOG = """
toy.model:
  type: vidpop_pipelines.datasets.folder.ModelFolderDataset
  filepath: ${runtime_params:output,${globals:output}}/06_models/toy
  model: vidpop_pipelines.pipelines.toy.pipeline.Toy
"""


@pytest.fixture
def toy_project(tmp_path) -> Project:
    """A project with a further family: a folder, a catalog file, and its line in the registry; nothing else."""
    project = create_project(tmp_path / "project")
    package = project.path / "src/vidpop_pipelines"
    shutil.copytree(ROOT / "src/vidpop_pipelines", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "pipelines/toy").mkdir()
    (package / "pipelines/toy/__init__.py").write_text("")
    (package / "pipelines/toy/pipeline.py").write_text(TOY)
    (project.path / "conf/base/catalog/toy.yml").write_text(TOY_CATALOG)
    registry = package / "pipeline_registry.py"
    for after, line in {
        "from kedro.pipeline import Pipeline\n": "from vidpop_pipelines.pipelines.toy import pipeline as toy\n",
        "    families = {\n": '        "toy": toy.create_pipeline(),\n',
    }.items():
        assert after in registry.read_text()
        registry.write_text(registry.read_text().replace(after, after + line))
    return project


def test_toy_family_is_tracked_and_compared(toy_project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(toy_project.path / "src")]))
    planted.write_run(toy_project.path / "data", "ensemble", planted.views_table(planted.noise(1, 0.2)))
    # One run of both: the comparison waits for the family, whatever the order on the command line.
    toy_project.kedro("run", "--pipelines=comparison,toy")
    leaderboard = pd.read_csv(toy_project.path / "data/08_reporting/comparison/leaderboard.csv")
    toy = leaderboard.query("family == 'toy'").iloc[0]
    assert (toy["task"], toy["n_videos"], toy["protocol"]) == ("views", 80, "honest")
    assert toy["log_mae"] < 3 and toy["training_seconds"] >= 0 and toy["model_megabytes"] > 0
    assert toy["prediction_seconds_per_1000"] >= 0

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{toy_project.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vidpop_pipelines")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {"toy", "comparison"} < set(runs)
    tags = runs["toy"].data.tags
    assert (tags["family"], tags["protocol"], tags["environment"]) == ("toy", "honest", "base")
    assert tags["data_fingerprint"] == toy["data_fingerprint"]
    assert tags["test_fingerprint"] == toy["test_fingerprint"]
    assert "git_commit" in tags
    inputs = [given.dataset for given in runs["toy"].inputs.dataset_inputs]
    assert [given.name for given in inputs] == ["tabular.csv"]
    assert runs["toy"].data.params["sha256.tabular.csv"].startswith(inputs[0].digest)
    assert runs["comparison"].data.metrics == {}
    artifacts = {one.path for one in client.list_artifacts(runs["comparison"].info.run_id)}
    assert {"leaderboard.csv", "leaderboard.md", "report.html"} <= artifacts
