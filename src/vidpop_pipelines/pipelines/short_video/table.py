"""The table of short videos: which column is which, types, and everything that can be wrong with a row."""

import os
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.data_report import leave_out_rows, list_problems
from vidpop_pipelines.features.columns import find_named, find_usual
from vidpop_pipelines.features.tables import find_repeated_rows, parse_numbers
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

# Of several tiers the first that the table has is taken.
_SYNONYMS = {
    "video_path": [
        "video_path path video_file file_path filepath file_name filename video_filename video_file_path",
        "video file clip clip_path",
    ],
    "video_id": ["video_id videoid id youtube_id"],
    "author": [
        "author author_id creator creator_id uploader uploader_id channel_id channel user_id user username"
    ],
    "metric": [
        "ecr popularity popularity_score engagement engagement_score engagement_rate nawp metric",
        "views view_count views_count play_count plays",
        "likes like_count likes_count",
    ],
}
FIELDS = list(_SYNONYMS)


def validate_training_table(
    raw: pd.DataFrame, folder: Path, parameters: ShortVideoParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Gives a table with a metric its types, and leaves out what cannot be trained on or evaluated.

    Whether there is a file at each path, and a video in it, is seen when it is decoded (`frames.decode_frames`).

    Args:
        raw: All cells as strings, the index the row number (1 is the first below the header), the file's name in
            ``attrs["source"]``.
        folder: Where relative paths start.
        parameters: `columns` and `metric` are used.

    Returns:
        The videos, in the order of the file with index 0..N-1: `video_id` (its column; without one, the path without
        its suffix, relative to the folder where it lies in it), `path` (ready to be opened), `author` ("" where
        unknown), `metric` (float64). The problems (`video_id`, `column`, `reason`, `left_out`). And the summary for
        the data report: `source`, `rows_read`, `columns` (name here -> name in the file), `metric` (its column).

    Raises:
        InputError: For anything that can't be left out without a guess: naming file, row and column.
    """
    return _validate(raw, folder, parameters, labelled=True)


def validate_forecast_table(
    raw: pd.DataFrame, folder: Path, parameters: ShortVideoParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Validates a table to be scored, which needs no metric; as `validate_training_table`, `metric` NaN throughout."""
    return _validate(raw, folder, parameters, labelled=False)


def _validate(
    raw: pd.DataFrame, folder: Path, parameters: ShortVideoParameters, labelled: bool
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    source = raw.attrs.get("source", "the table of short videos")
    header = [str(name) for name in raw.columns]
    columns = _find_columns(header, parameters, source, labelled)
    if raw.empty:
        raise InputError(f"{source}: no rows below the header.", "one row per video")
    cells = {field: raw.iloc[:, position].str.strip() for field, position in columns.items()}
    paths = cells["video_path"].map(lambda path: os.path.normpath(path) if path else "")
    videos = pd.DataFrame(
        {
            "video_id": cells.get("video_id", _ids_of(paths, folder)),
            "path": paths.map(lambda path: str(folder / path) if path else ""),
            "author": cells.get("author", pd.Series("", index=raw.index)),
            "metric": float("nan"),
        }
    )
    titles = {field: _title(field, header[position]) for field, position in columns.items()}
    if labelled:
        videos["metric"] = parse_numbers(cells["metric"], titles["metric"], source)
    _check_ids(videos["video_id"], titles.get("video_id", ""), source)
    videos, left_out = _leave_out_rows(videos, source, labelled)
    if "author" in columns:
        unknown = list_problems(videos.loc[videos["author"] == "", "video_id"], "author", "empty")
        left_out = pd.concat([left_out, unknown], ignore_index=True)
    summary = {
        "source": source,
        "rows_read": len(raw),
        "columns": {field: header[position] for field, position in columns.items()},
        "metric": header[columns["metric"]] if labelled else None,
    }
    return videos.reset_index(drop=True), left_out, summary


def _title(field: str, name: str) -> str:
    return field if field == name else f"{field} (in the file: {name})"


def _find_columns(
    header: list[str], parameters: ShortVideoParameters, source: str, labelled: bool
) -> dict[str, int]:
    """Finds the fields by the user's names first, and by the usual ones then."""
    named = {f"short_video.columns.{field}": (field, name) for field, name in parameters.columns.items()}
    if parameters.metric is not None:
        named["short_video.metric"] = ("metric", parameters.metric)
    columns = {}
    for option, (field, name) in named.items():
        if field not in FIELDS:
            raise InputError(f"{option}: there is no such field.", f"one of {', '.join(FIELDS)}")
        if field == "metric" and not labelled:
            continue
        columns[field] = find_named(field, name, option, header, source)
    for field, tiers in _SYNONYMS.items():
        if field in columns or (field == "metric" and not labelled):
            continue
        position = find_usual(field, tiers, range(len(header)), _option(field), header, source)
        if position is not None:
            columns[field] = position
    for field in ("video_path", "metric") if labelled else ("video_path",):
        if field not in columns:
            raise InputError(
                f"{source}: no column {field} among {', '.join(name for name in header if name) or 'none'}.",
                f"one named {', '.join(' '.join(_SYNONYMS[field]).split()[:5])} ..., in any case",
                f"name yours with {_option(field)}=<name of your column>.",
            )
    return columns


def _option(field: str) -> str:
    return "short_video.metric" if field == "metric" else f"short_video.columns.{field}"


def _ids_of(paths: pd.Series, folder: Path) -> pd.Series:
    """Names videos after their paths; where only the suffix tells two of them apart, with it."""
    base = os.path.abspath(folder)

    def inside(path: str) -> str:
        whole = os.path.join(base, path)
        return PurePath(os.path.relpath(whole, base) if whole.startswith(base + os.sep) else path).as_posix()

    names = paths.map(lambda path: inside(path) if path else "")
    short = names.map(lambda name: PurePath(name).with_suffix("").as_posix() if name else "")
    ambiguous = names.groupby(short).transform("nunique") > 1
    numbered = pd.Series([f"row {row}" for row in paths.index], index=paths.index)
    return short.mask(ambiguous, names).mask(names == "", numbered).astype("str")


def _check_ids(ids: pd.Series, title: str, source: str) -> None:
    empty = ids == ""
    if empty.any():
        raise InputError(
            f"{source}: row {empty.idxmax()}, column {title}: empty ({int(empty.sum())} such cells).",
            "an id of its own for every video",
            "give the video an id.",
        )


def _leave_out_rows(videos: pd.DataFrame, source: str, labelled: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    reasons = {
        ("video_id", "repeats an earlier row"): find_repeated_rows(videos, source),
        ("video_path", "empty"): videos["path"] == "",
    }
    if labelled:
        reasons[("metric", "metric missing")] = videos["metric"].isna()
    kept, problems = leave_out_rows(videos, reasons)
    if kept.empty:
        raise InputError(
            f"{source}: no usable row: every one lacks its path or its metric.",
            "at least one video with both",
        )
    return kept, problems
