"""Errors that are the user's to mend; each message says what was expected and what to do."""

import logging

import click
from kedro.io import DatasetError


class InputError(click.ClickException, DatasetError):
    """Raised for bad input data or configuration.

    It is a ``ClickException`` so that ``kedro run`` prints the message without a traceback,
    and a ``DatasetError`` so that Kedro passes it on unwrapped when a dataset raises it.

    Args:
        problem: What is wrong, and where (file, row, column).
        expected: What was expected instead.
        remedy: What the user can do about it.
    """

    def __init__(self, problem: str, expected: str = "", remedy: str = ""):
        parts = [problem]
        if expected:
            parts.append(f"Expected: {expected}")
        if remedy:
            parts.append(f"What to do: {remedy}")
        super().__init__("\n".join(parts))

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """Tells IPython what to show in a notebook: the message alone, as on the command line."""
        return [f"{type(self).__name__}: {self.message}"]


def input_error(error: BaseException | None) -> InputError | None:
    """Returns the `InputError` that an error is, or that Kedro's catalog has wrapped into it."""
    for candidate in (error, getattr(error, "__cause__", None)):
        if isinstance(candidate, InputError):
            return candidate
    return None


class WithoutTraceback(logging.Filter):
    """Leaves the traceback of an `InputError` out of the log: its message says all that helps."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drops the traceback, never the record."""
        if record.exc_info and input_error(record.exc_info[1]):
            record.exc_info = record.exc_text = None
        return True
