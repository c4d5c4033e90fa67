"""The MoFA-Lite pipelines from the command line: what a user types, and what stands on the disk afterwards."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mofa_folders import make_arrays, small_parameters, write_folder
from pydantic import ValidationError
from tests_project import create_project

from vidpop_pipelines.datasets.npy import NpyFolderDataset
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.mofa_lite.nodes import validate_forecast_folder
from vidpop_pipelines.pipelines.mofa_lite.serving import MofaService

SMALL = {"mofa_lite__n_folds": 3, "mofa_lite__training__epochs": 2, "mofa_lite__lightgbm__max_rounds": 10}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with 120 videos to train on and 20 to forecast."""
    project = create_project(tmp_path_factory.mktemp("mofa") / "project", share_sample=False)
    folder = project.path / "data/01_raw/sample/mofa"
    write_folder(folder / "train", make_arrays(120), [f"v{row}" for row in range(120)])
    test = make_arrays(20, seed=5)
    del test["popularity_counts"]
    write_folder(folder / "test", test, [f"new{row}" for row in range(20)])
    return project


@pytest.fixture(scope="module")
def trained(project):
    project.run("mofa_lite", **SMALL)
    return project


def read_json(path):
    return json.loads(path.read_text())


def test_training_leaves_everything_that_is_promised(trained):
    reports = trained.path / "data/08_reporting/mofa_lite"
    metrics = read_json(reports / "metrics.json")
    assert {"nmse_views", "nmse_likes", "nmse_comments", "score", "oof_score", "coverage"} <= metrics.keys()
    assert {f"score.{name}" for name in ("network", "lightgbm", "kernel", "ridge", "mean")} <= metrics.keys()
    for name in ("scores", "forecasts", "attention", "history"):
        assert read_json(reports / f"{name}.plotly.json")["data"]
    folds = pd.read_csv(reports / "fold_scores.csv")
    assert set(folds["fold"]) == {"0", "1", "2", "ensemble"}
    assert {"best_epoch", "rows", "forecast", "nmse_likes", "score"} <= set(folds)
    assert list(pd.read_csv(reports / "attention.csv").columns) == [
        "videos",
        "n_videos",
        "audio",
        "image",
        "text",
    ]
    splits = pd.read_parquet(trained.path / "data/05_model_input/mofa_lite/splits.parquet")
    assert splits["fold"].value_counts().loc[-1] == 12 and splits["calibration"].sum() == 18
    report = read_json(reports / "data_report.json")
    assert report["rows_read"] == report["rows_used"] == 120 and len(report["missing"]) == 2
    assert not list((trained.path / "data/06_models/.resume").iterdir())


def test_each_fold_is_a_child_run(trained):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained.path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("vidpop_pipelines").experiment_id])
    (parent,) = [run for run in runs if run.info.run_name == "mofa_lite"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.info.run_name for run in children) == ["fold_0", "fold_1", "fold_2"]
    for run in children:
        assert run.info.status == "FINISHED" and {"best_score", "best_epoch"} <= run.data.metrics.keys()
        assert len(client.get_metric_history(run.info.run_id, "validation_score")) == 2
    assert {
        "sha256.mofa.train",
        "runtime.mofa_lite.n_folds",
        "mofa_lite.n_folds",
    } <= parent.data.params.keys()
    assert "score" in parent.data.metrics


def test_forecast_as_parquet_and_as_array_in_the_order_of_the_files(trained, tmp_path):
    trained.run("mofa_lite_predict")
    output = trained.path / "data/07_model_output/mofa_lite"
    forecast = pd.read_parquet(output / "forecast.parquet")
    array = np.load(output / "predictions.npy", allow_pickle=False)
    assert array.shape == (20, 3) and "y_true" not in forecast
    wide = forecast.pivot(index="video_id", columns="target", values="y_pred")
    wide = wide.loc[[f"new{row}" for row in range(20)], ["views", "likes", "comments"]]
    np.testing.assert_allclose(array, wide, rtol=1e-6)
    report = read_json(trained.path / "data/08_reporting/mofa_lite_predict/data_report.json")
    assert [(entry["column"], entry["count"]) for entry in report["missing"]] == [("image", 1), ("text", 1)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda test: test["text_features"][:, :2], "text_features.npy: 2 columns"),
        (lambda test: None, "no file text_features.npy"),
    ],
)
def test_features_that_the_model_was_not_trained_on_are_refused(tmp_path, make, message):
    test = make_arrays(10)
    test["text_features"] = make(test)
    folder = write_folder(tmp_path, {name: array for name, array in test.items() if array is not None})
    forecaster = SimpleNamespace(widths={"audio": 3, "image": 6, "text": 5})
    with pytest.raises(InputError, match=message):
        validate_forecast_folder(NpyFolderDataset(str(folder), ["*.npy"]).load(), forecaster)


