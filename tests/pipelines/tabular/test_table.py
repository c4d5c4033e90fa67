from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.datasets.raw_csv import RawCsvDataset
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.tabular.columns import LABELS, LIST_FIELDS, TEXT_FIELDS
from vidpop_pipelines.pipelines.tabular.table import TableOptions, daily_columns, validate_videos

SAMPLE = Path(__file__).parents[3] / "data/01_raw/sample/tabular.csv"
DEFAULTS = TableOptions()


def raw_table(n_rows: int = 4, **columns: list[str] | str) -> pd.DataFrame:
    """A valid table as the dataset loads it; further columns (one text means the same in each row) replace its own."""
    cells = {
        "video_id": [f"v{row}" for row in range(n_rows)],
        "title": "a title",
        "tags": "a|b",
        "categories": "Music",
        "duration": "60",
        "published_at": [f"2024-01-{row + 1:02d}T12:00:00Z" for row in range(n_rows)],
        "channel_id": [f"c{row % 2}" for row in range(n_rows)],
        "subscribers": "100",
        "views": [str(1000 * (row + 1)) for row in range(n_rows)],
        "likes": "10",
    } | columns
    frame = pd.DataFrame(cells, index=pd.RangeIndex(1, n_rows + 1, name="row"), dtype="str")
    frame.attrs["source"] = "videos.csv"
    return frame


def with_cell(row: int, column: str, value: str) -> pd.DataFrame:
    frame = raw_table()
    frame.loc[row, column] = value
    return frame


def lines(problems: pd.DataFrame) -> list[tuple]:
    return [tuple(line) for line in problems.to_numpy().tolist()]


def test_types_of_a_plain_table():
    videos, problems, summary = validate_videos(raw_table(), DEFAULTS)
    assert problems.empty
    assert videos.index.tolist() == [0, 1, 2, 3]
    assert videos["views"].tolist() == [1000.0, 2000.0, 3000.0, 4000.0]
    assert videos["published_at"].iloc[2] == pd.Timestamp("2024-01-03T12:00:00Z")
    assert videos["duration_seconds"].eq(60.0).all() and videos["num_tags"].eq(2.0).all()
    assert summary["columns"]["duration_seconds"] == "duration"
    assert summary["crawl_time_features"] == ["subscribers"]
    assert summary["notes"] == []


def test_all_columns_are_always_there():
    frame = raw_table()[["video_id", "published_at", "views"]]
    videos, problems, summary = validate_videos(frame, DEFAULTS)
    assert problems.empty
    assert videos[TEXT_FIELDS + LIST_FIELDS].eq("").all(axis=None)
    assert videos[["published_at", "channel_created_at"]].dtypes.eq("datetime64[us, UTC]").all()
    numbers = [
        "duration_seconds",
        "subscribers",
        "channel_video_count",
        "channel_avg_views",
        "num_tags",
        "age_hours",
    ]
    assert videos[[*numbers, "likes", "comments"]].isna().all(axis=None)
    assert videos[[*numbers, *LABELS]].dtypes.eq("float64").all()
    assert daily_columns(videos) == []
    assert {"title", "tags", "num_tags", "likes"} <= set(summary["absent_columns"])
    assert not {"views", "video_id"} & set(summary["absent_columns"])


def test_summary_says_what_is_not_used():
    frame = raw_table(channel_views="5000000", **{"thumbnail url": "x", "": "1"})
    frame.attrs["source"] = "videos.csv"
    videos, _, summary = validate_videos(frame, DEFAULTS)
    assert summary["source"] == "videos.csv" and summary["rows_read"] == 4
    assert summary["answer_columns"] == ["channel_views"]
    assert summary["ignored_columns"] == ["thumbnail url", "(column 13, without a name)"]
    assert not videos.eq(5_000_000.0).any(axis=None)


@pytest.mark.parametrize("missing", ["video_id", "published_at", "views"])
def test_required_columns(missing):
    with pytest.raises(InputError) as error:
        validate_videos(raw_table().drop(columns=missing), DEFAULTS)
    assert f"videos.csv: no column {missing} among" in str(error.value)
    assert f"tabular.columns.{missing}=<name of your column>" in str(error.value)


