import json
import math
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests_project import ROOT, Project, create_project

from vidpop_pipelines import predict_performance
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.tabular import trained
from vidpop_pipelines.pipelines.tabular.features import TableFeatures
from vidpop_pipelines.pipelines.tabular.table import TableOptions, validate_videos

VIDEO = {
    "title": "Amazing makeup tutorial for beginners",
    "tags": ["makeup", "tutorial"],
    "categories": ["Lifestyle", "Fashion"],
    "duration_seconds": 600,
    "channel_avg_views": 50_000,
    "channel_video_count": 25,
    "published_at": "2025-01-31T18:30:00+00:00",
}
FAST = {
    "compute.n_jobs": 1,
    "ensemble.learners": "xgboost",
    "ensemble.presets.fast.xgboost.n_estimators": 20,
    "multitask.training.epochs": 2,
    "multitask.network.n_networks": 1,
    "multitask.catboost.iterations": 20,
}


@pytest.fixture(scope="module")
def trained_project(tmp_path_factory) -> Project:
    """A project with both models, and version 1 of the ensemble in its MLflow store; reports are left out."""
    project = create_project(tmp_path_factory.mktemp("predict") / "project")
    parameters = ",".join(f"{name}={value}" for name, value in FAST.items())
    wanted = "ensemble.model,ensemble.registered_model,multitask.model"
    pipelines = "--pipelines=ensemble,multitask"
    project.kedro("run", pipelines, f"--params={parameters}", f"--to-outputs={wanted}")
    return project


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def models(project: Project) -> Path:
    return project.path / "data" / "06_models"


def test_ensemble_within_the_project(trained_project, monkeypatch):
    monkeypatch.chdir(trained_project.path / "data" / "06_models")
    answer = predict_performance(**VIDEO)
    assert 0 <= answer["lower"] <= answer["predicted_views"] <= answer["upper"]
    assert answer["interval_coverage"] == 0.9
    assert answer["published_at"] == VIDEO["published_at"] and answer["age_hours"] == 720.0
    assert "like_ratio" not in answer and "untrained_targets" not in answer
    assert json.loads(json.dumps(answer)) == answer


