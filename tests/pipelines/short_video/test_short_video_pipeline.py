"""The short-video pipelines from the command line: what a user types, and what stands on the disk afterwards."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from short_video_inputs import ARCHITECTURES, frame_options
from tests_project import create_project

from vidpop_pipelines.pipelines.short_video.tiny_models import build_tiny_model

N_VIDEOS = 60


@pytest.fixture(scope="module")
def small_project(tmp_path_factory):
    """A project with a sample of 60 videos."""
    project = create_project(tmp_path_factory.mktemp("small") / "project", share_sample=False)
    project.run("sample_data", sample__videos=N_VIDEOS)
    return project


@pytest.fixture(scope="module")
def table(small_project) -> pd.DataFrame:
    return pd.read_csv(small_project.path / "data/01_raw/sample/short_video.csv")


def reasons(folder, pipeline):
    report = json.loads((folder / "08_reporting" / pipeline / "data_report.json").read_text())
    return {video: entry["reason"] for entry in report["left_out"] for video in entry["video_ids"]}


@pytest.mark.slow
def test_published_recipe_runs_with_a_local_backbone_and_scores_new_videos(small_project, table, tmp_path):
    """`--env=paper`, but for the backbone: a folder as `save_pretrained` writes it, of another size."""
    backbone = build_tiny_model("smolvlm2", frame_options("smolvlm2"), 3, tmp_path / "backbones")
    given = {
        "smolvlm2__backbone__model": backbone,
        "smolvlm2__frames__size": 32,
        "smolvlm2__frames__n_frames": 4,
        "smolvlm2__training__epochs": 1,
        "smolvlm2__training__n_data_workers": 0,
        "short_video__metric": "views",
    }
    small_project.run("smolvlm2", env="paper", output=tmp_path, **given)
    config = json.loads((tmp_path / "06_models/smolvlm2/config.json").read_text())
    assert config["backbone"]["model"] == str(backbone) and config["backbone"]["quantization"] == "nf4"
    assert not (tmp_path / "06_models/smolvlm2/backbone").exists()
    adapters = load_file(tmp_path / "06_models/smolvlm2/adapter_model.safetensors")
    assert {array.shape[0] for name, array in adapters.items() if "lora_A" in name} == {8}
    assert any("score" in name for name in adapters)

    predictions = pd.read_parquet(tmp_path / "07_model_output/smolvlm2/predictions.parquet")
    labels = pd.read_parquet(tmp_path / "05_model_input/smolvlm2/labels.parquet")
    test = predictions.query("split == 'test'")
    scored = test.query("target == 'metric'").set_index("video_id")
    labelled = test.query("target == 'popular'").set_index("video_id")
    in_test = labels[labels["test"]].set_index("video_id")
    # All test videos are scored, those between the thresholds too; only the others have a label.
    assert set(scored.index) == set(in_test.index) and in_test["label"].isna().any()
    assert set(labelled.index) == set(in_test.index[in_test["label"].notna()])
    np.testing.assert_array_equal(scored["y_true"], in_test.loc[scored.index, "metric"])
    np.testing.assert_array_equal(labelled["y_true"], in_test.loc[labelled.index, "label"])
    assert predictions["y_pred"].between(0, 1).all() and scored["y_true"].max() > 100

    new = table.iloc[20:26][["video_path"]]
    new.loc[len(table)] = "absent.mp4"
    new.to_csv(tmp_path / "new.csv", index=False)
    small_project.run("smolvlm2_predict", output=tmp_path, short_video__csv=tmp_path / "new.csv")
    forecast = pd.read_parquet(tmp_path / "07_model_output/smolvlm2/forecast.parquet")
    assert "y_true" not in forecast and set(forecast["target"]) == {"popular", "metric"}
    assert forecast["video_id"].nunique() == 6
    assert reasons(tmp_path, "smolvlm2_predict") == {"absent": "file not found"}


def test_forecast_without_a_model_says_how_to_get_one(project, tmp_path):
    result = project.run("timesformer_predict", output=tmp_path, check=False)
    assert result.returncode and "no trained model" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"short_video__cvs": "x"}, "unknown parameter 'short_video.cvs'; did you mean 'short_video.csv'?"),
        ({"timesformer__backbone__quantization": "int4"}, "timesformer.backbone.quantization"),
        ({"timesformer__backbone__model": "./absent"}, "no such folder"),
    ],
)
def test_wrong_configuration_is_explained(project, parameters, message, tmp_path):
    result = project.run("timesformer", output=tmp_path, check=False, **parameters)
    assert result.returncode and message in result.stderr and "Traceback" not in result.stderr


SMALL = {"timesformer__training__epochs": 3}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_broken_files_are_named_and_never_black(small_project, table, tmp_path, name):
    videos = tmp_path / "videos"
    source = small_project.path / "data/01_raw/sample/videos"
    videos.mkdir()
    names = [path for path in table["video_path"] if (source / path).exists()]
    for path in names[3:]:
        (videos / path).write_bytes((source / path).read_bytes())
    (videos / names[0]).write_bytes(b"")
    (videos / names[1]).write_bytes((source / names[1]).read_bytes()[:2000])
    (videos / names[2]).write_text("This is no video.")
    small_project.run(name, output=tmp_path, short_video__videos=videos, **{f"{name}__training__epochs": 1})
    found = reasons(tmp_path, name)
    assert {path.removesuffix(".mp4") for path in names[:3]} < set(found)
    predictions = pd.read_parquet(tmp_path / "07_model_output" / name / "predictions.parquet")
    assert not set(found) & set(predictions["video_id"])


@pytest.mark.slow
def test_published_protocol_says_so_and_has_no_calibration(small_project, tmp_path):
    small_project.run("timesformer", output=tmp_path, short_video__protocol="published", **SMALL)
    predictions = pd.read_parquet(tmp_path / "07_model_output/timesformer/predictions.parquet")
    assert set(predictions["split"]) == {"test"} and predictions["lower"].isna().all()
    np.testing.assert_allclose(predictions["y_pred"], predictions["y_pred_network"])
    assert "Protocol published" in (tmp_path / "08_reporting/timesformer/report.html").read_text()


@pytest.mark.slow
def test_two_processes_of_torchrun_train_one_model(small_project, tmp_path):
    from mlflow import MlflowClient

    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "kedro",
    ]
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    finished = subprocess.run(
        [
            *command,
            "run",
            "--pipeline=timesformer",
            f"--params=output={tmp_path},timesformer.training.epochs=2",
        ],
        cwd=small_project.path,
        env=small_project.environment() | {"MLFLOW_TRACKING_URI": store},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    log = finished.stdout + finished.stderr
    assert log.count("Process 1 has helped to train") == 1 and log.count("epoch 2 of 2") == 1
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("vidpop_pipelines").experiment_id])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "validation_f1_weighted")) == 2
    metrics = json.loads((tmp_path / "08_reporting/timesformer/metrics.json").read_text())
    assert run.data.metrics.keys() >= metrics.keys()
