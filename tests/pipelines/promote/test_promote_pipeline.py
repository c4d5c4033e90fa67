"""The alias `champion` in a real MLflow store, moved from the command line and by nothing else."""

import json

import mlflow
import pytest
from tests_project import create_project

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.registry import champion_version, read_version, set_champion

TAGS = {"data_fingerprint": "d" * 64, "test_fingerprint": "t" * 64, "protocol": "honest"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose MLflow store has two versions of `ensemble`, the second one better."""
    project = create_project(tmp_path / "project", share_sample=False)
    uri = f"sqlite:///{project.path / 'mlflow.db'}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("vidpop_pipelines", str(project.path / "mlruns"))
    client.create_registered_model("ensemble")
    for log_mae in (0.5, 0.4):
        run = client.create_run(experiment, tags=TAGS)
        client.log_metric(run.info.run_id, "log_mae", log_mae)
        client.create_model_version("ensemble", str(project.path), run.info.run_id)
    yield project
    mlflow.set_tracking_uri(before)


def test_command_moves_the_alias_only_to_the_better_version(project):
    def promote(**rule) -> dict:
        result = project.run("promote", promote__family="ensemble", **rule)
        promotion = json.loads((project.path / "data/08_reporting/promote/promotion.json").read_text())
        assert promotion["reason"][1:] in result.stderr
        return promotion

    assert champion_version("ensemble") is None
    assert promote()["promoted"] and champion_version("ensemble") == "2"
    worse = promote(promote__version=1)
    assert not worse["promoted"] and worse["improvement"] == pytest.approx(-0.1)
    assert champion_version("ensemble") == "2"
    version = mlflow.MlflowClient().get_model_version("ensemble", "2")
    assert "there was none" in version.tags["promoted_because"]


def test_store_is_read_and_what_it_lacks_is_named(project):
    latest = read_version("ensemble", "latest")
    assert (latest.number, latest.metrics["log_mae"]) == ("2", 0.4)
    assert latest.tags["protocol"] == "honest"
    set_champion("ensemble", "1", "by hand")
    assert champion_version("ensemble") == "1" and champion_version("nobody") is None
    with pytest.raises(InputError, match="versions 1, 2"):
        read_version("ensemble", 7)
    with pytest.raises(InputError, match="kedro run --pipeline=nobody"):
        read_version("nobody", "latest")
