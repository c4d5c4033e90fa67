"""How many requests per second a served model answers, and how fast, under load from Locust on loopback.

Models are trained on the sample into a temporary folder and served with `kedro serve`, one worker. Locust then asks
with one client and with eight, each without a pause: single videos (smtpd_ep with a thumbnail in base64), and, with
one client, batches of 100. The reference is `/ping` of the same server under the same eight clients, which answers
without the model. Locust comes with `pip install .[bench]`.

    python benchmarks/serving.py [--seconds 20]
"""

import argparse
import base64
import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
FAMILIES = ("ensemble", "smtpd_ep")
BATCH = 100


def example(family: str) -> dict:
    """Returns a request for one video."""
    if family == "ensemble":
        return {
            "title": "Amazing makeup tutorial for beginners",
            "tags": ["makeup", "tutorial"],
            "categories": ["Howto & Style"],
            "duration_seconds": 600,
            "channel_avg_views": 50_000,
            "channel_video_count": 25,
        }
    thumbnail = next((ROOT / "data/01_raw/sample/thumbnails").glob("*1.jpg"))
    return {
        "title": "How to bake bread",
        "category": "Howto & Style",
        "duration": 300,
        "day_1": 10.5,
        "thumbnail": base64.b64encode(thumbnail.read_bytes()).decode(),
    }


def train(folder: Path):
    """Trains and registers the models in a project of their own; returns the project."""
    # Laid out as for tests: MLflow writes beside the project, and the user's one stays as it is.
    sys.path.append(str(ROOT / "tests" / "helpers"))
    from tests_project import create_project

    project = create_project(folder / "project")
    outputs = ",".join(f"{name}.registered_model" for name in FAMILIES)
    project.kedro("run", f"--pipelines={','.join(FAMILIES)}", f"--to-outputs={outputs}")
    return project


@contextlib.contextmanager
def served(project, family: str) -> Iterator[str]:
    """Serves the model; yields the server's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = project.command("serve", f"--family={family}", "--version=latest", f"--port={port}")
    with open(project.path / f"{family}.log", "w") as log:
        server = subprocess.Popen(
            command,
            cwd=project.path,
            env=project.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/ping", timeout=5):
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((project.path / f"{family}.log").read_text())
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def load(address: str, users: int, seconds: int, videos: list[dict] | None) -> dict[str, float]:
    """Lets Locust ask for some seconds: with videos, or /ping."""
    environment = os.environ | {"LOAD_PATH": "/invocations" if videos else "/ping"}
    with TemporaryDirectory() as folder:
        if videos:
            body = Path(folder) / "request.json"
            body.write_text(json.dumps({"dataframe_records": videos}))
            environment["LOAD_BODY_FILE"] = str(body)
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--host", address]
        command += ["-f", str(ROOT / "benchmarks/load/locustfile.py"), "--csv", f"{folder}/load"]
        command += ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        with open(f"{folder}/load_stats.csv", newline="") as file:
            total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    return {
        "requests": int(total["Request Count"]),
        "failures": int(total["Failure Count"]),
        "requests_per_second": round(float(total["Requests/s"]), 2),
        "p50_ms": float(total["50%"]),
        "p99_ms": float(total["99%"]),
    }


def measure(address: str, family: str, seconds: int) -> dict[str, dict[str, float]]:
    """Measures one served model, after a warm-up."""
    video = example(family)
    load(address, 1, 3, [video])
    found = {
        "one_client": load(address, 1, seconds, [video]),
        "eight_clients": load(address, 8, seconds, [video]),
        f"batches_of_{BATCH}": load(address, 1, seconds, [video] * BATCH),
        "ping_eight_clients": load(address, 8, seconds, None),
    }
    for name, values in found.items():
        print(
            f"{family}, {name}: {values['requests_per_second']} requests per second, p50 {values['p50_ms']:.0f} ms,"
            f" p99 {values['p99_ms']:.0f} ms, {values['failures']} failures"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement")
    arguments = parser.parse_args()
    results: dict = {"seconds": arguments.seconds, "workers": 1}
    with TemporaryDirectory() as folder:
        project = train(Path(folder))
        for family in FAMILIES:
            with served(project, family) as address:
                results[family] = measure(address, family, arguments.seconds)
    path = ROOT / "benchmarks" / "results" / "serving.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
