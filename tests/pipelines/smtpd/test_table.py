import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.smtpd.table import (
    check_enough_videos,
    day_columns,
    leave_out_without_early_popularity,
    rare_categories,
    validate_videos,
)

FIRST_DAY = 15


def raw_table(n_rows: int = 4, n_days: int = 3) -> pd.DataFrame:
    """A valid table; header names are unlike the real ones, because only positions count."""
    rows = [
        [f"v{row}", "", "", "", "", "user", "Music", "a title", "a, b", "text", "60", "100", "5", "7", "2"]
        + [f"{10 + row + day / 10:.1f}" for day in range(n_days)]
        for row in range(n_rows)
    ]
    frame = pd.DataFrame(rows, columns=[f"c{position}" for position in range(FIRST_DAY + n_days)], dtype=str)
    frame.index = pd.RangeIndex(1, n_rows + 1, name="row")
    frame.attrs["source"] = "videos.csv"
    return frame


def with_cell(row: int, position: int, value: str, **arguments) -> pd.DataFrame:
    frame = raw_table(**arguments)
    frame.iloc[row - 1, position] = value
    return frame


def test_columns_are_found_by_position_and_days_from_the_width():
    videos, problems = validate_videos(raw_table(n_days=7))
    assert day_columns(videos) == [f"day_{day}" for day in range(1, 8)]
    assert videos.loc[1, "title"] == "a title"
    assert videos.loc[1, "followers"] == 100
    assert videos.loc[1, "day_1"] == 11.0
    assert problems.empty


@pytest.mark.parametrize(
    ("position", "column", "reason"),
    [(7, "title", "empty"), (10, "duration", "empty"), (16, "day_2", "missing day")],
)
def test_missing_values_stay_missing_and_are_reported(position, column, reason):
    videos, problems = validate_videos(with_cell(2, position, ""))
    assert videos.loc[1, column] == "" if column == "title" else np.isnan(videos.loc[1, column])
    assert problems.to_dict("records") == [
        {"video_id": "v1", "column": column, "reason": reason, "left_out": False}
    ]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (with_cell(2, 10, "sixty"), "row 2, column duration (column 11): 'sixty' is not a finite number"),
        (with_cell(2, 11, "inf"), "row 2, column followers (column 12): 'inf' is not a finite number"),
        (with_cell(3, 16, "-0.5"), "row 3, column day_2 (column 17): -0.5"),
        (with_cell(3, 16, "250000"), "not a count of views"),
        (with_cell(1, 0, "a/b"), "row 1, column video_id (column 1): 'a/b'"),
        (with_cell(1, 0, "..\\b"), "without path separators"),
        (with_cell(1, 0, ".."), "without path separators"),
        (with_cell(1, 0, ""), "row 1, column video_id (column 1): ''"),
        (with_cell(3, 0, "v0"), "row 3, column video_id: 'v0' stands in row 1 already"),
        (raw_table(n_days=1), "16 columns"),
        (raw_table().iloc[:, :9], "9 columns"),
        (raw_table().iloc[:0], "no rows below the header"),
        (
            raw_table().set_axis([*map(str, range(17)), "12.75"], axis="columns"),
            "the first line holds numbers",
        ),
    ],
)
def test_what_cannot_be_left_out_is_an_error_that_names_the_cell(frame, message):
    with pytest.raises(InputError) as error:
        validate_videos(frame)
    assert message in str(error.value)
    assert "Expected:" in str(error.value)


def test_all_days_missing_and_repeated_rows_are_left_out_and_reported():
    frame = raw_table()
    frame.iloc[1, FIRST_DAY:] = ""
    frame.iloc[3] = frame.iloc[2]
    videos, problems = validate_videos(frame)
    assert videos["video_id"].tolist() == ["v0", "v2"]
    left_out = problems[problems["left_out"]]
    assert left_out[["video_id", "reason"]].to_numpy().tolist() == [
        ["v1", "all days missing"],
        ["v2", "repeats an earlier row"],
    ]


def test_no_day_at_all_is_an_error():
    frame = raw_table()
    frame.iloc[:, FIRST_DAY:] = ""
    with pytest.raises(InputError, match="no usable row"):
        validate_videos(frame)


def test_without_day_one_no_early_popularity():
    videos, problems = leave_out_without_early_popularity(*validate_videos(with_cell(2, FIRST_DAY, "")))
    assert videos["video_id"].tolist() == ["v0", "v2", "v3"]
    assert problems["reason"].tolist() == ["day 1 missing, which is an input with early popularity"]
    assert problems["left_out"].tolist() == [True]


def test_forecast_table_may_end_before_the_days():
    videos, _ = validate_videos(raw_table().iloc[:, :FIRST_DAY], labelled=False)
    assert day_columns(videos) == []
    with pytest.raises(InputError, match="No video has a value for day 1"):
        leave_out_without_early_popularity(videos, pd.DataFrame(columns=["column", "video_id"]))


def test_one_row_is_too_few():
    videos, _ = validate_videos(raw_table(n_rows=1))
    with pytest.raises(InputError, match="1 usable videos"):
        check_enough_videos(videos, n_folds=5, group_by=None)


def test_one_user_is_too_few_for_folds_by_user():
    videos, _ = validate_videos(raw_table(n_rows=40))
    check_enough_videos(videos, n_folds=5, group_by=None)
    with pytest.raises(InputError, match="1 different values of user_id"):
        check_enough_videos(videos, n_folds=5, group_by="user_id")


def test_only_the_fifteen_most_frequent_categories_have_their_own_bucket():
    videos, _ = validate_videos(raw_table(n_rows=33))
    videos["category"] = [f"category {row % 16}" for row in range(32)] + ["category 0"]
    videos.loc[15, "category"] = ""
    rare = rare_categories(videos)
    assert rare["video_id"].tolist() == ["v31"]
    assert rare["reason"].tolist() == ["not among the 15 most frequent: category 15"]
