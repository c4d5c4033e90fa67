"""The registered model of each family behind MLflow's own server, asked over HTTP."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from families import ABSENT


@contextlib.contextmanager
def served(run):
    """Serves version 1 of the family's registered model; yields a function that posts videos."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{run.name}/1"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = run.project.environment()
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{run.project.path / 'mlflow.db'}"
    # The server starts workers by name: find those of this environment first.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = run.project.path / f"{run.name}.server.log"
    with open(log, "w") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", server, log)
        yield lambda videos: post(port, videos)
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


def post(port: int, videos: list[dict]) -> tuple[int, dict]:
    body = json.dumps({"dataframe_records": videos}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_served_model_answers_forecasts_and_refuses_bad_requests(run):
    serving = run.family.serving
    lower, forecast, upper = serving.interval
    with served(run) as ask:

        def ask_changed(changes: dict) -> tuple[int, dict]:
            request = serving.example | changes
            return ask([{name: value for name, value in request.items() if value is not ABSENT}])

        status, single = ask_changed({"video_id": "a"})
        assert status == 200, single
        rows = single["predictions"]
        assert all(row.keys() == serving.answers and row["video_id"] == "a" for row in rows)
        for column, values in serving.keys.items():
            assert [row[column] for row in rows] == values
        assert all(row[lower] <= row[forecast] <= row[upper] for row in rows)

        for changes, same in serving.alike(run.project.path):
            status, answer = ask_changed(changes)
            assert status == 200 and (status, answer) == ask_changed(same), changes
        for changes in serving.different(run.project.path):
            status, answer = ask_changed(changes)
            assert status == 200 and answer["predictions"][0][forecast] != rows[0][forecast], changes

        status, batch = ask([serving.example | {"video_id": name} for name in "ab"])
        assert status == 200 and len(batch["predictions"]) == 2 * len(rows)
        assert batch["predictions"][0][forecast] == pytest.approx(
            rows[0][forecast], rel=run.family.rtol, abs=1e-5
        )

        for changes, field in serving.refused:
            status, answer = ask_changed(changes)
            assert status == 400, answer
            assert field in json.dumps(answer)
