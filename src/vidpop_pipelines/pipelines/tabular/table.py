"""The table of videos that `ensemble` and `multitask` share: its columns, types, and what can be wrong with it."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.data_report import leave_out_rows, list_problems
from vidpop_pipelines.features.columns import column_title
from vidpop_pipelines.features.tables import (
    DateReading,
    find_repeated_rows,
    parse_dates,
    parse_durations,
    parse_lists,
    parse_numbers,
)
from vidpop_pipelines.parameters import Parameters
from vidpop_pipelines.pipelines.tabular.columns import (
    CRAWL_TIME_FIELDS,
    DATE_FIELDS,
    FIELDS,
    LABELS,
    LIST_FIELDS,
    NUMERICAL_FIELDS,
    TEXT_FIELDS,
    ColumnPositions,
    find_columns,
    synonyms,
)

_TIME_TYPE = pd.DatetimeTZDtype("us", "UTC")


class TableOptions(Parameters):
    """How the table of videos is read.

    Attributes:
        columns: Name here -> name of the user's column, for those that are not recognised by name. Daily views are
            `views_day_1`, `views_day_2` ...
        day_first: Whether 3/4/2024 is the 3rd of April; by default the column decides by a part above 12.
        daily_views: Whether a daily series holds the views of each day, or all views up to its end.
    """

    columns: dict[str, str] = {}
    day_first: bool | None = None
    daily_views: Literal["per_day", "cumulative"] = "per_day"


def daily_columns(videos: pd.DataFrame) -> list[str]:
    """Returns the names of the daily series, `views_day_1` first; empty where the table has none."""
    return [name for name in videos.columns if name.startswith("views_day_")]


def validate_videos(
    raw: pd.DataFrame, options: TableOptions, labelled: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Finds the columns of a table of videos, gives them their types, and reports everything that is missing.

    Args:
        raw: All cells as strings, the index the row number (1 is the first below the header), the file's name in
            ``attrs["source"]``.
        options: How columns, dates and daily views are read.
        labelled: False for a forecast, where publish time and views may be absent.

    Returns:
        The videos, in the order of the file, with index 0..N-1. All columns are always there; what the file lacks
        is missing (NaN, "" or NaT) in every row:

        - str: `video_id`, `title`, `description`, `channel_id`, `definition`, `caption`, `language`; `tags` and
          `categories` with items joined by `|`;
        - datetime64[us, UTC]: `published_at`, `channel_created_at`;
        - float64: `duration_seconds`, `subscribers`, `channel_video_count`, `channel_avg_views`, `num_tags`,
          `age_hours` (age of the video when its views were read), the labels `views`, `likes`, `comments`;
        - float64, only if the file has them: `views_day_1` .., the views gained on each day.

        The problems (`video_id`, `column`, `reason`, `left_out`). And the summary for the data report: `source`,
        `rows_read`, `columns` (name here -> name in the file), `absent_columns`, `ignored_columns`,
        `answer_columns` (they contain the answer and are never used), `crawl_time_features` (known when the table
        was read, not when the video appeared), `daily_views` (number of days), `notes` (sentences).

    Raises:
        InputError: For anything that can't be left out without a guess: naming file, row and column.
    """
    source = raw.attrs.get("source", "the table of videos")
    header = [str(name) for name in raw.columns]
    columns = find_columns(header, options.columns, source)
    _check_required(columns, header, source, labelled)
    if raw.empty:
        raise InputError(f"{source}: no rows below the header.", "one row per video")
    titles = {field: _describe(field, column_title(header, p)) for field, p in columns.fields.items()}
    titles |= {f"views_day_{d}": column_title(header, p) for d, p in enumerate(columns.days, start=1)}
    videos, readings = _read_cells(raw, columns, titles, options, source)
    _check_ids(videos["video_id"], titles["video_id"], source)
    _check_schema(videos, titles, source)
    if options.daily_views == "cumulative":
        videos = _to_daily_gains(videos, titles, source)
    videos, left_out = _leave_out_rows(videos, source, labelled)
    videos, impossible = _remove_impossible_likes(videos)
    expected = _expected_columns(videos, columns, labelled)
    notes = _date_notes(readings) + _content_notes(videos, expected, options)
    problems = [left_out, impossible, *_missing_values(videos, expected, impossible)]
    return (
        videos.reset_index(drop=True),
        pd.concat(problems, ignore_index=True),
        _summarise(raw, header, columns, source, notes, labelled),
    )


