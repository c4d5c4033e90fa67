"""What a report says about its data."""

from vidpop_pipelines.pipelines.tabular.reporting import data_notes


def test_missing_days_are_one_line():
    ids = list("abcdefg")
    missing = [
        {"column": "title", "video_ids": ids[:5]},
        {"column": "views_day_1", "video_ids": ids[:3]},
        {"column": "views_day_2", "video_ids": ids},
    ]
    report = {"rows_used": 9, "rows_read": 10, "missing": missing, "absent_columns": ["tags", "caption"]}
    assert data_notes(report) == [
        "9 of 10 rows were used. Missing: title: 5; views of a day: 3 to 7 videos on 2 days.",
        "The table does not have: tags, caption.",
    ]
    assert data_notes({"rows_used": 1, "rows_read": 1, "missing": []}) == [
        "1 of 1 rows were used. Missing: nothing."
    ]
