"""Runs every command of the documentation on the sample, in a scratch project, and says how each one ended.

    python docs/run_commands.py                      # all of them: `make docs`
    python docs/run_commands.py --only ^README       # those of documents whose path matches
    python docs/run_commands.py --list               # says what would be run, and runs nothing

What stands in the documentation is run as it stands, but for what the tables below change: files that only a user has
are files of the sample, training is short, weights of the hub are small random ones. What can't be run here is listed
with its reason. The exit code is 1 if a command failed. All of them took 43 minutes on two cores beside other work.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from documentation import Command, commands  # noqa: E402
from families import FAMILIES  # noqa: E402
from tests_project import Project, create_project  # noqa: E402

TIMEOUT = 900

# Beginnings of commands that are not run, and why.
NOT_RUN = {
    "source .venv/bin/activate": "the environment is that of this script",
    "make PYTHON=": "installs 8 GB once more",
    "make test": "the tests",
    "make lint": "a part of the tests",
    "make bench": "measures for an hour; says nothing beside other work",
    "python benchmarks/": "a part of make bench",
    "make docs": "this script",
    "kedro run --pipelines=category_mean": "run by tests/docs/test_worked_example.py",
    "accelerate launch": "does what the torchrun above it does; four processes on two cores",
    "OMP_NUM_THREADS=16 dask worker": "asks for another machine",
    "pip install --constraint": "installs the environment once more",
    "jupyter lab": "the tests execute the notebooks",
    "python -m http.server": "shows what `make lineage` has built, as tests/contract/test_pages.py does",
    "pip install": "packages that only the server or the orchestrator below needs",
    "export ": "keys, addresses and folders of a user",
    "mlflow server --host 0.0.0.0": "needs PostgreSQL and object storage; tried by hand, as the document says",
    "kedro airflow": "needs Airflow in an environment of its own; tried by hand, as the document says",
    "airflow ": "as above",
    "kedro dagster": "named as what does not work",
}

# Beginnings of commands that run until they are stopped, and the path that answers when they are ready.
SERVERS = {
    "make serve": "ping",
    "kedro serve": "ping",
    "make what-if": "",
    "kedro what-if": "",
    "kedro viz run": "",
    "mlflow ui": "health",
}
# The same without HTTP: they go on beside all that follows in their block.
BACKGROUND = ("dask scheduler", "dask worker")

# Pieces of commands that mean something else on the sample, in this order. `@` is the project's folder.
REPLACED = {
    "/data/": "@/given/",
    "/videos/a.mp4": "@/given/videos/sample_00001.mp4",
    "=/tmp/": "=@/tmp/",
    "output=DIR": "output=data",
    "VERSION=3": "VERSION=1",
    "smtpd.checkpoint=7": "smtpd.checkpoint=2",
    "--nproc_per_node=4": "--nproc_per_node=2",
    "sample.videos=2000": "sample.videos=200",
    '{"video_id": "a", "image": [0.1, 0.3, ...], "text": [0.5, ...], "video": [-0.2, ...]}': json.dumps(
        {"video_id": "a", "image": [0.1] * 64, "text": [0.5] * 64, "video": [-0.2] * 48}
    ),
}

# Parameters that go before those of the command, by pipeline: training is short, the sample small.
SMALL = {
    name: {key.replace("__", "."): value for key, value in family.parameters.items()}
    for name, family in FAMILIES.items()
}
SMALL["sample_data"] = {"sample.videos": 150}
# The same with `--env=paper`: small random networks in place of those of the hub.
SMALL_PAPER = {
    "smtpd": {
        "smtpd.text_encoder.model": "@/given/bert",
        "smtpd.text_encoder.max_length": 16,
        "smtpd.visual_encoder.architecture": "resnet18",
        "smtpd.visual_encoder.weights": "@/given/resnet18.safetensors",
        "smtpd.training.epochs": 2,
    },
    "timesformer": {
        "timesformer.backbone.model": "tiny",
        "timesformer.frames.size": 64,
        "timesformer.training.n_data_workers": 0,
    },
    "smolvlm2": {
        "smolvlm2.backbone.model": "tiny",
        "smolvlm2.frames.size": 64,
        "smolvlm2.training.n_data_workers": 0,
    },
}


def why_not(command: Command) -> str | None:
    """Returns why a command is not run; None if it is."""
    return next((reason for start, reason in NOT_RUN.items() if command.text.startswith(start)), None)


def small_parameters(text: str) -> dict[str, object]:
    """Returns the parameters that make a `kedro run` small."""
    match = re.search(r"--pipelines?=([\w,]+)", text)
    pipelines = match[1].split(",") if match else list(FAMILIES)
    small: dict[str, object] = {}
    for name in pipelines:
        small |= SMALL.get(name, {})
        if "--env=paper" in text:
            small |= SMALL_PAPER.get("smtpd" if name.startswith("smtpd") else name, {})
    preset = re.search(r"ensemble\.preset=(\w+)", text)
    if preset:
        small = {key.replace("presets.fast", f"presets.{preset[1]}"): value for key, value in small.items()}
    return small


def as_run(command: Command, folder: Path, port: int) -> str:
    """Returns the command line that is run in place of a documented one."""
    text = re.sub(r"\s+#.*", "", command.text)
    if "kedro run" in text:
        given = re.search(r'--params="([^"]*)"', text)
        values = [f"{key}={value}" for key, value in small_parameters(text).items()]
        values += [given[1]] if given else []
        text = re.sub(r'\s*--params="[^"]*"', "", text)
        text += f' --params="{",".join(values)}"' if values else ""
    for piece, other in REPLACED.items():
        text = text.replace(piece, other)
    if text.startswith("make "):
        # The environment is there already.
        text = re.sub(r" (PAGE_)?PORT=\d+", "", text)
        text += f" BIN={Path(sys.executable).parent} INSTALLED=.installed"
        text += f" PORT={port} PAGE_PORT={port}"
    elif text.startswith(tuple(SERVERS)):
        text += f" --port={port}"
        text += " --no-browser" if text.startswith("kedro viz") else ""
    return text.replace("localhost:5001", f"localhost:{port}").replace("@/", f"{folder}/")


def prepare(folder: Path) -> Project:
    """Lays out the project and the files that the documentation takes for granted, made from a sample of 150 videos."""
    project = create_project(folder / "project", share_sample=False)
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, project.path)
    (project.path / ".installed").touch()
    subprocess.run(
        project.command("run", "--pipelines=sample_data", "--params=sample.videos=150"),
        cwd=project.path,
        env=environment(project),
        check=True,
        capture_output=True,
    )
    link_inputs(project.path)
    return project


def link_inputs(project: Path) -> None:
    """Makes the files that only a user has: their names are those of the documentation."""
    import numpy as np
    import pandas as pd
    from tiny_encoders import save_resnet18, save_tiny_bert

    sample, given = project / "data/01_raw/sample", project / "given"
    links = {
        given / "basic_view_pn.csv": "smtpd.csv",
        given / "new_videos.csv": "smtpd.csv",
        given / "img_yt": "thumbnails",
        given / "videos.csv": "tabular.csv",
        given / "snapugc.csv": "short_video.csv",
        given / "new.csv": "short_video.csv",
        given / "videos": "videos",
        project / "basic_view_pn.csv": "smtpd.csv",
        project / "img_yt": "thumbnails",
        project / "youtube_2023/videos.csv": "tabular.csv",
        project / "Data/train": "mofa/train",
        project / "Data/test": "mofa/test",
    }
    for link, name in links.items():
        link.parent.mkdir(exist_ok=True)
        # Copies: `sample_data` empties and writes its folders again.
        (shutil.copytree if (sample / name).is_dir() else shutil.copy)(sample / name, link)
    save_tiny_bert(given / "bert")
    save_resnet18(given / "resnet18.safetensors")

    # The files that data sets are published as, to be converted by the code of docs/reproducing.md.
    import bz2

    daily = pd.read_csv(sample / "tabular.csv").filter(like="views_day_").dropna().astype(int)
    videos = [
        {
            "YoutubeID": f"v{row}",
            "category": ["Music", "Comedy", None][row % 3],
            "dailyViewcount": views.tolist(),
        }
        for row, views in enumerate(daily.to_numpy())
    ]
    (project / "active-dataset.json.bz2").write_bytes(bz2.compress(json.dumps(videos).encode()))
    rng = np.random.default_rng(0)
    shapes = {"image": 8, "text": 10, "social": 5, "counts": 3}
    arrays = {name: rng.integers(0, 1000, (150, width)) for name, width in shapes.items()}
    np.savez(project / "vine_release.npz", ids=np.arange(150), **arrays)
    table = pd.read_csv(sample / "short_video.csv")
    ids = table["video_path"].str.removesuffix(".mp4")
    table.assign(id=ids)[["id", "ECR"]].to_csv(project / "snapugc_train.csv", index=False)


def environment(project: Project) -> dict[str, str]:
    """Returns the environment of the commands: this Python first, nothing from the network."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    return project.environment() | {"PATH": path, "PYTHONPATH": source, "HF_HUB_OFFLINE": "1"}


