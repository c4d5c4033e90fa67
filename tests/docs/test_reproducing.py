"""The code of docs/reproducing.md that turns published files into inputs of this project."""

import bz2
import json
import math

import numpy as np
import pandas as pd
import pytest
from documentation import commands

from vidpop_pipelines.datasets.npy import NpyFolderDataset
from vidpop_pipelines.datasets.raw_csv import RawCsvDataset
from vidpop_pipelines.pipelines.mofa_lite.inputs import validate_inputs
from vidpop_pipelines.pipelines.smtpd.table import validate_videos

CODE = {command.name: command.text for command in commands() if command.document == "docs/reproducing.md"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_active_becomes_an_smtpd_table():
    videos = [
        {"YoutubeID": "a", "category": "Music", "dailyViewcount": [3, 1] + [0] * 128},
        {"YoutubeID": "b", "dailyViewcount": [7] * 130},
    ]
    with bz2.open("active-dataset.json.bz2", "wt") as file:
        json.dump(videos, file)
    exec(CODE["active"], {})
    table, problems = validate_videos(RawCsvDataset("active_smtpd.csv").load())
    assert table["video_id"].tolist() == ["a", "b"] and table["category"].tolist() == ["Music", ""]
    # 3 views on day 1; 4 until day 2; 4 until day 30. 7 on each day.
    first, second = (table.loc[row, ["day_1", "day_2", "day_30"]].tolist() for row in (0, 1))
    assert first == pytest.approx([2.0, math.log2(3), math.log2(4 / 30 + 1)], abs=1e-5)
    assert second == [3.0, 3.0, 3.0]
    assert "day_31" not in table and not problems["left_out"].any()


def test_vine_becomes_a_folder_of_features():
    counts = np.array([[0, 1, 3], [7, 15, 31]])
    arrays = {"image": np.ones((2, 4)), "text": np.ones((2, 3)), "social": np.array([[1.0, np.nan], [0, 1]])}
    np.savez("vine_release.npz", counts=counts, ids=np.array(["x", "y"]), **arrays)
    exec(CODE["vine"], {})
    dataset = NpyFolderDataset("vine", ["*_features.npy", "popularity_counts.npy"], ["video_id.txt"])
    inputs, _, summary = validate_inputs(dataset.load(), None, ["views", "likes", "comments"])
    assert inputs.widths == {"image": 4, "social": 2, "text": 3} and inputs.video_ids.tolist() == ["x", "y"]
    assert inputs.targets == pytest.approx(np.log(counts + 1))
    assert summary["modalities"]["social"]["missing_share"] == 0.25


def test_snapugc_gets_paths():
    pd.DataFrame({"id": ["a1", "b2"], "ECR": [0.1, 0.9]}).to_csv("snapugc_train.csv", index=False)
    exec(CODE["snapugc"], {})
    assert pd.read_csv("snapugc.csv")["video_path"].tolist() == ["a1.mp4", "b2.mp4"]
