"""The data report: what was read, used and left out, and which inputs are missing for which videos."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

PROBLEM_COLUMNS = ["video_id", "column", "reason", "left_out"]


def list_problems(
    video_ids: pd.Series, column: str, reason: str | pd.Series, *, left_out: bool = False
) -> pd.DataFrame:
    """Lists one problem per video.

    Args:
        video_ids: The videos concerned; may be empty.
        column: The column, or other input, that the problem is about.
        reason: What is wrong; one text for all videos, or one each with the index of `video_ids`.
        left_out: Whether the row is left out, or used without this value.

    Returns:
        Columns `video_id`, `column`, `reason`, `left_out`, in the order of `video_ids`.
    """
    problems = {"video_id": video_ids, "column": column, "reason": reason, "left_out": left_out}
    return pd.DataFrame(problems, columns=PROBLEM_COLUMNS, index=video_ids.index).reset_index(drop=True)


def leave_out_rows(
    videos: pd.DataFrame, reasons: Mapping[tuple[str, str], pd.Series]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leaves out rows, each for the first reason that applies.

    Args:
        videos: Rows with a `video_id`.
        reasons: Column and what is wrong with it, to a mask of the rows.

    Returns:
        The other rows, and the problems of those left out, as `list_problems` lists them.
    """
    out = pd.Series(False, index=videos.index)
    problems = [list_problems(videos["video_id"].iloc[:0], "", "", left_out=True)]
    for (column, reason), mask in reasons.items():
        problems.append(list_problems(videos.loc[mask & ~out, "video_id"], column, reason, left_out=True))
        out |= mask
    return videos[~out], pd.concat(problems, ignore_index=True)


def build_data_report(
    summary: dict[str, Any], videos: pd.DataFrame, problems: pd.DataFrame
) -> dict[str, Any]:
    """Says what was read, used and left out, and which inputs are missing for which videos.

    Args:
        summary: What else the report says, at least `source` and `rows_read`.
        videos: The videos used.
        problems: Tables of `list_problems`, concatenated.

    Returns:
        The summary, `rows_used`, and `left_out` and `missing`: per column and reason the count and the ids.
    """

    def grouped(part: pd.DataFrame) -> list[dict[str, Any]]:
        return [
            {"column": column, "reason": reason, "count": len(rows), "video_ids": rows["video_id"].tolist()}
            for (column, reason), rows in part.groupby(["column", "reason"], sort=False)
        ]

    left_out = problems["left_out"].astype(bool)
    return {
        **summary,
        "rows_used": len(videos),
        "left_out": grouped(problems[left_out]),
        "missing": grouped(problems[~left_out]),
    }


def count_missing(data_report: dict[str, Any]) -> dict[str, int]:
    """Returns column to number of videos that lack it, whatever the reason."""
    lacking: dict[str, set[str]] = {}
    for entry in data_report["missing"]:
        lacking.setdefault(entry["column"], set()).update(entry["video_ids"])
    return {column: len(video_ids) for column, video_ids in lacking.items()}
