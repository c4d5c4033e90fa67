"""Cells of a raw table: strings to numbers, durations, points in time and lists; nothing is guessed.

Every function takes one column of strings whose index is the row number of the file. An empty cell is a missing
value; a cell that can't be read is an error that names file, row and column. Only unusual spellings cost time:
plain numbers and ISO 8601 dates are read a column at once.
"""

import ast
import csv
import json
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError

# Spellings of a missing number, date or duration. (In a text they may be meant.)
_EMPTY = {"", "nan", "na", "n/a", "null", "none", "nat", "<na>"}

_SECONDS = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
_ISO_DURATION = re.compile(
    r"^P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$",
    re.ASCII,
)
# `1:75:00` is a slip, `75:00` is not.
_LONG_CLOCK = re.compile(r"^(?P<hours>\d+):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d(?:\.\d+)?)$", re.ASCII)
_SHORT_CLOCK = re.compile(r"^(?P<minutes>\d+):(?P<seconds>[0-5]\d(?:\.\d+)?)$", re.ASCII)

# A time of day with an optional zone, as it follows a date in any of the spellings below.
_TIME = (
    r"(?:,?[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|[A-Za-z]{2,4}|[+-]\d{2}(?::?\d{2})?)?)?(?:\s*\([A-Za-z ]+\))?"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DATES = {
    "year first": r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
    "compact": r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    "month by name": r"(?:[A-Za-z]{3,9},?\s+)?(?P<day>\d{1,2})[ -](?P<month>[A-Za-z]{3,9})[ -](?P<year>\d{4})",
    "month by name first": r"(?P<month>[A-Za-z]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",
    "undecided": r"(?P<first>\d{1,2})([-/.])(?P<second_part>\d{1,2})\2(?P<year>\d{4})",
}
_ISO = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?"
_ISO_ZONE = r".*:\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)"
_EPOCH = r"\d{9,10}(?:\.\d+)?|\d{12,13}(?:\.0*)?"
# RFC 2822 knows these names. Any other is ambiguous between countries.
_ZONES = {"": "+0000", "z": "+0000", "ut": "+0000", "utc": "+0000", "gmt": "+0000"} | {
    f"{letter}{kind}t": f"-{hours + (kind == 's'):02d}00"
    for letter, hours in zip("ecmp", (4, 5, 6, 7), strict=True)
    for kind in "sd"
}


@dataclass(frozen=True)
class DateReading:
    """How the dates of a column were read.

    Attributes:
        n_without_zone: Dates that name no time zone and were read as UTC.
        order: Order of dates such as 3/4/2024, where the column has any.
        given: Whether that order was given, or found in the column.
    """

    n_without_zone: int
    order: Literal["day first", "month first"] | None
    given: bool


def parse_numbers(cells: pd.Series, column: str, source: str) -> pd.Series:
    """Reads numbers.

    Args:
        cells: (N,) strings.
        column: Name of the column, for messages.
        source: Name of the file, for messages.

    Returns:
        (N,) float64; NaN where a cell is empty.

    Raises:
        InputError: For a cell that is no finite number; thousands separators are not guessed.
    """
    numbers = _numbers(cells)
    expected = "a number, without thousands separators"
    _check_readable(numbers.mask(np.isinf(numbers)), cells, column, source, "finite number", expected)
    return numbers


def parse_durations(cells: pd.Series, column: str, source: str) -> pd.Series:
    """Reads durations: seconds, ISO 8601 (`PT1H2M3S`), `H:MM:SS` or `MM:SS`.

    Args:
        cells: (N,) strings.
        column: Name of the column, for messages.
        source: Name of the file, for messages.

    Returns:
        (N,) seconds, float64; NaN where a cell is empty.

    Raises:
        InputError: For a cell in any other spelling.
    """
    seconds = _numbers(cells)
    rest = cells[seconds.isna()].str.strip()
    for pattern in (_ISO_DURATION, _LONG_CLOCK, _SHORT_CLOCK):
        parts = rest.str.extract(pattern).astype("float64")
        parts = parts[parts.notna().any(axis="columns")].fillna(0.0)
        factors = [_SECONDS[unit] for unit in parts]
        seconds.loc[parts.index] = parts.to_numpy() @ factors
        rest = rest.drop(parts.index)
    expected = "seconds, PT1H2M3S, H:MM:SS or MM:SS"
    _check_readable(seconds.mask(np.isinf(seconds)), cells, column, source, "duration", expected)
    return seconds


def parse_dates(
    cells: pd.Series, column: str, source: str, *, day_first: bool | None, option: str
) -> tuple[pd.Series, DateReading]:
    """Reads points in time; spellings and time zones may differ from cell to cell.

    Spellings: ISO 8601, with or without time and zone, also as `20240131` or with slashes; RFC 2822; `Jan 31, 2024`;
    seconds or milliseconds since 1970; day, month and year with slashes, dots or hyphens, in an order that holds
    for the whole column. What names no zone is UTC.

    Args:
        cells: (N,) strings.
        column: Name of the column, for messages.
        source: Name of the file, for messages.
        day_first: Whether 3/4/2024 is the 3rd of April; None to see it from a part above 12.
        option: Name of the parameter that decides `day_first`, for messages.

    Returns:
        (N,) datetime64[us, UTC], NaT where a cell is empty; and how they were read.

    Raises:
        InputError: For a cell that is no date, or if the column doesn't tell days from months.
    """
    stripped = cells.str.strip()
    empty = _is_empty(stripped)
    iso = stripped.str.fullmatch(_ISO)
    epoch = stripped.str.fullmatch(_EPOCH)
    other = ~(iso | epoch | empty)
    parts = _date_parts(stripped[other])
    order = _order_of_days(parts, stripped, column, source, day_first, option)
    times = pd.concat(
        [
            pd.to_datetime(stripped[iso], format="ISO8601", utc=True, errors="coerce"),
            _from_epoch(stripped[epoch]),
            _from_parts(parts, order),
        ]
    )
    times = times.dt.as_unit("us").reindex(cells.index)
    expected = (
        "ISO 8601 such as 2024-01-31T18:30:00+01:00, RFC 2822, seconds or milliseconds since 1970, or 31/1/2024"
        f" ({option} says which of day and month is first)"
    )
    what = f"date with the {order}" if order else "date"
    _check_readable(times, cells, column, source, what, expected)
    n_without_zone = int((iso & ~stripped.str.fullmatch(_ISO_ZONE)).sum() + parts["zone"].eq("").sum())
    return times, DateReading(n_without_zone, order, given=order is not None and day_first is not None)


def parse_lists(cells: pd.Series) -> pd.Series:
    r"""Reads lists: `a|b`, `a,b`, `"a"|"b"`, and the text of a JSON or Python list.

    Args:
        cells: (N,) strings.

    Returns:
        (N,) items joined with `|`: stripped, in order, each once; "" where there is none (also for `[none]`).
    """
    texts = cells.unique()
    joined = {text: "|".join(dict.fromkeys(_items(text.strip()))) for text in texts}
    return cells.map(joined).astype("str")


def find_repeated_rows(videos: pd.DataFrame, source: str) -> pd.Series:
    """Finds rows that say again what an earlier row says.

    Args:
        videos: A table with a column `video_id`, whose index is the row number.
        source: Name of the file, for messages.

    Returns:
        True where a row repeats an earlier one in every column.

    Raises:
        InputError: If an id stands in two rows with different values.
    """
    repeated = videos.duplicated()
    conflicting = videos.loc[~repeated, "video_id"].duplicated()
    if conflicting.any():
        row = conflicting.idxmax()
        video_id = videos.at[row, "video_id"]
        first = videos.index[videos["video_id"] == video_id][0]
        raise InputError(
            f"{source}: row {row}, column video_id: {video_id!r} stands in row {first} already, with other values"
            f" ({int(conflicting.sum())} such rows).",
            "one row per video",
            "delete the row that is wrong.",
        )
    return repeated


def _numbers(cells: pd.Series) -> pd.Series:
    return pd.to_numeric(cells, errors="coerce").astype("float64")


def _is_empty(cells: pd.Series) -> pd.Series:
    return cells.str.strip().str.lower().isin(_EMPTY)


def _check_readable(
    values: pd.Series, cells: pd.Series, column: str, source: str, what: str, expected: str
) -> None:
    unread = cells[values.isna()]
    wrong = unread[~_is_empty(unread)].str.strip()
    if len(wrong):
        raise InputError(
            f"{source}: row {wrong.index[0]}, column {column}: {wrong.iloc[0]!r} is not a {what}"
            f" ({len(wrong)} such cells).",
            f"{expected}; nothing where the value is missing",
            "correct or empty the cell.",
        )


def _date_parts(cells: pd.Series) -> pd.DataFrame:
    """Takes dates apart; a row that no spelling fits has no year. Month names are still names."""
    names = re.findall(r"\(\?P<(\w+)>", _TIME) + ["year", "month", "day", "first", "second_part"]
    parts = pd.DataFrame("", index=cells.index, columns=names, dtype="str")
    rest = cells
    for date in _DATES.values():
        found = rest.str.extract(re.compile(f"^{date}{_TIME}$", re.ASCII))
        found = found[[name for name in found if isinstance(name, str)]].fillna("")
        found = found[found["year"] != ""]
        parts.loc[found.index, found.columns] = found.astype("str")
        rest = rest.drop(found.index)
    return parts


def _order_of_days(
    parts: pd.DataFrame, cells: pd.Series, column: str, source: str, day_first: bool | None, option: str
) -> Literal["day first", "month first"] | None:
    undecided = parts.loc[parts["first"] != "", ["first", "second_part"]].astype(int)
    if undecided.empty:
        return None
    if day_first is not None:
        return "day first" if day_first else "month first"
    large = undecided > 12
    if large["first"].any() and large["second_part"].any():
        rows = large["first"].idxmax(), large["second_part"].idxmax()
        raise InputError(
            f"{source}: column {column}: in row {rows[0]} ({cells[rows[0]]!r}) the day is first, in row {rows[1]}"
            f" ({cells[rows[1]]!r}) the month.",
            "one order in the whole column",
            f"write the dates as 2024-01-31, or correct the wrong ones and set {option}.",
        )
    if large["first"].any():
        return "day first"
    if large["second_part"].any() or (undecided["first"] == undecided["second_part"]).all():
        return "month first"
    row = (undecided["first"] != undecided["second_part"]).idxmax()
    raise InputError(
        f"{source}: row {row}, column {column}: {cells[row]!r} may be read with the day or the month first, and no"
        " date of the column decides.",
        "an order of day and month",
        f"set {option}=true (31/1/2024) or {option}=false (1/31/2024), or write the dates as 2024-01-31.",
    )


def _from_epoch(cells: pd.Series) -> pd.Series:
    numbers = cells.astype("float64")
    seconds = numbers.where(numbers < 1e11, numbers / 1000)
    return pd.to_datetime((seconds * 1e6).round(), unit="us", utc=True)


def _from_parts(parts: pd.DataFrame, order: str | None) -> pd.Series:
    months = {name: f"{number:02d}" for number, name in enumerate(_MONTHS, start=1)}
    by_name = parts["month"].str[:3].str.lower().map(months)
    month = by_name.fillna(parts["month"].where(parts["month"].str.isdigit(), "")).astype("str")
    slashed = parts["first"] != ""
    first_is_day = order == "day first"
    day = parts["day"].mask(slashed, parts["first" if first_is_day else "second_part"])
    month = month.mask(slashed, parts["second_part" if first_is_day else "first"])
    date = parts["year"] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    hour = parts["hour"].replace("", "0").astype(int)
    half = parts["half"].str[:1].str.lower()
    twelve_hours = (half != "") & hour.between(1, 12)
    hour = hour.mask(twelve_hours, hour % 12 + 12 * (half == "p"))
    hour = hour.mask((half != "") & ~twelve_hours, 99)  # 15:00 pm is no time
    zone = parts["zone"].str.lower()
    offset = zone.map(_ZONES).fillna(zone.where(zone.str.contains(r"\d"), "?")).astype("str")
    time = hour.astype("str").str.zfill(2) + ":" + parts["minute"].replace("", "00")
    time += ":" + parts["second"].replace("", "00") + "." + parts["fraction"].replace("", "0")
    return pd.to_datetime(date + "T" + time + offset, format="ISO8601", utc=True, errors="coerce")


def _items(text: str) -> list[str]:
    if text.startswith("[") and text.endswith("]"):
        items = _bracketed_items(text)
    elif '"' in text and text.count('"') % 2 == 0:
        delimiter = "|" if "|" in text else ","
        items = next(csv.reader([text.replace("\n", " ")], delimiter=delimiter, skipinitialspace=True))
    else:
        items = text.split("|" if "|" in text else ",")
    # The separator itself can't stand in an item of the joined text.
    stripped = (item.replace("|", " ").strip() for item in items)
    return [item for item in stripped if item]


def _bracketed_items(text: str) -> list[str]:
    if text[1:-1].strip().lower() in ("", "none"):
        return []
    if not re.search(r"""['"]\s*,""", text):
        # The text of a NumPy array lacks the commas, and Python would glue its strings together.
        text = re.sub(r"""(['"])\s+(?=['"])""", r"\1, ", text)
    for read in (json.loads, ast.literal_eval):
        try:
            items = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError):
            continue
        # Half an escaped emoji, which JSON allows, is no text.
        return [str(item).encode("utf-8", "replace").decode() for item in items if item is not None]
    # Only a text in brackets, such as `[4K]|[live]`.
    return text.split("|" if "|" in text else ",")
