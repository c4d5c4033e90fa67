from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters
from vidpop_pipelines.pipelines.short_video.table import validate_forecast_table, validate_training_table

FOLDER = Path("/videos")


def raw_table(header: str, *rows: str) -> pd.DataFrame:
    """A table as `RawCsvDataset` gives it."""
    cells = [row.split(",") for row in rows]
    index = pd.RangeIndex(1, len(rows) + 1, name="row")
    raw = pd.DataFrame(cells, columns=header.split(","), index=index, dtype="str")
    raw.attrs["source"] = "shorts.csv"
    return raw


def parameters(**changes) -> ShortVideoParameters:
    return ShortVideoParameters(csv="shorts.csv", videos=str(FOLDER), **changes)


def validate(raw: pd.DataFrame, folder: Path = FOLDER, **changes):
    return validate_training_table(raw, folder, parameters(**changes))


def error(raw: pd.DataFrame, **changes) -> str:
    with pytest.raises(InputError) as caught:
        validate(raw, **changes)
    return str(caught.value)


class TestColumns:
    def test_the_sample_layout(self):
        rows = ["a.mp4,ann,Hello,0.5,1000", "b.mp4,bob,Bye,0.25,10"]
        raw = raw_table("video_path,author,title,ECR,views", *rows)
        videos, problems, summary = validate(raw)
        expected = {
            "video_id": ["a", "b"],
            "path": ["/videos/a.mp4", "/videos/b.mp4"],
            "author": ["ann", "bob"],
            "metric": [0.5, 0.25],
        }
        assert videos.to_dict("list") == expected
        assert videos["metric"].dtype == np.float64
        assert problems.empty
        assert summary == {
            "source": "shorts.csv",
            "rows_read": 2,
            "columns": {"video_path": "video_path", "author": "author", "metric": "ECR"},
            "metric": "ECR",
        }

    def test_usual_names_and_case(self):
        videos, _, summary = validate(raw_table("Id,File Path,Popularity Score,Uploader", "x1,a.mp4,3,ann"))
        assert videos.loc[0].to_dict() == {
            "video_id": "x1",
            "path": "/videos/a.mp4",
            "author": "ann",
            "metric": 3,
        }
        assert summary["columns"]["metric"] == "Popularity Score"

    def test_the_users_own_names(self):
        raw = raw_table("clip here,who,ECR,loops", "a.mp4,ann,0.5,7")
        columns = {"video_path": "clip here", "author": "Who"}
        videos, _, summary = validate(raw, columns=columns, metric="loops")
        assert (videos["metric"][0], videos["author"][0], summary["metric"]) == (7, "ann", "loops")

    def test_views_stand_behind_a_score(self):
        raw = raw_table("views,video_path,popularity", "9,a.mp4,1")
        assert validate(raw)[2]["metric"] == "popularity"
        assert validate(raw.drop(columns="popularity"))[2]["metric"] == "views"

    @pytest.mark.parametrize(
        ("header", "changes", "message"),
        [
            ("title,ECR", {}, r"no column video_path .*short_video.columns.video_path="),
            ("video_path,title", {}, r"no column metric .*short_video.metric="),
            ("video_path,ECR", {"metric": "likes"}, "short_video.metric is 'likes', which is no column"),
            ("video_path,ECR", {"columns": {"vdieo": "ECR"}}, "columns.vdieo: there is no such field"),
            (
                "video_path,ecr,ECR",
                {},
                r"columns 'ecr' \(column 2\) and 'ECR' \(column 3\) mean the same: metric",
            ),
            (
                "video_path,file,ECR,popularity",
                {},
                r"columns 'ECR' \(column 3\) and 'popularity' \(column 4\) mean the same: metric",
            ),
        ],
    )
    def test_wrong_columns(self, header, changes, message):
        raw = raw_table(header, ",".join("1" for _ in header.split(",")))
        with pytest.raises(InputError, match=f"(?s){message}"):
            validate(raw, **changes)

    def test_no_rows(self):
        assert "no rows below the header" in error(raw_table("video_path,ECR"))


