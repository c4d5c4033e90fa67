"""`kedro run` alone: every family, then the comparison; one MLflow run with one child per family."""

import json

import pandas as pd
import pytest
from families import FAMILIES
from tests_project import create_project


@pytest.mark.slow
def test_bare_run_is_one_run_of_all_families_and_their_comparison(tmp_path):
    project = create_project(tmp_path / "project")
    small = {name: value for family in FAMILIES.values() for name, value in family.parameters.items()}
    given = ",".join(f"{name.replace('__', '.')}={value}" for name, value in small.items())
    project.kedro("run", f"--params={given}")
    reporting = project.path / "data/08_reporting"
    leaderboard = pd.read_csv(reporting / "comparison/leaderboard.csv")
    assert set(leaderboard["family"]) == set(FAMILIES)
    costs = leaderboard.drop_duplicates("family")
    assert costs[["training_seconds", "model_megabytes", "prediction_seconds_per_1000"]].gt(0).all(axis=None)
    assert "left out" not in (reporting / "comparison/leaderboard.md").read_text().split("##")[0]

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vidpop_pipelines")
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert parent.data.metrics == {}
    children = {
        run.info.run_name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert set(children) >= {*FAMILIES, "comparison"}
    for name in FAMILIES:
        metrics = json.loads((reporting / name / "metrics.json").read_text())
        logged = children[name].data.metrics
        assert {key: logged[key] for key in metrics} == pytest.approx(metrics)
        # Runs of folds carry the tags of their family.
        of_run = f"tags.mlflow.parentRunId = '{children[name].info.run_id}'"
        for fold in client.search_runs([experiment.experiment_id], of_run):
            assert fold.data.tags["data_fingerprint"] == children[name].data.tags["data_fingerprint"]
