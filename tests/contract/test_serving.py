"""The registered model of each family behind MLflow's own server, asked over HTTP."""

import base64
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

EXAMPLES = {
    "smtpd_ep": {"title": "How to bake bread", "category": "Howto & Style", "duration": 300, "day_1": 10.5},
    "smtpd_no_ep": {"title": "How to bake bread", "category": "Howto & Style", "duration": 300},
}


@contextlib.contextmanager
def served(run):
    """Serves version 1 of the family's registered model; yields a function that posts videos."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{run.family}/1"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = run.project.environment()
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{run.project.path / 'mlflow.db'}"
    # The server starts workers by name: find those of this environment first.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = run.project.path / f"{run.family}.server.log"
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
    example = EXAMPLES[run.family]
    thumbnail = next((run.project.path / "data/01_raw/sample/thumbnails").glob("sample_0000[1-3].jpg"))
    content = base64.b64encode(thumbnail.read_bytes()).decode()
    with served(run) as ask:
        status, single = ask([example | {"video_id": "a"}])
        assert status == 200, single
        rows = single["predictions"]
        first_day = 2 if "day_1" in example else 1
        assert [row["day"] for row in rows] == list(range(first_day, 31))
        assert all(row["lower"] <= row["y_pred"] <= row["upper"] for row in rows)

        by_content = ask([example | {"thumbnail": content}])
        by_path = ask([example | {"thumbnail": str(thumbnail)}])
        assert by_content[0] == 200 and by_content == by_path
        assert by_content[1]["predictions"][0]["y_pred"] != rows[0]["y_pred"]

        status, batch = ask([example | {"video_id": name} for name in "ab"])
        assert status == 200 and len(batch["predictions"]) == 2 * len(rows)
        assert batch["predictions"][0]["y_pred"] == pytest.approx(rows[0]["y_pred"], abs=1e-5)

        for wrong, field in bad_requests(example):
            status, answer = ask([wrong])
            assert status == 400, answer
            assert field in json.dumps(answer)


def bad_requests(example: dict) -> list[tuple[dict, str]]:
    """Returns requests that must be refused, and the field that the answer must name."""
    wrong = [
        (example | {"thumbnail": "no picture!"}, "thumbnail"),
        (example | {"thumbnail": base64.b64encode(b"no picture").decode()}, "thumbnail"),
        (example | {"duration": "long"}, "duration"),
    ]
    if "day_1" in example:
        without = {name: value for name, value in example.items() if name != "day_1"}
        wrong += [
            (without, "day_1"),
            (example | {"day_1": -3}, "day_1"),
            (example | {"day_1": 123456}, "day_1"),
        ]
    return wrong