class TestPaths:
    def test_relative_absolute_unicode_and_spaces(self, tmp_path):
        rows = ["sub/ä b.mp4", f"{tmp_path}/視頻.webm", "/elsewhere/c.mp4", "./sub/../d.e.mp4"]
        videos, _, _ = validate(raw_table("video_path,ECR", *(f"{row},1" for row in rows)), folder=tmp_path)
        assert videos["path"].tolist() == [
            f"{tmp_path}/sub/ä b.mp4",
            f"{tmp_path}/視頻.webm",
            "/elsewhere/c.mp4",
            f"{tmp_path}/d.e.mp4",
        ]
        assert videos["video_id"].tolist() == ["sub/ä b", "視頻", "/elsewhere/c", "d.e"]

    def test_a_relative_folder(self):
        videos, _, _ = validate(raw_table("video_path,ECR", "a.mp4,1"), folder=Path("data/videos"))
        assert videos.loc[0, ["video_id", "path"]].tolist() == ["a", "data/videos/a.mp4"]

    def test_where_only_the_suffix_differs_it_stays(self):
        videos, _, _ = validate(raw_table("video_path,ECR", "a.mp4,1", "a.webm,2", "b.mp4,3"))
        assert videos["video_id"].tolist() == ["a.mp4", "a.webm", "b"]

    def test_one_file_under_two_ids(self):
        videos, _, _ = validate(raw_table("id,video_path,ECR", "x,a.mp4,1", "y,a.mp4,2"))
        assert videos["video_id"].tolist() == ["x", "y"]


class TestRows:
    def test_left_out_and_missing(self):
        rows = ["a.mp4,ann,1", ",ann,2", "b.mp4,bob,", "a.mp4,ann,1", "c.mp4,,4", "d.mp4,x,nan"]
        videos, problems, summary = validate(raw_table("video_path,author,ECR", *rows))
        assert videos["video_id"].tolist() == ["a", "c"]
        assert videos.index.tolist() == [0, 1]
        assert summary["rows_read"] == 6
        assert problems.to_dict("split")["data"] == [
            ["a", "video_id", "repeats an earlier row", True],
            ["row 2", "video_path", "empty", True],
            ["b", "metric", "metric missing", True],
            ["d", "metric", "metric missing", True],
            ["c", "author", "empty", False],
        ]

    def test_the_same_video_with_two_metrics(self):
        assert "row 3, column video_id: 'a' stands in row 1 already" in error(
            raw_table("video_path,ECR", "a.mp4,1", "b.mp4,2", "./a.mp4,3")
        )

    @pytest.mark.parametrize("cell", ["high", "inf", "1 000"])
    def test_a_metric_that_is_no_number(self, cell):
        assert f"row 2, column metric (in the file: ECR): '{cell}' is not a finite number" in error(
            raw_table("video_path,ECR", "a.mp4,1", f"b.mp4,{cell}")
        )

    def test_an_empty_id(self):
        assert "row 2, column video_id (in the file: Id): empty" in error(
            raw_table("Id,video_path,ECR", "x,a.mp4,1", ",b.mp4,2")
        )

    def test_nothing_usable(self):
        assert "no usable row" in error(raw_table("video_path,ECR", "a.mp4,", ",1"))


class TestForecast:
    def test_needs_no_metric_and_ignores_one(self):
        for raw in (raw_table("video_path,author", "a.mp4,ann"), raw_table("video_path,ECR", "a.mp4,what")):
            videos, problems, summary = validate_forecast_table(raw, FOLDER, parameters(metric="ECR"))
            assert videos["video_id"].tolist() == ["a"]
            assert videos["metric"].isna().all()
            assert problems.empty
            assert summary["metric"] is None