def _describe(field: str, title: str) -> str:
    return field if title == field else f"{field} (in the file: {title})"


def _check_required(columns: ColumnPositions, header: list[str], source: str, labelled: bool) -> None:
    required = ["video_id", "published_at", "views"] if labelled else ["video_id"]
    for field in required:
        if field not in columns.fields:
            raise InputError(
                f"{source}: no column {field} among {', '.join(name for name in header if name) or 'none'}.",
                f"one named {', '.join(synonyms(field)[:6])} ..., in any case, with spaces or underscores",
                f"name yours with tabular.columns.{field}=<name of your column>.",
            )


def _read_cells(
    raw: pd.DataFrame, columns: ColumnPositions, titles: dict[str, str], options: TableOptions, source: str
) -> tuple[pd.DataFrame, dict[str, DateReading]]:
    """Gives every cell its type; nothing is left out or checked for its range yet."""
    values: dict[str, pd.Series] = {}
    readings: dict[str, DateReading] = {}
    for field in FIELDS:
        if field not in columns.fields:
            values[field] = _all_missing(field, raw.index)
            continue
        cells, title = raw.iloc[:, columns.fields[field]], titles[field]
        if field in LIST_FIELDS:
            values[field] = parse_lists(cells)
        elif field in DATE_FIELDS:
            values[field], readings[field] = parse_dates(
                cells, title, source, day_first=options.day_first, option="tabular.day_first"
            )
        elif field == "duration_seconds":
            values[field] = parse_durations(cells, title, source)
        elif field in NUMERICAL_FIELDS + LABELS:
            values[field] = parse_numbers(cells, title, source)
        else:
            values[field] = cells.str.strip()
    if "num_tags" not in columns.fields and "tags" in columns.fields:
        values["num_tags"] = (values["tags"].str.count(r"\|") + values["tags"].ne("")).astype("float64")
    for day, position in enumerate(columns.days, start=1):
        name = f"views_day_{day}"
        values[name] = parse_numbers(raw.iloc[:, position], titles[name], source)
    return pd.DataFrame(values), readings


def _all_missing(field: str, index: pd.Index) -> pd.Series:
    if field in DATE_FIELDS:
        return pd.Series(pd.NaT, index=index, dtype=_TIME_TYPE)
    if field in NUMERICAL_FIELDS + LABELS:
        return pd.Series(np.nan, index=index)
    return pd.Series("", index=index, dtype="str")


def _check_ids(ids: pd.Series, title: str, source: str) -> None:
    empty = ids == ""
    if empty.any():
        raise InputError(
            f"{source}: row {empty.idxmax()}, column {title}: empty ({int(empty.sum())} such cells).",
            "an id of its own for every video",
            "give the video an id.",
        )


