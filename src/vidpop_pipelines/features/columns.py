"""Which column of a user's table is which: by the user's own names first, by the usual ones then."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from vidpop_pipelines.errors import InputError

# Prefixes of a flattened answer of the YouTube Data API.
_API_PREFIX = re.compile(r"^(?:snippet|statistics|content_details)_(?=.)")


def normalise_name(name: str) -> str:
    """Writes a column name as compared: `snippet.publishedAt`, `Published At` -> `published_at`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _API_PREFIX.sub("", re.sub(r"[\W_]+", "_", words).strip("_").lower())


def column_title(header: list[str], position: int) -> str:
    """Names a column of the file for messages and reports."""
    return header[position] or f"(column {position + 1}, without a name)"


def find_named(field: str, column: str, option: str, header: Sequence[str], source: str) -> int:
    """Finds the column that the user has named.

    Args:
        field: What it is.
        column: Name that was given; a spelling that `normalise_name` makes equal will do where none is the same.
        option: Parameter that gave it, for messages.
        header: Names of the columns; they may repeat.
        source: Name of the file, for messages.

    Returns:
        Its position.

    Raises:
        InputError: If there is no such column, or more than one.
    """
    wanted = [p for p, name in enumerate(header) if name == column.strip()] or [
        p for p, name in enumerate(header) if normalise_name(name) == normalise_name(column)
    ]
    if not wanted:
        near = get_close_matches(column, header, n=1, cutoff=0) or ["nothing"]
        raise InputError(
            f"{option} is '{column}', which is no column of {source}; did you mean '{near[0]}'?",
            f"one of {', '.join(column_title(header, p) for p in range(len(header)))}",
        )
    return only_one(field, wanted, option, header, source)


def find_usual(
    field: str,
    tiers: Sequence[str],
    positions: Sequence[int],
    option: str,
    header: Sequence[str],
    source: str,
) -> int | None:
    """Finds a column by its usual names.

    Args:
        field: What it is.
        tiers: Normalised names, separated by spaces; the first tier of which the table has one is taken.
        positions: Which columns are looked at.
        option: Parameter by which the user could name it, for messages.
        header: Names of the columns.
        source: Name of the file, for messages.

    Returns:
        Its position, or None.

    Raises:
        InputError: If two columns of a tier mean the same.
    """
    names = {position: normalise_name(header[position]) for position in positions}
    for tier in tiers:
        matches = [position for position, name in names.items() if name in tier.split()]
        if matches:
            return only_one(field, matches, option, header, source)
    return None


def only_one(field: str, positions: Sequence[int], option: str, header: Sequence[str], source: str) -> int:
    """Returns the position if it is the only one.

    Raises:
        InputError: If several columns mean the same.
    """
    if len(positions) > 1:
        titles = " and ".join(f"'{header[p]}' (column {p + 1})" for p in positions)
        raise InputError(
            f"{source}: columns {titles} mean the same: {field}.",
            "one column for each meaning",
            f"say which one with {option}, or delete the other.",
        )
    return positions[0]
