"""Model servers for tests: started as a user starts them, asked over HTTP, stopped."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests_project import Project

Answer = tuple[int, dict]


@contextlib.contextmanager
def served(project: Project, command: list[str]) -> Iterator[Callable[[list[dict]], Answer]]:
    """Serves a model of a project's MLflow store.

    Args:
        project: Where the store is.
        command: Arguments of Python; host and port are added.

    Yields:
        A function that posts videos and returns status and answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = project.environment()
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{project.path / 'mlflow.db'}"
    # The server starts workers by name: find those of this environment first.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = project.path / f"server.{port}.log"
    with open(log, "w") as output:
        server = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=project.path,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", server, log)
        yield lambda videos: post(port, {"dataframe_records": videos})
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            pytest.fail(f"the server ended:\n{log.read_text()}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"the server did not answer:\n{log.read_text()}")


def post(port: int, content: dict) -> Answer:
    """Posts JSON to a server's /invocations."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