class Runner:
    """Runs commands one after the other; a server goes on until its block ends.

    Attributes:
        project: Where they run.
        server: The server that is running, if any.
        port: Where it listens.
        background: What else is running.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.server: subprocess.Popen | None = None
        self.port = _free_port()
        self.background: list[subprocess.Popen] = []

    def run(self, command: Command) -> tuple[int, str]:
        """Returns exit code and output of a command."""
        if command.text.startswith(BACKGROUND):
            self.background.append(self._launch(as_run(command, self.project.path, self.port), "background"))
            time.sleep(5)
            return int(self.background[-1].poll() is not None), ""
        if command.text.startswith(tuple(SERVERS)):
            _end(self.server)
            self.port = _free_port()
            return self._start(as_run(command, self.project.path, self.port))
        if command.language == "python":
            text = shlex.join([sys.executable, "-c", command.text])
        else:
            text = as_run(command, self.project.path, self.port)
        log = self.project.path / "command.log"
        log.unlink(missing_ok=True)
        process = self._launch(text, log.stem)
        try:
            code = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            _end(process)
        output = log.read_text()
        refused = command.text.startswith("curl") and '"predictions"' not in output
        return code or int(refused), output

    def _start(self, text: str) -> tuple[int, str]:
        path = next(path for start, path in SERVERS.items() if text.startswith(start))
        log = self.project.path / f"server.{self.port}.log"
        self.server = self._launch(text, f"server.{self.port}")
        for _ in range(300):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5),
            ):
                return 0, log.read_text()
            if self.server.poll() is not None:
                break
            time.sleep(0.5)
        return 1, log.read_text()

    def _launch(self, text: str, name: str) -> subprocess.Popen:
        with open(self.project.path / f"{name}.log", "a") as output:
            return subprocess.Popen(
                ["bash", "-c", text],
                cwd=self.project.path,
                env=environment(self.project),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def close(self) -> None:
        """Ends what is running."""
        for process in (self.server, *self.background):
            _end(process)
        self.server, self.background = None, []


def _end(process: subprocess.Popen | None) -> None:
    """Ends a process and what it has started."""
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    # Not one that the system gives out by itself: kedro-viz takes none above 49151.
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def chosen_commands(only: list[str]) -> Iterator[Command]:
    """Yields the commands of the chosen documents, each once; the same one with a remark behind it is the same."""
    seen = set()
    for command in commands():
        key = re.sub(r"\s+#.*", "", command.text) if command.language == "console" else command.text
        in_server_block = command.text.startswith(("curl", *SERVERS)) and command.block >= 0
        wanted = not only or any(re.search(part, command.document) for part in only)
        if wanted and (in_server_block or key not in seen):
            seen.add(key)
            yield command


def main() -> int:
    """Runs the commands; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], help="part of the path of a document, as a regular expression"
    )
    parser.add_argument("--list", action="store_true", help="run nothing")
    parser.add_argument("--keep", action="store_true", help="keep the scratch project")
    options = parser.parse_args()
    todo = list(chosen_commands(options.only))
    # Like Ctrl-C, so that servers and the folder go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="vidpop_docs_"))
    try:
        failed = list_commands(todo, folder) if options.list else run_commands(todo, folder)
    finally:
        if options.keep:
            sys.stdout.write(f"The project is {folder}.\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{len(todo)} commands, {len(failed)} failed: {', '.join(failed) or 'none'}.\n")
    return int(bool(failed))