def _check_schema(videos: pd.DataFrame, titles: dict[str, str], source: str) -> None:
    import pandera.pandas as pa

    not_negative = pa.Check.ge(0, error="zero or more")
    numbers = [*NUMERICAL_FIELDS, *LABELS, *daily_columns(videos)]
    schema = pa.DataFrameSchema(
        {name: pa.Column(str) for name in ["video_id", *TEXT_FIELDS, *LIST_FIELDS]}
        | {name: pa.Column(_TIME_TYPE, nullable=True) for name in DATE_FIELDS}
        | {name: pa.Column(float, not_negative, nullable=True) for name in numbers},
        strict=True,
        ordered=False,
    )
    try:
        schema.validate(videos, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        case = cases.iloc[0]
        raise InputError(
            f"{source}: row {case['index']}, column {titles[case['column']]}: {case['failure_case']}"
            f" ({len(cases)} such cells).",
            str(case["check"]),
            "correct or empty the cell.",
        ) from None


def _to_daily_gains(videos: pd.DataFrame, titles: dict[str, str], source: str) -> pd.DataFrame:
    """Turns views up to each day into views of each day; beside a missing day neither gain is known."""
    days = daily_columns(videos)
    totals = videos[days]
    before = totals.shift(axis="columns")
    highest = totals.cummax(axis="columns").ffill(axis="columns").shift(axis="columns")
    falls = totals < highest
    if falls.to_numpy().any():
        row = falls.any(axis="columns").idxmax()
        day = falls.columns[falls.loc[row]][0]
        raise InputError(
            f"{source}: row {row}, column {titles[day]}: {totals.at[row, day]:g} views after"
            f" {highest.at[row, day]:g} ({int(falls.to_numpy().sum())} such cells).",
            "totals that never fall, since tabular.daily_views is cumulative",
            "correct the cell, or set tabular.daily_views=per_day if the columns hold the views of each day.",
        )
    before[days[:1]] = 0.0
    return videos.assign(**(totals - before))


def _leave_out_rows(videos: pd.DataFrame, source: str, labelled: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    reasons = {("video_id", "repeats an earlier row"): find_repeated_rows(videos, source)}
    if labelled:
        reasons[("views", "views missing")] = videos["views"].isna()
        reasons[("published_at", "publish time missing")] = videos["published_at"].isna()
    kept, problems = leave_out_rows(videos, reasons)
    if kept.empty:
        raise InputError(
            f"{source}: no usable row: every one lacks its views or its publish time.",
            "at least one video with both",
        )
    return kept, problems


def _remove_impossible_likes(videos: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    impossible = videos["likes"] > videos["views"]
    problems = list_problems(
        videos.loc[impossible, "video_id"], "likes", "more likes than views: taken as missing"
    )
    return videos.assign(likes=videos["likes"].mask(impossible)), problems


def _expected_columns(videos: pd.DataFrame, columns: ColumnPositions, labelled: bool) -> list[str]:
    """Names the columns of the file whose cells should hold something.

    Labels and daily views of a forecast are what is asked for: neither known nor missed.
    """
    if labelled:
        return [*columns.fields, *daily_columns(videos)]
    return [name for name in columns.fields if name not in LABELS]


def _missing_values(
    videos: pd.DataFrame, expected: list[str], impossible: pd.DataFrame
) -> list[pd.DataFrame]:
    """Lists the empty cells of the rows that are used."""
    problems = []
    for name in expected:
        missing = _is_missing(videos[name])
        if name == "likes":
            missing &= ~videos["video_id"].isin(impossible["video_id"])
        reason = "missing day" if name.startswith("views_day_") else "empty"
        problems.append(list_problems(videos.loc[missing, "video_id"], name, reason))
    return problems


def _is_missing(values: pd.Series) -> pd.Series:
    return values.eq("") if values.dtype == "str" else values.isna()


def _date_notes(readings: dict[str, DateReading]) -> list[str]:
    notes = []
    for field, reading in readings.items():
        if reading.n_without_zone:
            notes.append(f"{field}: {reading.n_without_zone} dates name no time zone and were read as UTC.")
        if reading.order:
            by = "tabular.day_first" if reading.given else "the dates of the column"
            notes.append(f"{field}: dates such as 3/4/2024 were read with the {reading.order}, by {by}.")
    return notes


def _content_notes(videos: pd.DataFrame, expected: list[str], options: TableOptions) -> list[str]:
    notes = [f"{name}: empty in every row." for name in expected if _is_missing(videos[name]).all()]
    channels = videos.loc[videos["channel_id"] != "", "channel_id"]
    if len(channels) > 1 and channels.nunique() == 1:
        notes.append(
            "channel_id: all videos are of one channel, so that nothing can be learned about channels."
        )
    gained = videos[daily_columns(videos)].sum(axis="columns")
    if options.daily_views == "per_day" and (gained > videos["views"]).mean() > 0.5:
        notes.append(
            "views_day: the days add up to more than `views` for most videos. If they hold all views up to each day,"
            " set tabular.daily_views=cumulative."
        )
    return notes


def _summarise(
    raw: pd.DataFrame,
    header: list[str],
    columns: ColumnPositions,
    source: str,
    notes: list[str],
    labelled: bool,
) -> dict[str, Any]:
    derived = {"num_tags"} if "tags" in columns.fields else set()
    asked = set() if labelled else set(LABELS)
    return {
        "source": source,
        "rows_read": len(raw),
        "columns": {field: column_title(header, p) for field, p in columns.fields.items()},
        "daily_views": len(columns.days),
        "absent_columns": [f for f in FIELDS if f not in columns.fields and f not in derived | asked],
        "ignored_columns": [column_title(header, p) for p in columns.ignored],
        "answer_columns": [column_title(header, p) for p in columns.answers],
        "crawl_time_features": [field for field in CRAWL_TIME_FIELDS if field in columns.fields],
        "notes": notes,
    }
