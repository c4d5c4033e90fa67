"""Asks a served model over HTTP."""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# MLflow may put before it that, and on which table, the prediction failed.
_REFUSED_FIELD = re.compile(r"Video \d+, field '([^']+)': (.*)", re.DOTALL)
_LONGEST_WAIT = 120.0
# A proxy does not reach them. For a server elsewhere the environment says whether to take one (HTTP_PROXY, NO_PROXY).
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
# No connection, something that is not HTTP, no address at all.
_NO_ANSWER = (OSError, http.client.HTTPException, ValueError)
_ADVICE = "Is it still running? Its log says more."


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
    """The model's server can't be reached, has failed, or answers as no model of this page does."""


@dataclass(frozen=True)
class ModelClient:
    """A served model.

    Attributes:
        url: Address of the server, without a path. On this machine it is asked directly, whatever proxy is set.
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
        content = json.dumps({"dataframe_records": list(videos)}).encode()
        try:
            with self._open("invocations", content, _LONGEST_WAIT) as answer:
                return list(json.load(answer)["predictions"])
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise _read_refusal(error.read()) from None
            raise Unanswered(
                f"The model's server at {self.url} failed with status {error.code}. {_ADVICE}"
            ) from error
        except (*_NO_ANSWER, KeyError, TypeError) as error:
            raise Unanswered(f"No model answers at {self.url}. {_ADVICE}") from error

    def is_ready(self) -> bool:
        """Whether there is a server at this address that has loaded the model."""
        try:
            with self._open("ping", None, 5):
                return True
        except _NO_ANSWER:
            return False

    def _open(self, path: str, content: bytes | None, seconds: float) -> http.client.HTTPResponse:
        """Gets a path of the server, or posts JSON to it."""
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/{path}", content, {"Content-Type": "application/json"}
        )
        is_here = urlsplit(self.url).hostname in _THIS_MACHINE
        direct = [urllib.request.ProxyHandler({})] if is_here else []
        return urllib.request.build_opener(*direct).open(request, timeout=seconds)


def _read_refusal(content: bytes) -> Refused:
    try:
        message = " ".join(str(json.loads(content)["message"]).split())
    except (ValueError, KeyError, TypeError):
        return Refused("The model's server refused the request and does not say why.", None)
    named = _REFUSED_FIELD.search(message)
    return Refused(named.group(2), named.group(1)) if named else Refused(message, None)
