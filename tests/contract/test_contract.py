"""What every family must satisfy (the contracts of the project), on one small run of each."""

import json

import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.evaluation.predictions import validate_forecast, validate_predictions

PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def test_predictions_keep_the_contract(run):
    predictions = validate_predictions(run.predictions)
    assert set(predictions["split"]) == {"val", "test"}
    assert predictions["y_pred"].notna().all()


def test_metrics_are_flat_numbers_recomputable_from_predictions(run):
    metrics = run.read_json("metrics.json")
    assert all(isinstance(value, float | int) and np.isfinite(value) for value in metrics.values())
    recomputed = run.family.recompute(run.predictions)
    assert recomputed.keys() == metrics.keys()
    for name, value in recomputed.items():
        assert metrics[name] == pytest.approx(value, abs=1e-5), name
    assert {"coverage", "interval_width"} <= set(metrics)


def test_forecast_stands_beside_a_trivial_and_a_strong_baseline(run):
    columns = set(run.predictions.columns)
    assert run.family.strong <= columns
    assert run.family.trivial & columns


def test_model_folder_holds_config_and_safetensors_but_no_pickle(run):
    files = [path for path in run.model_folder.rglob("*") if path.is_file()]
    names = {path.relative_to(run.model_folder).as_posix() for path in files}
    assert "config.json" in names
    assert any(name.endswith(".safetensors") and "/" not in name for name in names)
    assert not [path for path in files if path.read_bytes()[:2] in PICKLE_MAGIC]
    assert not (run.model_folder.parent / ".resume" / run.name).exists()


def test_nothing_delivered_is_a_pickle(run):
    suspicious = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}
    allowed = {"keys.bin"}  # digests of the embedding cache, plain bytes
    folders = [run.project.path / "data", run.project.path / "mlruns"]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in suspicious]
    assert [path for path in found if path.name not in allowed] == []


def test_data_report_accounts_for_every_row(run):
    report = run.read_json("data_report.json")
    left_out = sum(entry["count"] for entry in report["left_out"])
    assert report["rows_read"] == report["rows_used"] + left_out == run.family.rows_read
    for entry in report["left_out"] + report["missing"]:
        assert entry["count"] == len(entry["video_ids"]) and entry["column"] and entry["reason"]


def test_run_json_names_versions_and_seconds(run):
    summary = run.read_json("run.json")
    assert summary["versions"]["torch"] and summary["total_seconds"] > 0


def test_figures_are_plotly_json(run):
    figures = [json.loads(path.read_text()) for path in run.reporting.glob("*.plotly.json")]
    assert len(figures) >= 3
    assert all(figure["data"] and figure["layout"]["title"]["text"] for figure in figures)


def test_mlflow_run_has_parameters_metrics_history_and_artifacts(run):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.project.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("vidpop_pipelines")
    runs = client.search_runs([experiment.experiment_id], f"tags.mlflow.runName = '{run.name}'")
    assert len(runs) == 1
    logged = runs[0]
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics.keys() >= run.read_json("metrics.json").keys()
    assert run.family.logged <= logged.data.params.keys()
    if run.family.history:
        metric, n_epochs = run.family.history
        of_run = f"tags.mlflow.parentRunId = '{logged.info.run_id}'"
        for one in client.search_runs([experiment.experiment_id], of_run) or [logged]:
            assert len(client.get_metric_history(one.info.run_id, metric)) == n_epochs
    artifacts = {artifact.path for artifact in client.list_artifacts(logged.info.run_id)}
    assert {"metrics.json", "data_report.json", "report.html"} | run.family.artifacts <= artifacts
    version = client.get_model_version(run.name, "1")
    assert version.run_id == logged.info.run_id


def test_registered_version_carries_its_model_card_and_where_it_comes_from(run):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.project.path / 'mlflow.db'}")
    version = client.get_model_version(run.name, "1")
    card = (run.reporting / "model_card.md").read_text()
    assert card.startswith(f"# {run.name}, version 1") and "## Limits" in card
    # Long descriptions are cut.
    assert version.description[:1000] == card[:1000]
    files = client.list_logged_model_artifacts(version.source.removeprefix("models:/"))
    assert "model_card.md" in {file.path for file in files}

    logged, summary = client.get_run(version.run_id), run.read_json("run.json")
    for tag in ("protocol", "data_fingerprint", "test_fingerprint", "environment", "git_commit"):
        assert version.tags[tag] == logged.data.tags[tag] == summary[tag], tag
    assert version.tags["family"] == logged.data.tags["family"] == run.name
    names = {given.dataset.name for given in logged.inputs.dataset_inputs}
    assert names == set(summary["inputs"]) and names
    assert summary["training_seconds"] > 0 and summary["model_bytes"] > 0


def test_forecast_round_trip_equals_the_predictions(run):
    """Forecasting the training table gives, for test videos, what the run predicted for them."""
    run.project.run(f"{run.name}_predict", **run.family.forecast_parameters)
    path = run.project.path / "data/07_model_output" / run.name / "forecast.parquet"
    forecast = validate_forecast(pd.read_parquet(path))
    test = run.predictions.query("split == 'test'")
    joined = test.merge(forecast, on=["video_id", "target", "step"], suffixes=("", "_again"))
    assert len(joined) == len(test)
    for column in ("y_pred", "lower", "upper"):
        np.testing.assert_allclose(joined[column], joined[f"{column}_again"], rtol=run.family.rtol, atol=1e-4)