def test_columns_that_nobody_knows_are_named():
    frame = raw_table().set_axis([f"x{position}" for position in range(10)], axis="columns")
    with pytest.raises(InputError, match="no column video_id among x0, x1, x2"):
        validate_videos(frame, DEFAULTS)


def test_no_rows():
    with pytest.raises(InputError, match="videos.csv: no rows below the header"):
        validate_videos(raw_table().iloc[:0], DEFAULTS)


def test_dates_in_three_formats_and_time_zones():
    frame = raw_table(
        published_at=[
            "2024-01-31T18:30:00+05:30",
            "Wed, 31 Jan 2024 08:00:00 -0500",
            "31/01/2024 13:00",
            "1706706000",
        ]
    )
    videos, problems, summary = validate_videos(frame, DEFAULTS)
    assert problems.empty
    assert videos["published_at"].eq(pd.Timestamp("2024-01-31T13:00:00Z")).all()
    assert summary["notes"] == [
        "published_at: 1 dates name no time zone and were read as UTC.",
        "published_at: dates such as 3/4/2024 were read with the day first, by the dates of the column.",
    ]


def test_day_and_month_that_nothing_tells_apart_need_the_option():
    frame = raw_table(published_at="3/4/2024")
    with pytest.raises(InputError, match="tabular.day_first"):
        validate_videos(frame, DEFAULTS)
    videos, _, summary = validate_videos(frame, TableOptions(day_first=True))
    assert videos["published_at"].eq(pd.Timestamp("2024-04-03T00:00Z")).all()
    assert any("by tabular.day_first" in note for note in summary["notes"])


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (3, "views", "-5", "row 3, column views: -5.0"),
        (2, "likes", "-1", "row 2, column likes: -1.0"),
        (2, "duration", "-60", "row 2, column duration_seconds (in the file: duration): -60.0"),
        (1, "subscribers", "-1", "row 1, column subscribers: -1.0"),
        (2, "views", "1,000", "row 2, column views: '1,000' is not a finite number"),
        (2, "views", "inf", "row 2, column views: 'inf' is not a finite number"),
        (
            4,
            "duration",
            "long",
            "row 4, column duration_seconds (in the file: duration): 'long' is not a duration",
        ),
        (4, "published_at", "soon", "row 4, column published_at: 'soon' is not a date"),
        (3, "video_id", " ", "row 3, column video_id: empty"),
        (3, "video_id", "v0", "row 3, column video_id: 'v0' stands in row 1 already, with other values"),
    ],
)
def test_what_cannot_be_left_out_is_an_error_that_names_the_cell(row, column, value, message):
    with pytest.raises(InputError) as error:
        validate_videos(with_cell(row, column, value), DEFAULTS)
    assert f"videos.csv: {message}" in str(error.value)
    assert "Expected:" in str(error.value)


@pytest.mark.parametrize(
    ("column", "line"),
    [
        ("views", ("v1", "views", "views missing", True)),
        ("published_at", ("v1", "published_at", "publish time missing", True)),
    ],
)
def test_rows_without_views_or_publish_time_are_left_out_when_labelled(column, line):
    videos, problems, _ = validate_videos(with_cell(2, column, ""), DEFAULTS)
    assert videos["video_id"].tolist() == ["v0", "v2", "v3"] and videos.index.tolist() == [0, 1, 2]
    assert lines(problems) == [line]


def test_a_row_is_left_out_once():
    frame = raw_table()
    frame.loc[2, ["views", "published_at"]] = ""
    frame.loc[3] = frame.loc[2]
    videos, problems, _ = validate_videos(frame, DEFAULTS)
    assert videos["video_id"].tolist() == ["v0", "v3"]
    assert lines(problems) == [
        ("v1", "video_id", "repeats an earlier row", True),
        ("v1", "views", "views missing", True),
    ]


def test_no_usable_row():
    with pytest.raises(InputError, match="videos.csv: no usable row"):
        validate_videos(raw_table(views=""), DEFAULTS)


def test_rows_that_say_the_same_in_other_words_repeat():
    frame = raw_table()
    frame.loc[4] = frame.loc[1]
    frame.loc[4, ["duration", "tags", "published_at"]] = ["1:00", '["a", "b"]', "2024-01-01 13:00+01:00"]
    videos, problems, _ = validate_videos(frame, DEFAULTS)
    assert videos["video_id"].tolist() == ["v0", "v1", "v2"]
    assert lines(problems) == [("v0", "video_id", "repeats an earlier row", True)]


