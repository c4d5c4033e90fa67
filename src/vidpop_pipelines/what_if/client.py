"""Asks a served model over HTTP."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# MLflow may put before it that, and on which table, the prediction failed.
_REFUSED_FIELD = re.compile(r"Video \d+, field '([^']+)': (.*)", re.DOTALL)
_LONGEST_WAIT = 120.0


class Refused(Exception):
    """The model's server has refused a request.

    Args:
        message: What is wrong with it, on one line.
        field: Name of the field that is wrong; None if the server names none.
    """

    def __init__(self, message: str, field: str | None):
        super().__init__(message)
        self.message = message
        self.field = field


class Unanswered(Exception):
    """The model's server can't be reached, or has failed."""


@dataclass(frozen=True)
class ModelClient:
    """A served model.

    Attributes:
        url: Address of the server, without a path.
    """

    url: str

    def ask(self, videos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Forecasts videos in one request.

        Args:
            videos: One mapping per video, as docs/serving.md describes them.

        Returns:
            The rows of the answer.

        Raises:
            Refused: If the server answers with status 400.
            Unanswered: If it can't be reached, or answers with any other error.
        """
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/invocations",
            json.dumps({"dataframe_records": list(videos)}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_LONGEST_WAIT) as answer:
                return json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise _read_refusal(error.read()) from None
            raise Unanswered(f"The model's server at {self.url} failed with status {error.code}.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unanswered(f"No model answers at {self.url}.") from error

    def is_ready(self) -> bool:
        """Whether the server has loaded the model."""
        try:
            with urllib.request.urlopen(f"{self.url.rstrip('/')}/ping", timeout=5):
                return True
        except OSError:
            return False


def _read_refusal(content: bytes) -> Refused:
    try:
        message = " ".join(str(json.loads(content)["message"]).split())
    except (ValueError, KeyError, TypeError):
        return Refused("The model's server refused the request and does not say why.", None)
    named = _REFUSED_FIELD.search(message)
    return Refused(named.group(2), named.group(1)) if named else Refused(message, None)
