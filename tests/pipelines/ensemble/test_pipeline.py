"""The ensemble pipelines from the command line: what a user types, and what stands on the disk afterwards."""

import json

import numpy as np
import pandas as pd
import pytest
from tests_project import create_project

TREES = {
    f"ensemble__presets__fast__{name}__n_estimators": 10 for name in ("xgboost", "lightgbm", "random_forest")
}
SMALL = TREES | {"ensemble__learners": "xgboost+lightgbm+random_forest"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a sample of 120 videos."""
    project = create_project(tmp_path_factory.mktemp("ensemble") / "project", share_sample=False)
    project.kedro("run", "--pipeline=sample_data", "--tags=tables", "--params=sample.videos=120")
    return project


@pytest.fixture(scope="module")
def table(project) -> pd.DataFrame:
    return pd.read_csv(project.path / "data/01_raw/sample/tabular.csv", dtype=str, keep_default_na=False)


def read(folder, name: str):
    path = folder / "08_reporting/ensemble" / name
    return json.loads(path.read_text()) if path.suffix == ".json" else pd.read_csv(path)


def test_a_table_without_tags_categories_channel_and_splits(project, table, tmp_path):
    """The newest fifth is the test set; what the table does not have is named and not needed."""
    few = table[["video_id", "title", "duration_seconds", "published_at", "views"]]
    csv = tmp_path / "few.csv"
    few.sample(frac=1, random_state=0).to_csv(csv, index=False)
    project.run("ensemble", tabular__csv=csv, output=tmp_path, **SMALL)
    report = read(tmp_path, "data_report.json")
    assert {"tags", "categories", "channel_id", "subscribers"} <= set(report["absent_columns"])
    assert report["rows_used"] == 120

    predictions = pd.read_parquet(tmp_path / "07_model_output/ensemble/predictions.parquet")
    newest = few.sort_values("published_at", ascending=False)["video_id"][:24]
    test = predictions[predictions["split"] == "test"]
    assert set(test["video_id"]) == set(newest) and set(test["fold"]) == {-1}
    assert {
        "y_pred_xgboost",
        "y_pred_lightgbm",
        "y_pred_random_forest",
        "y_pred_trend",
        "y_pred_median",
    } <= set(predictions)
    assert "y_pred_catboost" not in predictions
    weights = json.loads((tmp_path / "06_models/ensemble/config.json").read_text())["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    stacked = sum(weight * np.log1p(test[f"y_pred_{name}"]) for name, weight in weights.items())
    np.testing.assert_allclose(np.log1p(test["y_pred"]), stacked, rtol=1e-6)

    new = table[["video_id", "title", "tags", "subscribers", "duration_seconds"]].iloc[:7]
    new.to_csv(tmp_path / "new.csv", index=False)
    project.run("ensemble_predict", output=tmp_path, tabular__csv=tmp_path / "new.csv")
    forecast = pd.read_parquet(tmp_path / "07_model_output/ensemble/forecast.parquet")
    assert forecast["video_id"].tolist() == new["video_id"].tolist() and "y_true" not in forecast
    assert (forecast["lower"] <= forecast["y_pred"]).all() and (forecast["y_pred"] <= forecast["upper"]).all()
    assert (tmp_path / "08_reporting/ensemble_predict/data_report.json").is_file()


def test_one_channel_and_no_tags_are_reported(project, table, tmp_path):
    csv = tmp_path / "one.csv"
    table.assign(channel_id="only", tags="").to_csv(csv, index=False)
    project.run("ensemble", tabular__csv=csv, output=tmp_path, **SMALL)
    report = read(tmp_path, "data_report.json")
    assert any("one channel" in note for note in report["notes"])
    assert any("tags" in note for note in report["notes"])


def test_a_bad_cell_is_named_without_a_traceback(project, table, tmp_path):
    csv = tmp_path / "bad.csv"
    bad = table.copy()
    bad.loc[2, "views"] = "-5"
    bad.to_csv(csv, index=False)
    result = project.run("ensemble", tabular__csv=csv, output=tmp_path, check=False)
    assert result.returncode and "row 3, column views" in result.stderr and str(csv) in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_learner_fails_before_any_work(project, tmp_path):
    result = project.run("ensemble", output=tmp_path / "out", check=False, ensemble__learners="xgboost+svm")
    assert result.returncode and "unknown learner svm" in result.stderr and not (tmp_path / "out").exists()