@pytest.mark.parametrize("column", ["title", "tags", "categories", "channel_id", "subscribers", "likes"])
def test_missing_values_stay_missing_and_are_reported(column):
    videos, problems, _ = validate_videos(with_cell(2, column, ""), DEFAULTS)
    assert videos.loc[1, column] == "" or np.isnan(videos.loc[1, column])
    assert lines(problems) == [("v1", column, "empty", False)]


def test_likes_above_views_are_missing():
    videos, problems, _ = validate_videos(with_cell(2, "likes", "2001"), DEFAULTS)
    np.testing.assert_array_equal(videos["likes"], [10, np.nan, 10, 10])
    assert lines(problems) == [("v1", "likes", "more likes than views: taken as missing", False)]
    videos, problems, _ = validate_videos(with_cell(2, "likes", "2000"), DEFAULTS)
    assert videos.loc[1, "likes"] == 2000 and problems.empty


def test_one_channel_only_is_noted():
    _, problems, summary = validate_videos(raw_table(channel_id="c"), DEFAULTS)
    assert problems.empty
    assert summary["notes"] == [
        "channel_id: all videos are of one channel, so that nothing can be learned about channels."
    ]


def test_all_tags_empty_is_noted_and_listed():
    videos, problems, summary = validate_videos(raw_table(tags=["", "[none]", "[]", " "]), DEFAULTS)
    assert videos["tags"].eq("").all() and videos["num_tags"].eq(0.0).all()
    assert summary["notes"] == ["tags: empty in every row."]
    assert lines(problems) == [(f"v{row}", "tags", "empty", False) for row in range(4)]


def test_number_of_tags_is_the_files_or_counted():
    videos, _, summary = validate_videos(raw_table(tags=["a", "a|b", "a,b,c", ""]), DEFAULTS)
    assert videos["num_tags"].tolist() == [1, 2, 3, 0]
    assert "num_tags" not in summary["absent_columns"]
    videos, _, _ = validate_videos(raw_table(num_tags="7"), DEFAULTS)
    assert videos["num_tags"].tolist() == [7, 7, 7, 7]


def test_daily_views_as_they_are():
    frame = raw_table(day_2=["3", "4", "", "6"], views_day_1="10")
    videos, problems, summary = validate_videos(frame, DEFAULTS)
    assert daily_columns(videos) == ["views_day_1", "views_day_2"]
    np.testing.assert_array_equal(videos["views_day_2"], [3, 4, np.nan, 6])
    assert lines(problems) == [("v2", "views_day_2", "missing day", False)]
    assert summary["daily_views"] == 2 and summary["notes"] == []


def test_cumulative_daily_views_become_gains_and_a_gap_hides_two():
    frame = raw_table(day_1=["5", "5", "", "0"], day_2=["8", "", "4", "0"], day_3=["8", "9", "6", "1"])
    videos, _, _ = validate_videos(frame, TableOptions(daily_views="cumulative"))
    np.testing.assert_array_equal(
        videos[daily_columns(videos)],
        [[5, 3, 0], [5, np.nan, np.nan], [np.nan, np.nan, 2], [0, 0, 1]],
    )


@pytest.mark.parametrize("second_day", ["4", ""])
def test_cumulative_views_never_fall(second_day):
    frame = raw_table(day_1="5", day_2=["5", second_day, "5", "5"], day_3=["5", "4", "5", "5"])
    column = "day_2" if second_day else "day_3"
    with pytest.raises(InputError, match=f"videos.csv: row 2, column {column}: 4 views after 5"):
        validate_videos(frame, TableOptions(daily_views="cumulative"))


def test_negative_daily_views_are_named():
    with pytest.raises(InputError, match="videos.csv: row 2, column day_1: -1.0"):
        validate_videos(raw_table(day_1=["1", "-1", "1", "1"]), DEFAULTS)


def test_daily_views_that_look_cumulative_are_noted():
    frame = raw_table(day_1="900", day_2="950", day_3="999", views="1000")
    _, _, summary = validate_videos(frame, DEFAULTS)
    assert any("tabular.daily_views=cumulative" in note for note in summary["notes"])


