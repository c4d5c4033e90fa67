"""A real headless Chromium for tests of pages: no request leaves this machine, and every one is recorded."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HERE = {"127.0.0.1", "localhost", "::1"}
_WITHOUT_NETWORK = {"file", "data", "blob", "about"}
# Sandboxes of containers don't allow Chromium's own; no name but this machine's is looked up.
_ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"]


@dataclass(frozen=True)
class Browsed:
    """A page, and what happened in it so far.

    Attributes:
        page: Playwright's page.
        requested: Addresses of all requests and web sockets.
        errors: Uncaught errors of scripts, and what was written to the console as an error.
    """

    page: Page
    requested: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests for another machine; they were refused."""
        return [address for address in self.requested if not _is_here(address)]


@contextlib.contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Browsed]:
    """Opens an empty page in Debian's Chromium; Playwright's own browsers would have to be downloaded.

    The environment variable CHROMIUM names another one by its path.

    Args:
        width: Of the page, in pixels; 390 is a phone.
        height: Of the page, in pixels.
    """
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_find_chromium(), args=_ARGUMENTS)
        try:
            page = chromium.new_page(viewport={"width": width, "height": height})
            browsed = Browsed(page)
            page.on("request", lambda request: browsed.requested.append(request.url))
            page.on("websocket", lambda socket: browsed.requested.append(socket.url))
            page.on("pageerror", lambda error: browsed.errors.append(str(error)))
            page.on(
                "console", lambda line: browsed.errors.append(line.text) if line.type == "error" else None
            )
            page.route(lambda address: not _is_here(address), lambda route: route.abort())
            yield browsed
        finally:
            chromium.close()


def open_file(browsed: Browsed, path: Path) -> None:
    """Opens an HTML file from disk."""
    browsed.page.goto(path.resolve().as_uri())


def _find_chromium() -> str:
    names = (os.environ["CHROMIUM"],) if os.environ.get("CHROMIUM") else _NAMES
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(
            f"No browser: {', '.join(names)} not found. What to do: apt-get install chromium, or set the environment"
            " variable CHROMIUM to the path of one"
        )
    return found


def _is_here(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in _WITHOUT_NETWORK or parts.hostname in _HERE