def list_commands(todo: list[Command], folder: Path) -> list[str]:
    """Says what would be run; returns no failures."""
    for command in todo:
        reason = why_not(command)
        _say("not run" if reason else "to run", None, command, reason or as_run_or_python(command, folder))
    return []


def run_commands(todo: list[Command], folder: Path) -> list[str]:
    """Runs commands, says how each ended, and returns the places of those that failed."""
    failed = []
    block = None
    with contextlib.closing(Runner(prepare(folder))) as runner:
        for command in todo:
            if reason := why_not(command):
                _say("not run", None, command, reason)
                continue
            if (command.document, command.block) != block or command.block < 0:
                runner.close()
            block = (command.document, command.block)
            started = time.perf_counter()
            code, output = runner.run(command)
            _say("ok" if code == 0 else f"failed ({code})", time.perf_counter() - started, command)
            if code:
                failed.append(f"{command.document}:{command.line}")
                sys.stdout.write(f"{as_run_or_python(command, runner.project.path)}\n{output[-4000:]}\n")
    return failed


def as_run_or_python(command: Command, folder: Path) -> str:
    """Returns what is run: the changed command line; nothing for code, which is run as it stands."""
    return as_run(command, folder, 5001) if command.language == "console" else ""


def _say(state: str, seconds: float | None, command: Command, more: str = "") -> None:
    took = "" if seconds is None else f"{seconds:.0f} s"
    where = f"{command.document}:{command.line}"
    sys.stdout.write(f"{state:<10} {took:>6}  {where:<60} {command.text.splitlines()[0]}\n")
    if more:
        sys.stdout.write(f"{'':<19}{more}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