def test_deep_learning_outside_the_project(trained_project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = predict_performance(**VIDEO, model_type="deep_learning", project_path=trained_project.path)
    assert 0 <= answer["lower"] <= answer["predicted_views"] <= answer["upper"]
    assert 0 < answer["like_ratio"] < 1
    assert answer["time_to_peak_days"] >= 1 and math.isfinite(answer["decay_rate"])
    probabilities = answer["lifecycle_stage_probabilities"]
    assert list(probabilities) == ["growth", "peak", "decay"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert answer["lifecycle_stage"] == max(probabilities, key=probabilities.get)
    assert answer["untrained_targets"] == []
    assert json.loads(json.dumps(answer)) == answer


def test_every_way_to_name_a_model_gives_the_same_answer(trained_project, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    project = trained_project.path
    store = f"sqlite:///{project / 'mlflow.db'}"
    expected = predict_performance(**VIDEO, project_path=str(project))
    assert predict_performance(**VIDEO, model=models(trained_project) / "ensemble") == expected
    assert predict_performance(**VIDEO, model=str(models(trained_project) / "ensemble")) == expected
    assert predict_performance(**VIDEO, project_path=project, output=project / "data") == expected
    for version in (1, "1", "models:/ensemble/1"):
        assert predict_performance(**VIDEO, model=version, project_path=project) == expected
    MlflowClient(store).set_registered_model_alias("ensemble", "champion", "1")
    assert predict_performance(**VIDEO, model="models:/ensemble@champion", project_path=project) == expected
    version = MlflowClient(store).get_model_version("ensemble", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    for uri in ("models:/ensemble/1", version.source, f"runs:/{version.run_id}/ensemble"):
        assert predict_performance(**VIDEO, model=uri) == expected
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_forecast_equals_that_of_the_table_pipeline(trained_project, tmp_path):
    """The same video in a table, forecast by `ensemble_predict`."""
    cells = {name: "|".join(value) if isinstance(value, list) else value for name, value in VIDEO.items()}
    table = tmp_path / "new.csv"
    pd.DataFrame([cells | {"video_id": "a", "age_hours": 720}]).to_csv(table, index=False)
    trained_project.run("ensemble_predict", tabular__csv=table)
    path = trained_project.path / "data" / "07_model_output" / "ensemble" / "forecast.parquet"
    (row,) = pd.read_parquet(path).to_dict("records")
    answer = predict_performance(**VIDEO, project_path=trained_project.path)
    found = [answer["predicted_views"], answer["lower"], answer["upper"]]
    assert found == pytest.approx([row["y_pred"], row["lower"], row["upper"]])


def test_a_model_is_read_once_and_again_when_it_has_changed(trained_project, tmp_path):
    folder = shutil.copytree(models(trained_project) / "ensemble", tmp_path / "model")
    first = trained.load_trained("ensemble", folder, None, None)
    assert trained.load_trained("ensemble", str(folder), None, None) is first
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intervals": None}))
    answer = predict_performance(**VIDEO, model=folder)
    assert answer["lower"] is None and answer["upper"] is None and answer["interval_coverage"] is None
    assert (
        answer["predicted_views"]
        == predict_performance(**VIDEO, project_path=trained_project.path)["predicted_views"]
    )


def test_what_was_assumed_is_said(trained_project):
    before = pd.Timestamp.now("UTC")
    answer = predict_performance(title="a", project_path=trained_project.path)
    assert before <= pd.Timestamp(answer["published_at"]) <= pd.Timestamp.now("UTC")
    given = predict_performance(
        title="a", age_hours=24, published_at=datetime(2025, 1, 31), project_path=trained_project.path
    )
    assert given["published_at"] == "2025-01-31T00:00:00+00:00" and given["age_hours"] == 24


def test_arguments_that_the_model_has_no_feature_for_are_named(trained_project):
    # The sample has neither of these columns, nor the age at which views were read.
    answer = predict_performance(
        **VIDEO,
        definition="hd",
        language="en",
        age_hours=24,
        subscribers=5,
        project_path=trained_project.path,
    )
    assert answer["unused_inputs"] == ["age_hours", "definition", "language"]


def test_unread_fields_follow_from_the_training_table():
    n_videos = 60
    random = np.random.default_rng(0)
    raw = pd.DataFrame(
        {
            "video_id": [f"v{row}" for row in range(n_videos)],
            "title": [f"title {'x' * (row % 7)}" for row in range(n_videos)],
            "published_at": [f"2024-01-{row % 28 + 1:02d}T{row % 24:02d}:00:00Z" for row in range(n_videos)],
            "channel_id": [f"c{row % 5}" for row in range(n_videos)],
            "num_tags": random.integers(0, 9, n_videos),
            "language": [("en", "de")[row % 2] for row in range(n_videos)],
            "caption": "false",
            "views": random.integers(1, 10**6, n_videos),
        },
        index=range(1, n_videos + 1),
    ).astype("str")
    videos, _, _ = validate_videos(raw, TableOptions())
    unread = trained.find_unread_fields(TableFeatures.fit(videos, n_components=2, seed=0))
    # A tag list is read, by its length; `caption` is the same in all videos, so that nothing is learned from it.
    read = {"title", "published_at", "channel_id", "num_tags", "tags", "language"}
    assert set(unread) == set(trained.FIELDS) - read - {"video_id"}


def test_untrained_targets_are_none_and_named():
    row = {"video_id": "a", "predicted_views": 10.0, "lower": 1.0, "upper": 100.0}
    row |= {"like_ratio": 0.1, "time_to_peak_days": np.nan, "decay_rate": np.nan, "lifecycle_stage": None}
    row |= {f"lifecycle_stage={stage}": np.nan for stage in ("growth", "peak", "decay")}
    model = SimpleNamespace(answer=lambda videos: pd.DataFrame([row]), interval_coverage=0.8)
    answer = trained.TrainedModel(model, frozenset()).answer(
        trained.read_arguments({"title": "a"}), ["title"]
    )
    assert answer["untrained_targets"] == ["time_to_peak_days", "decay_rate", "lifecycle_stage"]
    assert answer["like_ratio"] == 0.1 and answer["interval_coverage"] == 0.8
    names = ("time_to_peak_days", "decay_rate", "lifecycle_stage", "lifecycle_stage_probabilities")
    assert [answer[name] for name in names] == [None] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration_seconds": -1}, "field 'duration_seconds': got -1"),
        ({"published_at": "31/01/2025"}, "field 'published_at'"),
        ({"channel_created_at": 2020}, "field 'channel_created_at'"),
        ({"tags": "makeup"}, r"a list, for example \['makeup'\]"),
        ({"categories": "Music|Food"}, "categories is the text 'Music|Food'"),
        ({"model_type": "boosting"}, "one of ensemble, deep_learning"),
        ({"model": 7}, "models:/ensemble/7: .*not found"),
        ({"model": "models:/ensemble@nobody"}, "nobody"),
        ({"model": "models:/unheard-of/1"}, "unheard-of"),
        ({"output": "elsewhere"}, "kedro run --pipeline=ensemble"),
        ({"project_path": ROOT / "tests"}, "no Kedro project"),
        ({"model": ROOT / "tests"}, "no trained model"),
    ],
)
def test_errors_say_what_is_wrong(trained_project, arguments, message):
    with pytest.raises(InputError, match=message):
        predict_performance(**{"title": "a", "project_path": trained_project.path} | arguments)


def test_a_model_of_another_type_is_refused(trained_project, tmp_path):
    with pytest.raises(InputError, match=r"type 'multitask'(.|\n)*model_type='deep_learning'"):
        predict_performance(title="a", model=models(trained_project) / "multitask")
    (tmp_path / "config.json").write_text('{"model_type": "smtpd_forecaster"}')
    with pytest.raises(InputError, match="type 'smtpd_forecaster'"):
        predict_performance(title="a", model=tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not the configuration of a model"):
        predict_performance(title="a", model=tmp_path)


def test_no_project_and_no_store_are_errors(trained_project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not within a Kedro project"):
        predict_performance(title="a")
    empty = create_project(tmp_path / "empty")
    with pytest.raises(InputError, match=r"mlflow\.db does not exist"):
        predict_performance(title="a", model=1, project_path=empty.path)
    with pytest.raises(InputError, match="kedro run --pipeline=multitask"):
        predict_performance(title="a", model_type="deep_learning", project_path=empty.path)
    assert not (empty.path / "mlflow.db").exists()


def test_importing_the_function_imports_nothing_heavy():
    heavy = ("torch", "mlflow", "kedro", "sklearn", "pandas")
    code = f"from vidpop_pipelines import predict_performance; import sys; print(set({heavy}) & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