def test_forecast_table_needs_ids_only():
    videos, problems, summary = validate_videos(raw_table()[["video_id", "title"]], DEFAULTS, labelled=False)
    assert len(videos) == 4 and problems.empty
    assert videos["published_at"].isna().all() and videos["views"].isna().all()
    assert not set(LABELS) & set(summary["absent_columns"])


def test_forecast_keeps_rows_without_labels_and_publish_time():
    frame = raw_table(day_1="", views="", likes="")
    frame.loc[2, "published_at"] = ""
    videos, problems, summary = validate_videos(frame, DEFAULTS, labelled=False)
    assert len(videos) == 4
    assert lines(problems) == [("v1", "published_at", "empty", False)]
    assert summary["notes"] == []


def test_forecast_of_one_video():
    videos, problems, summary = validate_videos(raw_table(n_rows=1), DEFAULTS, labelled=False)
    assert len(videos) == 1 and problems.empty and summary["notes"] == []


def test_mapped_columns():
    frame = raw_table().rename(columns={"title": "Titel", "views": "Aufrufe"})
    frame.attrs["source"] = "videos.csv"
    options = TableOptions(columns={"title": "Titel", "views": "aufrufe"})
    videos, _, summary = validate_videos(frame, options)
    assert videos["title"].eq("a title").all() and videos.loc[3, "views"] == 4000
    assert summary["columns"]["views"] == "Aufrufe"
    frame.loc[2, "Aufrufe"] = "-1"
    with pytest.raises(InputError, match=r"row 2, column views \(in the file: Aufrufe\): -1.0"):
        validate_videos(frame, options)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_sample_is_read_whole(labelled):
    videos, problems, summary = validate_videos(RawCsvDataset(str(SAMPLE)).load(), DEFAULTS, labelled)
    assert len(videos) == summary["rows_read"] == 400
    assert summary["daily_views"] == 30 and summary["notes"] == []
    assert not problems["left_out"].any()
    gained = videos[daily_columns(videos)].sum(axis="columns", min_count=30)
    known = gained.notna()
    assert known.sum() == 395 and gained[known].eq(videos.loc[known, "views"]).all()


ROWS = raw_table(
    n_rows=8,
    title=["x", "", "ü, |", "x", "x", "[a]", " x ", "x"],
    tags=["a|b", "a,b", '["a"]', "", "[none]", "a", '"a"|"b"', "a|b"],
    duration=["60", "PT1M", "1:00", "", "90", "0", "60", "60"],
    published_at=[
        "13/1/2024",
        "2/3/2024",
        "2024-01-01",
        "",
        "1706706000",
        "2024-01-01T00:00:00+02:00",
        "1 Jan 2024",
        "13/1/2024",
    ],
    likes=["10", "", "99999", "0", "10", "10", "10", "10"],
    day_1=["1", "2", "", "4", "5", "6", "7", "1"],
    day_2=["1", "2", "3", "4", "", "6", "7", "1"],
    channel_views="1",
    unknown="?",
)
ROWS.loc[8] = ROWS.loc[1]


@given(rows=st.permutations(range(len(ROWS))), columns=st.permutations(range(ROWS.shape[1])))
@settings(max_examples=15)
def test_order_of_rows_and_columns_changes_nothing_but_order(rows, columns):
    shuffled = ROWS.iloc[rows, columns].set_axis(ROWS.index)
    shuffled.attrs["source"] = "videos.csv"
    before, after = validate_videos(ROWS, DEFAULTS), validate_videos(shuffled, DEFAULTS)
    assert len(after[0]) == 6
    file_order = [name for name in dict.fromkeys(shuffled["video_id"]) if name in set(before[0]["video_id"])]
    assert after[0]["video_id"].tolist() == file_order
    pd.testing.assert_frame_equal(
        *(videos.set_index("video_id").sort_index() for videos, _, _ in (before, after))
    )
    assert sorted(lines(before[1])) == sorted(lines(after[1]))
    assert {key: _unordered(value) for key, value in before[2].items()} == {
        key: _unordered(value) for key, value in after[2].items()
    }


def _unordered(value):
    return sorted(value) if isinstance(value, list) else value
