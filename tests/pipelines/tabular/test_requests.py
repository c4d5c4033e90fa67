from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.tabular.columns import NUMERICAL_FIELDS
from vidpop_pipelines.pipelines.tabular.requests import (
    DEFAULT_AGE_HOURS,
    FIELDS,
    model_signature,
    read_requests,
    request_example,
)
from vidpop_pipelines.pipelines.tabular.table import TableOptions, validate_videos

# No "|", which separates items, and nothing that is stripped away.
ITEMS = st.lists(st.text("abcé 語", min_size=1).map(str.strip).filter(bool), unique=True)


def read(**video) -> pd.Series:
    return read_requests([video]).iloc[0]


def test_a_request_is_read_as_a_row_of_a_table_is():
    cells = {
        "video_id": "a",
        "title": " How to bake bread ",
        "description": "Step by step",
        "tags": "bread|baking",
        "categories": "Food",
        "duration_seconds": "600",
        "published_at": "2024-06-24T09:26:00+02:00",
        "channel_id": "c1",
        "subscribers": "1000",
        "channel_video_count": "12",
        "channel_avg_views": "5000",
        "channel_created_at": "2018-11-25",
        "age_hours": "48",
        "definition": "hd",
        "caption": "false",
        "language": "en",
    }
    raw = pd.DataFrame([cells], index=[1], dtype="str")
    table, _, _ = validate_videos(raw, TableOptions(), labelled=False)
    request = cells | {name: float(cells[name]) for name in NUMERICAL_FIELDS if name in cells}
    videos = read_requests([request | {"tags": ["bread", "baking"], "categories": ["Food"]}])
    assert_frame_equal(videos[FIELDS], table[FIELDS])
    assert videos["num_tags"].tolist() == [2.0]


def test_what_is_not_given_is_unknown_or_assumed():
    before = datetime.now(UTC)
    video = read()
    assert before - timedelta(seconds=1) <= video["published_at"] <= datetime.now(UTC)
    assert video["age_hours"] == DEFAULT_AGE_HOURS
    assert video["title"] == "" and video["tags"] == "" and pd.isna(video["channel_created_at"])
    assert video[[name for name in NUMERICAL_FIELDS if name != "age_hours"]].isna().all()


@pytest.mark.parametrize("unknown", [None, "", "  ", np.nan, pd.NaT, pd.NA])
def test_unknown_values_are_as_if_not_given(unknown):
    videos = read_requests([dict.fromkeys(FIELDS, unknown), {}])
    first, second = (videos.drop(columns=["video_id", "published_at"]).iloc[row] for row in (0, 1))
    pd.testing.assert_series_equal(first, second, check_names=False)
    assert videos["video_id"].tolist() == ["video 0", "video 1"]


@given(ITEMS)
def test_lists_and_joined_texts_are_the_same(items):
    as_list, as_text = read(tags=items), read(tags="|".join(items))
    assert as_list["tags"] == as_text["tags"] == "|".join(items)
    assert as_list["num_tags"] == len(items)


def test_items_are_stripped_once_each_and_hold_no_separator():
    video = read(tags=[" a ", "", "b", "a", "c|d"], categories="Food| Music||Food")
    assert video["tags"] == "a|b|c d" and video["num_tags"] == 3
    assert video["categories"] == "Food|Music"


def test_a_given_number_of_tags_goes_before_the_length_of_the_list():
    assert read(tags=["a", "b"], num_tags=7)["num_tags"] == 7
    assert read(tags=[])["num_tags"] == 0


@pytest.mark.parametrize(
    "value",
    [
        "2024-06-24T07:26:00+00:00",
        "2024-06-24T07:26:00Z",
        "2024-06-24 07:26",
        "2024-06-24T09:26:00+02:00",
        datetime(2024, 6, 24, 7, 26),
        datetime(2024, 6, 24, 9, 26, tzinfo=timezone(timedelta(hours=2))),
        pd.Timestamp("2024-06-24T07:26"),
    ],
)
def test_spellings_of_one_time(value):
    assert read(published_at=value)["published_at"] == pd.Timestamp("2024-06-24T07:26Z")


def test_a_date_is_its_first_moment():
    assert read(channel_created_at=date(2024, 6, 24))["channel_created_at"] == pd.Timestamp(
        "2024-06-24", tz="UTC"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration_seconds", -1),
        ("duration_seconds", "long"),
        ("subscribers", float("inf")),
        ("subscribers", True),
        ("channel_avg_views", [3]),
        ("published_at", "24/06/2024"),
        ("published_at", "yesterday"),
        ("published_at", "2024-02-30"),
        ("published_at", 1719213960),
        ("published_at", "0001-01-01T00:00:00+02:00"),
        ("channel_created_at", "03/04/2020"),
        ("tags", 5),
        ("tags", ["a", None]),
        ("categories", {"a": 1}),
        ("title", 5),
        ("views", 100),
    ],
)
def test_wrong_values_name_the_video_and_the_field(field, value):
    with pytest.raises(InputError) as error:
        read_requests([{}, {field: value}])
    assert f"Video 1, field '{field}'" in str(error.value)


def test_no_video_is_an_error():
    with pytest.raises(InputError, match="no video"):
        read_requests([])


def test_the_example_has_every_field_of_the_signature_and_can_be_read():
    signature = model_signature({"predicted_views": "double"})
    example = request_example()
    assert set(example) == set(FIELDS) == set(signature.inputs.input_names())
    assert signature.outputs.input_names() == ["video_id", "predicted_views"]
    assert read_requests(example.to_dict("records"))["tags"].tolist() == ["makeup|tutorial"]
