import pandas as pd

from vidpop_pipelines.evaluation.data_report import build_data_report, count_missing, list_problems


def test_problems_are_one_line_per_video():
    ids = pd.Series(["a", "b"], index=[7, 3])
    problems = list_problems(ids, "title", pd.Series(["empty", "torn"], index=[7, 3]), left_out=True)
    assert problems.to_dict("records") == [
        {"video_id": "a", "column": "title", "reason": "empty", "left_out": True},
        {"video_id": "b", "column": "title", "reason": "torn", "left_out": True},
    ]


def test_no_videos_are_no_problems():
    problems = list_problems(pd.Series([], dtype="str"), "title", "empty")
    assert problems.empty and list(problems) == ["video_id", "column", "reason", "left_out"]


def test_report_groups_by_column_and_reason_and_keeps_the_summary():
    problems = pd.concat(
        [
            list_problems(pd.Series(["a", "c"]), "views", "views missing", left_out=True),
            list_problems(pd.Series(["b"]), "title", "empty"),
            list_problems(pd.Series(["d"]), "likes", "empty"),
            list_problems(pd.Series(["e"]), "title", "empty"),
        ],
        ignore_index=True,
    )
    summary = {"source": "videos.csv", "rows_read": 5, "notes": ["one channel"]}
    report = build_data_report(summary, pd.DataFrame({"video_id": ["b", "d", "e"]}), problems)
    assert report == {
        "source": "videos.csv",
        "rows_read": 5,
        "notes": ["one channel"],
        "rows_used": 3,
        "left_out": [
            {"column": "views", "reason": "views missing", "count": 2, "video_ids": ["a", "c"]},
        ],
        "missing": [
            {"column": "title", "reason": "empty", "count": 2, "video_ids": ["b", "e"]},
            {"column": "likes", "reason": "empty", "count": 1, "video_ids": ["d"]},
        ],
    }


def test_a_video_counts_once_per_column_whatever_the_reasons():
    ids = pd.Series(["a", "b"])
    problems = pd.concat(
        [
            list_problems(ids, "thumbnail", "file not found"),
            list_problems(ids[:1], "thumbnail", "broken"),
            list_problems(ids[:1], "title", "empty"),
            list_problems(pd.Series(["c"]), "views", "views missing", left_out=True),
        ]
    )
    report = build_data_report({}, pd.DataFrame({"video_id": ids}), problems)
    assert count_missing(report) == {"thumbnail": 2, "title": 1}
