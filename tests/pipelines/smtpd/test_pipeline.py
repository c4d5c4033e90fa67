"""The SMTPD pipelines from the command line: what a user types, and what stands on the disk afterwards."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tests_project import create_project

SMALL = {"smtpd__training__epochs": 2, "smtpd__catboost__iterations": 10}


@pytest.fixture(scope="module")
def small_project(tmp_path_factory):
    """A project with a sample of 40 videos."""
    project = create_project(tmp_path_factory.mktemp("small") / "project", share_sample=False)
    project.run("sample_data", sample__videos=40)
    return project


@pytest.fixture(scope="module")
def table(small_project) -> pd.DataFrame:
    return pd.read_csv(small_project.path / "data/01_raw/sample/smtpd.csv", dtype=str, keep_default_na=False)


def write_table(frame: pd.DataFrame, path) -> str:
    frame.to_csv(path, index=False)
    return str(path)


def test_forty_videos_from_table_to_leaderboard(small_project):
    """Too few calibration rows for intervals: they are NaN, and a warning says so."""
    result = small_project.run("smtpd_ep", **SMALL, smtpd__training__keep_epochs="all")
    assert "No prediction intervals: 4 calibration videos, 9 needed" in result.stdout + result.stderr
    reports = small_project.path / "data/08_reporting"
    assert "amae_2_30" in json.loads((reports / "smtpd_ep/metrics.json").read_text())
    predictions = pd.read_parquet(small_project.path / "data/07_model_output/smtpd_ep/predictions.parquet")
    assert predictions["lower"].isna().all()

    small_project.run("smtpd_leaderboard", smtpd__eval_from=2, smtpd__eval_to=7)
    epochs = pd.read_csv(reports / "smtpd_leaderboard/leaderboard.csv")
    assert sorted(epochs["epoch"]) == [1, 2] and set(epochs["to_day"]) == {7}
    setups = pd.read_csv(reports / "smtpd_leaderboard/setups.csv")
    assert set(setups["setup"]) == {"with EP"}
    chosen = small_project.run("smtpd_leaderboard", smtpd__checkpoint=9, check=False)
    assert chosen.returncode and "no weights of epoch 9" in chosen.stderr


def test_published_recipe_runs_with_tiny_local_encoders(small_project, tiny_bert, resnet18_weights, tmp_path):
    small_project.run(
        "smtpd_ep",
        env="paper",
        output=tmp_path,
        smtpd__text_encoder__model=tiny_bert,
        smtpd__text_encoder__max_length=16,
        smtpd__visual_encoder__architecture="resnet18",
        smtpd__visual_encoder__weights=resnet18_weights,
        smtpd__training__epochs=1,
        smtpd__catboost__iterations=2,
    )
    config = json.loads((tmp_path / "06_models/smtpd_ep/config.json").read_text())
    assert config["protocol"] == "published"
    weights = load_file(tmp_path / "06_models/smtpd_ep/model.fold_0.safetensors")
    n_parameters = sum(array.size for name, array in weights.items() if "running" not in name)
    # The published network but for the narrower tiny encoders (2048 and 768 there, 512 and 32 here).
    assert n_parameters > 20_000_000
    predictions = pd.read_parquet(tmp_path / "07_model_output/smtpd_ep/predictions.parquet")
    assert set(predictions["split"]) == {"test"}
    np.testing.assert_array_equal(predictions["y_pred"], predictions["y_pred_network"])
    assert "published" in (tmp_path / "08_reporting/smtpd_ep/report.html").read_text()


def test_forecast_reports_rows_without_day_one_and_needs_no_other_day(small_project, table, tmp_path):
    small_project.run("smtpd_ep", output=tmp_path, **SMALL)
    new = table.iloc[:6, :16].copy()
    new.iloc[2, 15] = ""
    csv = write_table(new, tmp_path / "new.csv")
    small_project.run("smtpd_ep_predict", output=tmp_path, smtpd__csv=csv)
    forecast = pd.read_parquet(tmp_path / "07_model_output/smtpd_ep/forecast.parquet")
    assert "y_true" not in forecast
    assert forecast["video_id"].nunique() == 5 - (new.iloc[[0, 1, 3, 4, 5], 15] == "").sum()
    report = json.loads((tmp_path / "08_reporting/smtpd_ep_predict/data_report.json").read_text())
    assert new.iloc[2, 0] in report["left_out"][0]["video_ids"]
    assert not any(entry["column"] == "day_2" for entry in report["missing"])


def test_forecast_without_a_model_says_how_to_get_one(small_project, tmp_path):
    result = small_project.run("smtpd_no_ep_predict", output=tmp_path, check=False)
    assert result.returncode and "no trained model" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"smtpd__cvs": "x"}, "unknown parameter 'smtpd.cvs'; did you mean 'smtpd.csv'?"),
        ({"smtpd__csv": "absent.csv"}, "absent.csv does not exist"),
        ({"smtpd__fold": 5}, "fold 5 does not exist"),
    ],
)
def test_wrong_configuration_fails_before_any_work(small_project, parameters, message, tmp_path):
    result = small_project.run("smtpd_ep", output=tmp_path / "out", check=False, **parameters)
    assert result.returncode and message in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "out").exists()


def test_broken_pictures_are_named_and_never_black(small_project, table, tmp_path):
    images = tmp_path / "images"
    source = small_project.path / "data/01_raw/sample/thumbnails"
    ids = table.iloc[:, 0].tolist()
    images.mkdir()
    from PIL import Image

    for video_id in ids[4:]:
        if (source / f"{video_id}.jpg").exists():
            (images / f"{video_id}.jpg").write_bytes((source / f"{video_id}.jpg").read_bytes())
    (images / f"{ids[0]}.jpg").write_bytes(b"")
    (images / f"{ids[1]}.jpg").write_bytes(b"\xff\xd8\xff truncated")
    Image.new("RGB", (20, 20), "red").save(images / f"{ids[2]}.jpg", format="PNG")
    small_project.run("smtpd_no_ep", output=tmp_path, smtpd__images=images, **SMALL)
    report = json.loads((tmp_path / "08_reporting/smtpd_no_ep/data_report.json").read_text())
    reasons = {
        video_id: entry["reason"]
        for entry in report["missing"]
        if entry["column"] == "thumbnail"
        for video_id in entry["video_ids"]
    }
    assert reasons[ids[0]] == "zero bytes"
    assert reasons[ids[1]].startswith("cannot be decoded")
    assert reasons[ids[2]] == "PNG content in a .jpg file"
    assert reasons[ids[3]] == "file not found"


@pytest.mark.slow
def test_several_pipelines_are_one_parent_run_with_one_child_per_family_and_fold(
    tmp_path_factory, small_project
):
    from mlflow import MlflowClient

    project = create_project(tmp_path_factory.mktemp("several") / "project", share_sample=False)
    (project.path / "data/01_raw/sample").symlink_to(small_project.path / "data/01_raw/sample")
    parameters = "smtpd.training.epochs=1,smtpd.catboost.iterations=2,smtpd.fold=all"
    project.kedro("run", "--pipelines=smtpd_ep,smtpd_no_ep", f"--params={parameters}")
    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("vidpop_pipelines").experiment_id])
    by_id = {run.info.run_id: run for run in runs}
    parents = {
        run.info.run_id: by_id[run.data.tags["mlflow.parentRunId"]].info.run_name
        for run in runs
        if "mlflow.parentRunId" in run.data.tags
    }
    children = [(by_id[run_id].info.run_name, parent) for run_id, parent in parents.items()]
    folds = [(f"fold_{fold}", family) for family in ("smtpd_ep", "smtpd_no_ep") for fold in range(5)]
    (parent,) = (run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert sorted(children) == sorted([("smtpd_ep", parent), ("smtpd_no_ep", parent), *folds])
    assert all(run.info.status == "FINISHED" for run in runs)
    metrics = {by_id[run_id].info.run_name: by_id[run_id].data.metrics for run_id in parents}
    assert "amae_2_30" in metrics["smtpd_ep"] and "amae_1_30" in metrics["smtpd_no_ep"]
    assert "validation_amae" in metrics["fold_3"]


def test_given_splits_beside_the_table_are_used(small_project, tmp_path):
    path = small_project.path / "data/01_raw/sample"
    given = pd.read_csv(path / "splits.csv", dtype={"video_id": str}).set_index("video_id")["fold"]
    small_project.run("smtpd_no_ep", output=tmp_path, **SMALL)
    used = pd.read_parquet(tmp_path / "05_model_input/smtpd_no_ep/splits.parquet").set_index("video_id")[
        "fold"
    ]
    assert (used == given.loc[used.index]).all()
