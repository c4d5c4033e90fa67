"""The SMTPD table: columns by position, the schema, and everything that can be wrong with a row."""

import re

import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.data_report import leave_out_rows, list_problems
from vidpop_pipelines.features.tables import find_repeated_rows, parse_numbers

TEXT_FIELDS = ["user_id", "category", "title", "keywords", "description"]
NUMERICAL_FIELDS = ["duration", "followers", "posts", "title_length", "tag_count"]
# The paper's category embedding has 16 rows: the 15 categories of YouTube and one for unknown ones.
N_CATEGORIES = 16
_FIRST_DAY_POSITION = 15
_POSITIONS = {"video_id": 0} | {
    name: position for position, name in enumerate(TEXT_FIELDS + NUMERICAL_FIELDS, start=5)
}
# log2(views + 1) of every view that YouTube ever served is below 50: more is a raw count.
_LARGEST_SCORE = 50.0
_UNSAFE_ID = re.compile(r"[/\\\x00]|^\.{1,2}$")


def day_columns(videos: pd.DataFrame) -> list[str]:
    """Returns the names of the day columns, `day_1` first."""
    return [name for name in videos.columns if name.startswith("day_")]


def validate_videos(raw: pd.DataFrame, labelled: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gives the SMTPD table its types, and reports everything that is missing.

    Args:
        raw: All cells as strings, in the file's column order (design: by position, never by name).
        labelled: False for a forecast, where the days may be absent.

    Returns:
        The videos (`video_id`, five texts, five numbers, `day_1` .. `day_D`; empty numbers and missing days
        are NaN, empty texts ""), and the problems (`video_id`, `column`, `reason`, `left_out`).

    Raises:
        InputError: For anything that can't be left out without a guess: naming file, row and column.
    """
    source = raw.attrs.get("source", "the SMTPD table")
    n_days = _count_days(raw, source, labelled)
    texts = raw.iloc[:, [_POSITIONS[name] for name in ["video_id", *TEXT_FIELDS]]]
    videos = texts.set_axis(["video_id", *TEXT_FIELDS], axis="columns").apply(
        lambda column: column.str.strip()
    )
    names = NUMERICAL_FIELDS + [f"day_{day}" for day in range(1, n_days + 1)]
    first = _POSITIONS[NUMERICAL_FIELDS[0]]
    for offset, name in enumerate(names):
        cells = raw.iloc[:, first + offset]
        videos[name] = parse_numbers(cells, f"{name} (column {first + offset + 1})", source)
    _check_ids(videos["video_id"], source)
    _check_schema(videos, n_days, source)
    videos, problems = _leave_out_rows(videos, source, labelled)
    return videos.reset_index(drop=True), pd.concat([problems, _missing_values(videos)], ignore_index=True)


def _count_days(raw: pd.DataFrame, source: str, labelled: bool) -> int:
    n_columns = raw.shape[1]
    needed = _FIRST_DAY_POSITION + (2 if labelled else 0)
    if n_columns < needed:
        raise InputError(
            f"{source}: {n_columns} columns.",
            f"at least {needed}: 15 descriptive ones"
            + (" and the popularity of at least two days" if labelled else ""),
            "compare the file with the SMTPD table in docs/data_formats.md; columns are read by position.",
        )
    first_header = str(raw.columns[-1])
    if n_columns > _FIRST_DAY_POSITION and re.fullmatch(r"-?\d+\.\d+", first_header):
        raise InputError(
            f"{source}: the first line holds numbers.", "a header line", "add one; its names are free."
        )
    if raw.empty:
        raise InputError(f"{source}: no rows below the header.", "one row per video")
    return n_columns - _FIRST_DAY_POSITION


def _check_ids(ids: pd.Series, source: str) -> None:
    # Ids become file names of thumbnails, so a path in an id would reach outside their folder.
    unsafe = ids.str.contains(_UNSAFE_ID) | (ids == "")
    if unsafe.any():
        row = unsafe.idxmax()
        raise InputError(
            f"{source}: row {row}, column video_id (column 1): {ids[row]!r}.",
            "a non-empty id without path separators",
            "give the video another id (and rename its thumbnail).",
        )


def _check_schema(videos: pd.DataFrame, n_days: int, source: str) -> None:
    import pandera.pandas as pa

    score = [
        pa.Check.ge(0, error="a popularity score log2(views / day + 1), which is never negative"),
        pa.Check.le(_LARGEST_SCORE, error="a popularity score log2(views / day + 1), not a count of views"),
    ]
    schema = pa.DataFrameSchema(
        {name: pa.Column(str) for name in ["video_id", *TEXT_FIELDS]}
        | {name: pa.Column(float, nullable=True) for name in NUMERICAL_FIELDS}
        | {f"day_{day}": pa.Column(float, score, nullable=True) for day in range(1, n_days + 1)},
        strict=True,
        ordered=False,
    )
    try:
        schema.validate(videos, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        case = cases.iloc[0]
        position = list(videos.columns).index(case["column"]) - 5 + _POSITIONS[NUMERICAL_FIELDS[0]] - 1
        raise InputError(
            f"{source}: row {case['index']}, column {case['column']} (column {position + 1}):"
            f" {case['failure_case']} ({len(cases)} such cells).",
            str(case["check"]),
            "correct or empty the cell.",
        ) from None


def _leave_out_rows(videos: pd.DataFrame, source: str, labelled: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    repeated = find_repeated_rows(videos, source)
    no_day = videos[day_columns(videos)].isna().all(axis="columns") & labelled
    reasons = {
        ("days", "all days missing"): no_day & ~repeated,
        ("video_id", "repeats an earlier row"): repeated,
    }
    kept, problems = leave_out_rows(videos, reasons)
    if kept.empty:
        raise InputError(
            f"{source}: no usable row: every one lacks all its days.", "at least one observed day per video"
        )
    return kept, problems


def _missing_values(videos: pd.DataFrame) -> pd.DataFrame:
    """Lists empty texts, empty numbers and missing days of the rows that are used."""
    parts = []
    for name in TEXT_FIELDS + NUMERICAL_FIELDS + day_columns(videos):
        missing = videos[name].eq("") if name in TEXT_FIELDS else videos[name].isna()
        reason = "missing day" if name.startswith("day_") else "empty"
        parts.append(list_problems(videos.loc[missing, "video_id"], name, reason))
    return pd.concat(parts, ignore_index=True)


def leave_out_without_early_popularity(
    videos: pd.DataFrame, problems: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leaves out videos whose day 1 is missing: early popularity is an input and is never guessed.

    Args:
        videos: Output of `validate_videos`.
        problems: Problems so far.

    Returns:
        The remaining videos, and the problems with one more line for each left out.

    Raises:
        InputError: If no video is left.
    """
    missing = videos["day_1"].isna() if "day_1" in videos else pd.Series(True, index=videos.index)
    if missing.all():
        raise InputError(
            "No video has a value for day 1 (column 16), which is an input of the pipelines with early popularity.",
            "the popularity score of day 1",
            "use the pipeline without early popularity (smtpd_no_ep).",
        )
    ids = videos.loc[missing, "video_id"]
    rows = problems[(problems["column"] == "day_1") & problems["video_id"].isin(ids)].copy()
    rows["reason"], rows["left_out"] = "day 1 missing, which is an input with early popularity", True
    others = problems[~problems["video_id"].isin(ids)]
    return videos[~missing].reset_index(drop=True), pd.concat([rows, others], ignore_index=True)


def rare_categories(videos: pd.DataFrame) -> pd.DataFrame:
    """Reports videos whose category shares the bucket of unknown ones, since only the most frequent have their own.

    Args:
        videos: Validated videos.

    Returns:
        Problems, one line for each such video. (A fold counts its training rows only, so that the rarest of the
        frequent categories may be unknown to it too.)
    """
    frequency = videos.loc[videos["category"] != "", "category"].value_counts()
    known = frequency.index[: N_CATEGORIES - 1]
    rare = videos[(videos["category"] != "") & ~videos["category"].isin(known)]
    reasons = f"not among the {N_CATEGORIES - 1} most frequent: " + rare["category"]
    return list_problems(rare["video_id"], "category", reasons)


def check_enough_videos(videos: pd.DataFrame, n_folds: int, group_by: str | None) -> None:
    """Checks that every fold can have videos in all its roles.

    Raises:
        InputError: If there are fewer than four units (videos, or users when grouped) per fold.
    """
    units = videos[group_by].nunique() if group_by else len(videos)
    name = f"different values of {group_by}" if group_by else "usable videos"
    if units < 4 * n_folds:
        raise InputError(
            f"{units} {name}.",
            f"at least {4 * n_folds}: four for each of {n_folds} folds",
            "add videos, or lower smtpd.n_folds (at least 3).",
        )
