import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.what_if.client import Unanswered
from vidpop_pipelines.what_if.form import Field
from vidpop_pipelines.what_if.questions import (
    CURVE,
    NUMBER,
    effects,
    kind_of_answer,
    read_answer,
    sweep_requests,
    sweep_values,
    views_until,
    withheld_requests,
)

TITLE = Field("title", "Title")
DAY_1 = Field("day_1", "Views on day 1", "score", required=True)
DURATION = Field("duration", "Duration", "number", low=10, high=1000)
FIELDS = [TITLE, DAY_1, DURATION]
VALUES = {"title": "Bread", "day_1": 6, "duration": None}


def test_curve_and_number_of_views_have_a_page_and_nothing_else():
    assert kind_of_answer(["video_id", "day", "y_pred", "lower", "upper"]) == "curve"
    assert kind_of_answer(["video_id", "predicted_views", "lower", "upper"]) == "number"
    assert kind_of_answer(["video_id", "popular", "y_pred", "lower", "upper"]) is None


def test_views_until_a_day_invert_the_score():
    # log2(views / day + 1): 3 is 7 views a day, 14 until day 2; 0 is none.
    np.testing.assert_allclose(views_until(np.array([2, 30]), np.array([3.0, 0.0])), [14, 0])
    days, views = np.array([1, 7, 30]), np.array([5.0, 1e6, 3.0])
    np.testing.assert_allclose(views_until(days, np.log2(views / days + 1)), views)


def test_answer_with_days_becomes_views_of_each_video():
    rows = [
        {"video_id": "video 0", "day": 1, "y_pred": 1.0, "lower": 0.0, "upper": 2.0},
        {"video_id": "video 0", "day": 2, "y_pred": 2.0, "lower": 1.0, "upper": 3.0},
        {"video_id": "video 1", "day": 1, "y_pred": 0.0, "lower": None, "upper": None},
        {"video_id": "video 1", "day": 2, "y_pred": 1.0, "lower": None, "upper": None},
    ]
    answer = read_answer(rows, 2, CURVE)
    assert answer.columns.tolist() == ["day", "views", "lower", "upper"]
    assert answer["day"].tolist() == [1, 2, 1, 2]
    assert answer["views"].tolist() == [1, 6, 0, 2]
    assert answer["lower"].tolist()[:2] == [0, 2] and answer["upper"].tolist()[:2] == [3, 14]
    assert answer["lower"].isna().tolist() == [False, False, True, True]


def test_answer_without_days_keeps_its_other_targets():
    rows = [{"video_id": "a", "predicted_views": 9.0, "lower": 4.0, "upper": 20.0, "lifecycle_stage": "peak"}]
    expected = {"day": 0, "views": 9.0, "lower": 4.0, "upper": 20.0, "lifecycle_stage": "peak"}
    assert read_answer(rows, 1, NUMBER).iloc[0].to_dict() == expected


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_answer_with_other_than_as_many_rows_for_each_video_is_none(n_rows):
    rows = [{"video_id": "a", "predicted_views": 9.0, "lower": 4.0, "upper": 20.0}] * n_rows
    with pytest.raises(Unanswered, match=f"answers with {n_rows} rows for 2 videos"):
        read_answer(rows, 2, NUMBER)


@pytest.mark.parametrize(
    ("row", "kind", "absent"),
    [
        ({"video_id": "a", "target": "ecr", "y_pred": 0.5}, CURVE, "day, lower, upper"),
        ({"video_id": "a", "y_pred": 0.5}, NUMBER, "predicted_views, lower, upper"),
        ({"video_id": "a", "predicted_views": 1.0, "lower": 0.0, "upper": 2.0}, CURVE, "day, y_pred"),
        (0.5, NUMBER, "video_id, predicted_views, lower, upper"),
    ],
)
def test_answer_of_another_family_says_what_it_lacks(row, kind, absent):
    with pytest.raises(Unanswered, match=f"without {absent}: it serves another model"):
        read_answer([row], 1, kind)


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(0.001, 1e12)))
def test_tried_values_rise_over_the_range_and_hold_the_current_one(current):
    tried = sweep_values(DURATION, current)
    assert (np.diff(tried) > 0).all() and len(tried) <= 26
    assert 0 < tried[0] <= 10 and tried[-1] >= 1000 and (current is None or current in tried)


def test_tried_values_are_whole_and_even_in_logarithms():
    tried = sweep_values(DURATION, 0)
    assert tried[[0, 12, 24]].tolist() == [10, 100, 1000]
    assert (tried == tried.round()).all()


def test_sweep_changes_one_input_only_and_views_into_scores():
    requests = sweep_requests(FIELDS, VALUES, DAY_1, np.array([1.0, 3.0]))
    assert requests == [
        {"title": "Bread", "day_1": 1.0, "duration": None},
        {"title": "Bread", "day_1": 2.0, "duration": None},
    ]


def test_each_given_input_is_withheld_once_and_a_required_number_halved():
    assert withheld_requests(FIELDS, VALUES) == {
        "Title": {"title": None, "day_1": pytest.approx(np.log2(7)), "duration": None},
        "Views on day 1 (against half)": {"title": "Bread", "day_1": 2.0, "duration": None},
    }


def test_effects_are_factors_with_the_strongest_first():
    # (99 + 1) / (49 + 1), / (399 + 1), / (99 + 1)
    found = effects(99, {"Title": 49, "Tags": 399, "Category": 99})
    pd.testing.assert_series_equal(found, pd.Series({"Tags": 0.25, "Title": 2.0, "Category": 1.0}))
