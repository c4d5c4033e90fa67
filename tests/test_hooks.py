"""What happens around every run, in projects of its own."""

import subprocess

from mlflow import MlflowClient


def test_runs_are_kept_in_the_project_wherever_in_it_kedro_was_started(project):
    folder = project.path / "notebooks"
    folder.mkdir()
    command = project.command("run", "--pipelines=promote", "--params=promote.family=ensemble")
    result = subprocess.run(
        command, cwd=folder, env=project.environment(), capture_output=True, text=True, check=False
    )
    assert "no version latest of a model ensemble" in result.stderr
    assert not any(folder.iterdir())
    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vidpop_pipelines")
    assert experiment.artifact_location.startswith(str(project.path / "mlruns"))
