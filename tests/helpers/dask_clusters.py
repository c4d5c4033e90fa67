"""A dask cluster on loopback, of the processes that the documentation starts, and functions for its workers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_DASK = str(Path(sys.executable).with_name("dask"))


def _python_path() -> str:
    return os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


class Cluster:
    """A scheduler and the workers that were started.

    Args:
        folder: For the scheduler's file, logs, and what workers spill.
        environment: Variables of the scheduler beside those of this process.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None):
        self._folder, self._processes = folder, ExitStack()
        self.workers: list[subprocess.Popen] = []
        file = folder / "scheduler.json"
        arguments = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = self._start("scheduler", arguments, environment or {})
        while not file.is_file() or not file.read_text().endswith("}"):
            assert self.scheduler.poll() is None, self.log()
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start_worker(self, threads: int = 1, **environment: str) -> subprocess.Popen:
        """Starts a worker without a nanny, which would start it again when it is killed."""
        arguments = [self.address, "--no-nanny", "--nthreads", str(threads), "--no-dashboard"]
        arguments += ["--local-directory", str(self._folder)]
        self.workers.append(self._start("worker", arguments, environment))
        return self.workers[-1]

    def log(self) -> str:
        """Returns what all processes have said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def kill(self, process: subprocess.Popen) -> None:
        """Kills one of the processes."""
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Ends all processes."""
        self._processes.close()

    def _start(self, kind: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen:
        path = self._folder / f"{kind}_{len(self.workers)}.log"
        log = self._processes.enter_context(path.open("w"))
        process = subprocess.Popen(
            [_DASK, kind, *arguments],
            env=os.environ | {"PYTHONPATH": _python_path()} | environment,
            cwd=self._folder,  # not the caller's: paths must not depend on it
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._processes.callback(process.wait)
        self._processes.callback(process.kill)
        return process


@contextmanager
def dask_cluster(folder: Path, n_workers: int = 2, **environment: str) -> Iterator[Cluster]:
    """Starts a cluster; ends all of its processes afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, environment)
    try:
        for _ in range(n_workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()


def wait_until(condition: Callable[[], bool], cluster: Cluster, seconds: float = 60) -> None:
    """Waits for a condition; an assertion with the cluster's log if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, cluster.log()
        time.sleep(0.05)


def place_of(array: np.ndarray) -> tuple[int, str, float]:
    """Returns the process, the file that the array is a map of, and its sum."""
    return os.getpid(), str(getattr(array, "filename", "")), float(array.sum())


def wait_for_kill(number: int, folder: Path) -> int:
    """The first call of 1 waits to be killed; it has noted its process."""
    if number == 1:
        try:
            (folder / "process").open("x").write(str(os.getpid()))
        except FileExistsError:
            return -number
        time.sleep(600)
    return -number


def wait_for_file(number: int, path: Path) -> int:
    """Notes its process beside a file, and waits for the file."""
    path.with_name(f"{os.getpid()}.process").touch()
    while not path.is_file():
        time.sleep(0.05)
    return -number


def wait_and_write(path: Path) -> None:
    """Waits as above, and writes another file beside it a second later."""
    wait_for_file(0, path)
    time.sleep(1)
    path.with_suffix(".written").touch()


def end_the_process(_: int) -> None:
    os._exit(1)


def has_failures(dask_scheduler: Any) -> bool:
    """Returns, on the scheduler, whether a call has failed."""
    return any(task.state == "erred" for task in dask_scheduler.tasks.values())