def test_served_model_answers_and_refuses(trained):
    """The service itself; over HTTP it is asked by the contract tests."""
    model = MofaService()
    folder = trained.path / "data/06_models/mofa_lite"
    model.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    arrays = make_arrays(6)
    video = {
        name: arrays[f"{name}_features"][0].astype(float).tolist() for name in ("audio", "image", "text")
    }
    whole = model.predict(None, pd.DataFrame([{"video_id": "a"} | video]))
    assert whole["target"].tolist() == ["views", "likes", "comments"]
    assert (whole["lower"] < whole["y_pred"]).all() and (whole["y_pred"] < whole["upper"]).all()
    part = model.predict(None, pd.DataFrame([{"image": video["image"]}]))
    assert part["video_id"].tolist() == ["video 0"] * 3
    assert not np.allclose(part["y_pred"], whole["y_pred"])
    for change, field in (
        ({"text": [1.0]}, "text"),
        ({"image": [1.0] * 5 + [np.inf]}, "image"),
        ({"audio": "loud"}, "audio"),
    ):
        with pytest.raises(MlflowException) as error:
            model.predict(None, pd.DataFrame([video | change]))
        assert error.value.error_code == "INVALID_PARAMETER_VALUE" and field in str(error.value)


def test_analysis_writes_tables_and_figures(project, tmp_path):
    project.run("mofa_lite_analysis", output=tmp_path)
    reports = tmp_path / "08_reporting/mofa_lite_analysis"
    assert len(list(reports.glob("*.plotly.json"))) == 8
    assert pd.read_csv(reports / "modalities.csv")["modality"].tolist() == ["audio", "image", "text"]
    assert "Drift between train and test" in (reports / "report.html").read_text()


@pytest.mark.slow
def test_published_recipe_runs_in_small(project, tmp_path):
    project.run("mofa_lite", env="paper", output=tmp_path, mofa_lite__hold_out=0.2, **SMALL)
    predictions = pd.read_parquet(tmp_path / "07_model_output/mofa_lite/predictions.parquet")
    np.testing.assert_array_equal(predictions["y_pred"], predictions["y_pred_network"])
    assert predictions["lower"].isna().all() and "y_pred_kernel" not in predictions
    config = read_json(tmp_path / "06_models/mofa_lite/config.json")
    network = config["folds"]["0"]["network"]
    assert network["modality_sizes"] == [3, 6, 5] and network.get("hidden_size", 512) == 512
    assert config["folds"]["0"]["preprocessing"]["image"] == ["l2", "standardise"]


def test_wrong_folder_is_a_plain_error_before_any_work(project, tmp_path):
    result = project.run("mofa_lite", output=tmp_path / "out", check=False, mofa__train="absent")
    assert result.returncode and "absent does not exist" in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "out/06_models/mofa_lite").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blend": "lightgbm+svm"}, "unknown member svm; known are lightgbm, kernel, ridge"),
        ({"targets": "views+views"}, "different names"),
        ({"hold_out": 0.6, "calibration": 0.4}, "leave no rows to train on"),
        ({"network": {"fusion_sizes": [8, 8]}, "n_folds": 2}, "greater than or equal to 3"),
        ({"network": {"fusion_sizes": [8, 8, 8]}}, "one number for each of fusion_sizes"),
        ({"preprocessing": {"default": ["whiten"]}}, "rank_gauss"),
    ],
)
def test_wrong_parameters_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        small_parameters(**change)
