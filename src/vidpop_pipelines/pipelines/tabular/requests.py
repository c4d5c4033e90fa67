"""Single videos, as Python arguments or JSON, made into the table that the models read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.tabular.columns import DATE_FIELDS, LIST_FIELDS, NUMERICAL_FIELDS, TEXT_FIELDS

FIELDS = ["video_id", *TEXT_FIELDS, *LIST_FIELDS, *NUMERICAL_FIELDS, *DATE_FIELDS]

# Views are forecast for this age unless a request names another: a month, as in the daily series.
DEFAULT_AGE_HOURS = 720.0

# What stands in the table where a field is unknown; in texts and lists it is "".
MISSING = dict.fromkeys(NUMERICAL_FIELDS, np.nan) | dict.fromkeys(DATE_FIELDS, pd.NaT)


def read_requests(requests: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Makes a table of videos.

    Args:
        requests: One mapping per video, with any of `FIELDS`; None, NaN and "" mean unknown. Lists are lists, or
            texts joined by "|". Times are ISO 8601 (UTC where no zone is given) or datetimes. A video without a
            publish time is published now, and without an age it is `DEFAULT_AGE_HOURS` old when its views are read.

    Returns:
        A table as `table.validate_videos` makes it, without labels.

    Raises:
        InputError: For an unknown field or a value that can't be right; names the video and the field.
    """
    if not requests:
        raise InputError("The request holds no video.", "at least one video")
    videos = [_read_video(number, request) for number, request in enumerate(requests)]
    columns = {name: [video[name] for video in videos] for name in FIELDS}
    return pd.DataFrame(
        {
            name: pd.to_datetime(pd.Series(values), utc=True).dt.as_unit("us")
            if name in DATE_FIELDS
            else pd.Series(values, dtype="float64" if name in NUMERICAL_FIELDS else "str")
            for name, values in columns.items()
        }
    )


def _read_video(number: int, request: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(request) - set(FIELDS))
    if unknown:
        raise _wrong(number, unknown[0], "not a known field", f"one of {', '.join(FIELDS)}")
    given = {name: value for name, value in request.items() if not _is_unknown(value)}
    video = dict.fromkeys(FIELDS, "") | MISSING
    video |= {
        "video_id": f"video {number}",
        "published_at": datetime.now(UTC),
        "age_hours": DEFAULT_AGE_HOURS,
    }
    for name, value in given.items():
        if name in LIST_FIELDS:
            items = _read_list(number, name, value)
            video[name] = "|".join(items)
            if name == "tags":
                video["num_tags"] = float(len(items))
        elif name in DATE_FIELDS:
            video[name] = _read_time(number, name, value)
        elif name not in NUMERICAL_FIELDS:
            video[name] = _read_text(number, name, value)
    numbers = {name: _read_number(number, name, given[name]) for name in NUMERICAL_FIELDS if name in given}
    return video | numbers


def _is_unknown(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _read_text(number: int, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(number, name, f"got {value!r}", "a text")
    return value.strip()


def _read_list(number: int, name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        items = value.split("|")
    elif isinstance(value, list | tuple | np.ndarray) and all(isinstance(item, str) for item in value):
        # "|" joins the items of the table's lists, and can't stand in one.
        items = [item.replace("|", " ") for item in value]
    else:
        raise _wrong(number, name, f"got {value!r}", "a list of texts")
    return list(dict.fromkeys(item.strip() for item in items if item.strip()))


def _read_number(number: int, name: str, value: Any) -> float:
    try:
        result = np.nan if isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = np.nan
    if not 0 <= result < np.inf:
        raise _wrong(number, name, f"got {value!r}", "a finite number, zero or more")
    return result


def _read_time(number: int, name: str, value: Any) -> datetime:
    expected = "a datetime, or ISO 8601 such as 2024-06-24T07:26:00+00:00"
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value.strip())
        elif isinstance(value, datetime):
            time = value
        elif isinstance(value, date):
            time = datetime(value.year, value.month, value.day)
        else:
            raise _wrong(number, name, f"got {value!r}", expected)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        # Overflow: year 1 or 9999, moved by the time zone.
        raise _wrong(number, name, f"got {value!r}", expected) from None


def _wrong(number: int, field: str, problem: str, expected: str) -> InputError:
    return InputError(f"Video {number}, field '{field}': {problem}.", expected)


def request_example() -> pd.DataFrame:
    """Returns a request for one video, with every field."""
    example = {
        "video_id": "example",
        "title": "Amazing makeup tutorial for beginners",
        "description": "What the video is about.",
        "tags": ["makeup", "tutorial"],
        "categories": ["Howto & Style"],
        "channel_id": "a channel",
        "published_at": "2024-06-24T07:26:00+00:00",
        "channel_created_at": "2018-11-25T00:00:00+00:00",
        "definition": "hd",
        "caption": "false",
        "language": "en",
    } | dict.fromkeys(NUMERICAL_FIELDS, 600.0)
    return pd.DataFrame([example])


def model_signature(outputs: Mapping[str, str]) -> Any:
    """Returns the MLflow signature of requests, where every field may be unknown, and answers.

    Args:
        outputs: Names and MLflow types (`double`, `string`) of an answer's columns beside `video_id`.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # A list, or a text joined by "|": no other type takes both.
    kinds = dict.fromkeys(NUMERICAL_FIELDS, "double") | dict.fromkeys(LIST_FIELDS, AnyType())
    inputs = [ColSpec(kinds.get(name, "string"), name, required=False) for name in FIELDS]
    answers = [ColSpec(kind, name, required=False) for name, kind in outputs.items()]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("string", "video_id"), *answers]))
