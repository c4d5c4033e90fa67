import pandas as pd
import pytest

from vidpop_pipelines.what_if.words import describe_change, describe_others, describe_views


@pytest.mark.parametrize(
    ("views", "said"), [(1_234_567.0, "1,230,000"), (45.67, "46"), (1.0, "1"), (0.2, "under 1")]
)
def test_views_have_three_digits_and_are_whole(views, said):
    assert describe_views(views) == said


def test_change_is_relative():
    assert describe_change(149.0, 99.0) == "+50.0% against before"
    assert describe_change(49.0, 99.0) == "-50.0% against before"
    assert describe_change(99.0, 99.0) == "as before"
    assert describe_change(99.0, None) is None


def test_other_targets_stand_in_a_table_beside_those_before():
    now = pd.DataFrame(
        {
            "day": [0],
            "views": [9.0],
            "lower": [4.0],
            "upper": [20.0],
            "like_ratio": [0.0412],
            "decay_rate": [None],
            "time_to_peak_days": [2.345],
            "lifecycle_stage": ["peak"],
            "lifecycle_stage=peak": [0.6],
        }
    ).astype({"decay_rate": float})
    table = describe_others(now, now.assign(like_ratio=0.05))
    assert table["forecast"].to_dict() == {
        "Likes per view": "4.1%",
        "Decay per day, after the peak": "–",
        "Days to the peak": "2.35",
        "Stage": "peak",
        "Probability of peak": "60.0%",
    }
    assert table.at["Likes per view", "before"] == "5.0%"
    assert describe_others(now[["day", "views", "lower", "upper"]], None).empty
