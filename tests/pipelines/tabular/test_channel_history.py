"""What a channel's earlier videos say, on numbers that can be followed by hand."""

import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.pipelines.tabular.channel_history import HISTORY_FEATURES, ChannelHistory


def table(rows: list[tuple[str, str]]) -> pd.DataFrame:
    times = pd.to_datetime([time for _, time in rows], utc=True)
    return pd.DataFrame({"channel_id": [channel for channel, _ in rows], "published_at": times})


KNOWN = table([("a", "2024-01-01"), ("b", "2024-01-02"), ("a", "2024-01-11"), ("a", "2024-03-01")])
SURPLUS = np.array([1.0, -2.0, 3.0, 5.0])
LOG_VIEWS = np.array([10.0, 7.0, 12.0, 14.0])


@pytest.fixture
def history() -> ChannelHistory:
    return ChannelHistory.fit(KNOWN, SURPLUS, LOG_VIEWS)


def describe(history: ChannelHistory, channel: str, time: str) -> dict[str, float]:
    return dict(zip(HISTORY_FEATURES, history.transform(table([(channel, time)]))[0], strict=True))


def test_two_earlier_videos_by_hand(history):
    found = describe(history, "a", "2024-01-21")
    # Prior: mean of the three videos before, (1 - 2 + 3) / 3 = 2/3, counting as two videos.
    assert found["channel_history_count"] == pytest.approx(np.log(3))
    assert found["channel_history_mean"] == pytest.approx((1 + 3 + 2 * 2 / 3) / 4)
    assert found["channel_history_last"] == 3
    assert found["channel_history_spread"] == pytest.approx(1)
    # Days 0 and 10: covariance sum 10, spread 50, and twice 30 squared of prior; per 30 days.
    assert found["channel_history_trend"] == pytest.approx(10 / (50 + 1800) * 30)
    assert found["channel_history_views"] == pytest.approx((10 + 12 + 2 * 29 / 3) / 4)
    assert found["channel_days_since_last"] == pytest.approx(np.log(11))
    assert found["channel_videos_last_30_days"] == pytest.approx(np.log(3))


def test_the_recent_mean_takes_the_last_three_videos():
    days = [f"2024-01-0{day}" for day in range(1, 6)]
    known = table([("a", day) for day in days])
    history = ChannelHistory.fit(known, np.array([100.0, 1, 2, 3, 4]), np.zeros(5))
    found = describe(history, "a", "2024-02-01")
    assert found["channel_history_recent"] == pytest.approx((2 + 3 + 4 + 2 * 22) / 5)


def test_a_new_channel_falls_back_to_the_prior(history):
    found = describe(history, "new", "2024-01-21")
    assert found["channel_history_count"] == 0 and found["channel_videos_last_30_days"] == 0
    assert found["channel_history_mean"] == found["channel_history_recent"] == pytest.approx(2 / 3)
    assert np.isnan(found["channel_history_last"]) and np.isnan(found["channel_days_since_last"])


def test_a_video_of_the_same_moment_is_not_earlier(history):
    assert describe(history, "a", "2024-01-01")["channel_history_count"] == 0
    assert describe(history, "a", "2024-01-11")["channel_history_count"] == pytest.approx(np.log(2))


def test_a_video_without_channel_has_no_history_but_counts_in_the_prior():
    known = table([("", "2024-01-01"), ("", "2024-01-02")])
    history = ChannelHistory.fit(known, np.array([2.0, 4.0]), np.zeros(2))
    found = describe(history, "", "2024-02-01")
    assert found["channel_history_count"] == 0 and found["channel_history_mean"] == pytest.approx(3)


def test_saving_and_loading_gives_the_same_numbers(history, tmp_path):
    history.save(tmp_path)
    again = ChannelHistory.load(tmp_path)
    asked = table([("a", "2024-02-01"), ("b", "2024-02-01"), ("c", "2024-02-01")])
    np.testing.assert_array_equal(history.transform(asked), again.transform(asked))
