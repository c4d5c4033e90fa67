"""The form: what the model's signature asks for, in words of a user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES


@dataclass(frozen=True)
class Field:
    """An input of the form.

    Attributes:
        name: Name in the request.
        label: Name on the page.
        kind: `text`, `number`, `list`, `time`, `picture`, or `score` (views, sent as log2(views + 1)).
        required: Whether the model refuses requests without it.
        help: What to enter.
        choices: Values to choose from; others may be typed.
        start: Value at the start; None leaves it empty.
        low: Smallest value that is tried when this number is varied.
        high: Largest one.
        rare: Whether it stands among further inputs, which are folded away.
    """

    name: str
    label: str
    kind: str = "text"
    required: bool = False
    help: str = ""
    choices: tuple[str, ...] = ()
    start: float | None = None
    low: float = 1.0
    high: float = 1_000_000.0
    rare: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the input can be varied over a range."""
        return self.kind in ("number", "score")


_COMMAS = "Separated by commas."
_UNIT = "In the unit of the training table."
# Words for the fields that the families' signatures name, in the order of the form. The signature alone decides
# which of them there are, and of which type.
_KNOWN = (
    Field("title", "Title"),
    Field("keywords", "Tags", help=_COMMAS),
    Field("tags", "Tags", help=_COMMAS),
    Field("category", "Category", choices=CATEGORIES),
    Field("categories", "Categories", choices=CATEGORIES),
    Field("day_1", "Views on day 1", "score", start=1000, low=10, high=10_000_000),
    Field("duration", "Duration (seconds)", low=10, high=7200),
    Field("duration_seconds", "Duration (seconds)", low=10, high=7200),
    Field("thumbnail", "Thumbnail", "picture"),
    Field("followers", "Channel: followers", low=10, high=10_000_000),
    Field("subscribers", "Channel: subscribers", low=10, high=10_000_000),
    Field("posts", "Channel: videos", high=10_000),
    Field("channel_video_count", "Channel: videos", high=10_000),
    Field("channel_avg_views", "Channel: mean views of a video", low=100, high=10_000_000),
    Field(
        "age_hours",
        "Age when views are counted (hours)",
        help="Empty: 720, the end of day 30.",
        low=24,
        high=8760,
    ),
    Field("published_at", "Published (UTC)", "time", help="Empty: now."),
    Field("description", "Description", rare=True),
    Field("user_id", "Channel: id", rare=True),
    Field("channel_id", "Channel: id", rare=True),
    Field("channel_created_at", "Channel: created (UTC)", "time", rare=True),
    Field("title_length", "Title length", help=_UNIT, low=5, high=100, rare=True),
    Field("tag_count", "Number of tags", help=_UNIT, high=50, rare=True),
    Field("num_tags", "Number of tags", help="Empty: that of the tags above.", high=50, rare=True),
    Field("definition", "Definition", choices=("hd", "sd"), rare=True),
    Field("caption", "Captions", choices=("true", "false"), rare=True),
    Field("language", "Language", help="A code such as en.", rare=True),
)
# Kinds of the fields by MLflow's types.
_KINDS = {"double": "number", "float": "number", "long": "number", "integer": "number", "any": "list"}
# Names a video in the answer; the model does not read it.
_NO_INPUTS = {"video_id"}


def read_fields(inputs: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Makes the fields of a form.

    Args:
        inputs: Of the model's signature: `name`, `type` (MLflow's) and `required` of each input.

    Returns:
        The fields in the order of the form; names that have no words of their own come last, under their names.
    """
    order = {field.name: position for position, field in enumerate(_KNOWN)}
    fields = []
    for column in inputs:
        name = column["name"]
        if name in _NO_INPUTS:
            continue
        known = _KNOWN[order[name]] if name in order else Field(name, name.replace("_", " "), rare=True)
        kind = known.kind if known.kind != "text" else _KINDS.get(column["type"], "text")
        fields.append(replace(known, kind=kind, required=bool(column.get("required", True))))
    return sorted(fields, key=lambda field: order.get(field.name, len(order)))


def given_fields(fields: Sequence[Field], values: Mapping[str, Any]) -> list[Field]:
    """Returns the fields that have a value."""
    return [field for field in fields if not _is_empty(values.get(field.name))]


def write_request(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns what was entered into a video of a request.

    Args:
        fields: Fields of the form.
        values: By name: texts, numbers, lists of texts, ISO times, pictures as base64; views of a `score` field.
            None and "" mean unknown.

    Returns:
        All fields; None where unknown.
    """
    request: dict[str, Any] = {field.name: None for field in fields}
    for field in given_fields(fields, values):
        value = values[field.name]
        if field.kind == "score":
            value = float(np.log2(value + 1))
        elif field.kind == "number":
            value = float(value)
        request[field.name] = value
    return request


def split_list(text: str) -> list[str]:
    """Returns the items of a text that separates them by commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []
