"""Errors that are the user's to mend; each message says what was expected and what to do."""

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
