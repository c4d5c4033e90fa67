"""Features of a video's own row, by hand."""

import numpy as np
import pandas as pd
import pytest
from tabular_videos import make_videos

from vidpop_pipelines.pipelines.tabular.content import (
    content_numbers,
    description_counts,
    publish_time,
    title_counts,
)


def test_hour_weekday_and_month_lie_on_circles():
    times = pd.Series(pd.to_datetime(["2024-01-01T06:00Z", "2024-07-06T23:59Z", None], utc=True))
    found = publish_time(times)
    assert found.loc[0, ["hour_sin", "hour_cos"]].tolist() == pytest.approx(
        [1, 0], abs=1e-12
    )  # a quarter turn
    assert found.loc[0, ["weekday_sin", "weekday_cos"]].tolist() == pytest.approx([0, 1])  # Monday
    assert found.loc[1, ["month_sin", "month_cos"]].tolist() == pytest.approx([0, -1], abs=1e-12)  # July
    assert found.loc[1, "hour_cos"] == pytest.approx(1, abs=1e-4)  # one minute before midnight
    assert found["weekend"].tolist()[:2] == [0, 1]
    assert found.loc[2].isna().all()


def test_title_counts_by_hand():
    found = title_counts(pd.Series(["How to BAKE (2024) #bread!", ""])).loc[0]
    assert found["title_length"] == 26 and found["title_words"] == 5
    assert found["title_digits"] == 4 and found["title_hashtags"] == 1 and found["title_exclamations"] == 1
    assert found["title_capitals"] == pytest.approx(5 / 26)
    assert found["title_english_stop_words"] == pytest.approx(2 / 5)  # how, to
    assert (title_counts(pd.Series(["", "x"])).loc[0] == 0).all()


def test_description_counts_by_hand():
    found = description_counts(pd.Series(["0:00 start\nhttps://a.b #x"])).loc[0]
    assert found["description_links"] == 1 and found["description_timestamps"] == 1
    assert found["description_hashtags"] == 1 and found["description_lines"] == pytest.approx(np.log(2))


def test_interactions_are_products_and_missing_stays_missing():
    videos = make_videos(3)
    videos.loc[1, "subscribers"] = np.nan
    found = content_numbers(videos)
    product = found["log_subscribers"] * found["log_duration_seconds"]
    np.testing.assert_allclose(found["log_subscribers x log_duration_seconds"], product, rtol=1e-5)
    assert np.isnan(found.loc[1, "log_subscribers x log_duration_seconds"])
    assert found["tags_in_title"].tolist() == [
        0.5,
        0.5,
        0.5,
    ]  # the first of two tags is the title's first word
