"""Calls on a dask cluster. What the workers need travels to them, but for files: those they read themselves."""

import functools
import io
import logging
import mmap
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from vidpop_pipelines.errors import InputError

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
# How long nothing may happen before it is looked whether there are workers at all, and said if not.
_PATIENCE_SECONDS = 15
# Results and models cross from process to process as pickles, which other versions may read otherwise, or not at all.
# And those that decode and compute there: other versions give other numbers.
_PACKAGES = (
    "av", "catboost", "lightgbm", "numpy", "pandas", "pillow", "scikit-learn", "scipy", "tokenizers", "torch",
    "torchvision", "transformers", "xgboost",
)  # fmt: skip


def map_on_cluster(
    function: Callable, arguments: Iterable[tuple], address: str | None, *, ahead: int | None = None
) -> Iterator[Any]:
    """Calls a function on a cluster once for each tuple of arguments.

    The scheduler keeps what a call needs until its result has arrived, so the work of a worker that dies is done
    again by another one. An argument of several calls is sent to a worker once.

    Args:
        function: Importable by the workers.
        arguments: One tuple per call. Memory maps travel as the place of their file.
        address: Of the scheduler.
        ahead: Calls in flight per worker at most, so that a long stream takes little memory; None for all at once.

    Yields:
        The results, in the order of the arguments.

    Raises:
        InputError: If there is no scheduler, a worker has not what it needs, or a call kills one worker after another.
    """
    with _connect(address) as client:
        _check_workers(client)
        _wait_for_ended_runs(client)
        shared = _SharedArguments(client)
        if ahead is None:
            arguments = list(arguments)
            _check_folders(client, arguments)
            shared.find(arguments)
        pending: deque = deque()
        for argument in arguments:
            pending.append(shared.submit(function, argument))
            if ahead is not None and len(pending) >= ahead * max(1, _count_workers(client)):
                yield _result(client, pending.popleft())
        while pending:
            yield _result(client, pending.popleft())


@contextmanager
def _connect(address: str | None) -> Iterator[Any]:
    if not address:
        raise InputError(
            "compute.backend is 'dask', but compute.address is empty.",
            "the address of a running scheduler, for example tcp://127.0.0.1:8786",
            "start one with `dask scheduler` and give its address, or use compute.backend=loky.",
        )
    import dask
    from distributed import Client

    # Data is meant to travel with the graph: the scheduler has it when a worker that had it is lost.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"compute.address: no dask scheduler answers at {address} ({error}).",
                "the address that `dask scheduler` prints, for example tcp://127.0.0.1:8786",
                "start one with `dask scheduler`, check host, port and firewall, or use compute.backend=loky.",
            ) from None
        with client:
            yield client


def _check_workers(client: Any) -> None:
    """Waits for a worker, and checks that all have the code and the versions of this process, and one thread each.

    Raises:
        InputError: Naming what differs.
    """
    while not client.nthreads():
        _tell_no_workers(client)
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
        except TimeoutError:
            continue
    address = client.scheduler.address
    for worker, count in sorted(client.nthreads().items()):
        _check_threads(worker, count, address)
    report, ours = _installed_reporter(), _installed()
    theirs = client.run(report, on_error="return") | {"the scheduler": client.run_on_scheduler(report)}
    for place, found in sorted(theirs.items()):
        if isinstance(found, BaseException):
            found = {"": f"no answer ({type(found).__name__}: {found})"}
        _check_installed(place, found, ours)
    logger.info("dask: %d workers at %s", len(client.nthreads()), address)


def _check_threads(worker: str, count: int, scheduler: str) -> None:
    if count != 1:
        raise InputError(
            f"dask worker {worker} makes {count} calls at once in one process.",
            "one: random numbers and numbers of threads are set for a whole process",
            f"start workers with `dask worker {scheduler} --nthreads 1 --nworkers N`.",
        )


def _check_installed(place: str, found: dict[str, str], ours: dict[str, str]) -> None:
    wrong = [name for name in ours if found.get(name) != ours[name]]
    if wrong:
        has = ", ".join(f"{name} {found.get(name) or 'missing'}" for name in wrong)
        expected = ", ".join(f"{name} {ours[name]}" for name in wrong)
        raise InputError(
            f"dask: {place} has {has}.",
            f"the versions of the process that runs Kedro: {expected}",
            "install the same checkout of vidpop_pipelines there (`pip install --constraint constraints.txt"
            " --editable .`), with the same Python, and start it again.",
        )


def _installed_reporter() -> Callable[[], dict[str, str]]:
    """Returns a function that tells what is installed where it runs, and needs nothing of this package to do so."""
    packages, python = _PACKAGES, "Python"

    def installed() -> dict[str, str]:
        import importlib.metadata
        import sys

        found = {python: ".".join(map(str, sys.version_info[:2]))}
        try:
            from vidpop_pipelines.fingerprint import hash_code

            found["vidpop_pipelines"] = hash_code()[:12]
        except ImportError:
            found["vidpop_pipelines"] = ""
        for name in packages:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = ""
        return found

    return installed


@functools.cache
def _installed() -> dict[str, str]:
    return _installed_reporter()()


def _wait_for_ended_runs(client: Any) -> None:
    """Waits for calls of a run that was killed: a worker can't stop them, and they may write where this run resumes."""

    def running(dask_worker: Any) -> set[str]:
        return {str(task.key) for task in dask_worker.state.executing}

    told = False
    while True:
        wanted = {str(key) for keys in client.processing().values() for key in keys}
        left = {worker for worker, keys in client.run(running).items() if keys - wanted}
        if not left:
            return
        if not told:
            logger.warning(
                "Waiting for dask worker %s, which still works for a run that has ended; it may be killed.",
                ", ".join(sorted(left)),
            )
        told = True
        time.sleep(0.5)


def _check_folders(client: Any, calls: list[tuple]) -> None:
    """Checks that the workers see the folders that calls are given, or those that these will lie in.

    Raises:
        InputError: Naming a worker and a folder that it has not.
    """
    paths = {value.absolute() for arguments in calls for value in arguments if isinstance(value, Path)}
    folders = {str(next(folder for folder in path.parents if folder.is_dir())) for path in paths}

    def missing() -> list[str]:
        import os

        return [folder for folder in sorted(folders) if not os.path.isdir(folder)]

    for worker, lacking in client.run(missing).items():
        if lacking:
            raise InputError(
                f"dask worker {worker} has no folder {lacking[0]}.",
                "inputs and results in folders that all machines have at the same path",
                "give paths (`output` and the inputs) on storage that is mounted everywhere.",
            )


def _tell_no_workers(client: Any) -> None:
    address = client.scheduler.address
    logger.warning(
        "The dask scheduler at %s has no workers; waiting for one. Start some: dask worker %s --nthreads 1"
        " --nworkers N (Ctrl-C ends this run)",
        address,
        address,
    )


def _result(client: Any, future: Any) -> Any:
    """Waits for a result, and says so while there is no worker to compute it."""
    from distributed import CancelledError, KilledWorker

    while True:
        failed = future.status == "error"  # before the wait: one that fails right after it is asked once more
        try:
            return future.result(timeout=_PATIENCE_SECONDS)
        except TimeoutError:
            if failed:  # the call's own
                raise
            if not _count_workers(client):
                _tell_no_workers(client)
        except KilledWorker as error:
            raise InputError(
                f"A call killed {error.allowed_failures + 1} dask workers one after the other.",
                "workers with enough memory",
                "look into their logs; start fewer on each machine, or with a higher --memory-limit. The same"
                " command goes on where this run was.",
            ) from error
        except CancelledError as error:
            raise _scheduler_lost(error) from error


def _count_workers(client: Any) -> int:
    try:
        return len(client.nthreads())
    except OSError as error:
        raise _scheduler_lost(error) from error


def _scheduler_lost(error: BaseException) -> InputError:
    return InputError(
        f"The dask scheduler was lost ({error}).",
        remedy="start it and its workers again; the same command goes on where this run was.",
    )


class _SharedArguments:
    """Submits calls, with the pickles of those arguments that several calls have as tasks of their own.

    Tasks, because the scheduler can make their results again, as it can't what is scattered. Pickles, because each call
    gets a copy of its own as in processes of one machine, and maps of files stay the places of files.
    """

    def __init__(self, client: Any):
        self._client = client
        self._futures: dict[int, Any] = {}
        self._kept: list[Any] = []  # an object's id is its own only as long as it lives

    def find(self, calls: list[tuple]) -> None:
        """Sends whatever is an argument of several calls."""
        counts = Counter(id(value) for arguments in calls for value in arguments)
        for value in {id(value): value for arguments in calls for value in arguments}.values():
            if counts[id(value)] > 1 and not isinstance(value, int | float | str | bytes | None):
                self._futures[id(value)] = self._client.submit(bytes, _dumps(value), pure=False)
                self._kept.append(value)

    def submit(self, function: Callable, arguments: tuple) -> Any:
        """Returns the future of a call."""
        from distributed.client import ClosedClientError

        places = {
            place: self._futures[id(value)]
            for place, value in enumerate(arguments)
            if id(value) in self._futures
        }
        rest = tuple(None if place in places else value for place, value in enumerate(arguments))
        call = _dumps((function, rest, list(places)))
        try:
            return self._client.submit(_call, _installed(), call, *places.values(), pure=False)
        except ClosedClientError as error:  # lost while the caller was busy with results
            raise _scheduler_lost(error) from error


def _call(expected: dict[str, str], call: bytes, *shared: bytes) -> Any:
    from distributed import get_worker

    worker = get_worker()  # it may have joined after the others were checked
    _check_threads(worker.address, worker.state.nthreads, worker.scheduler.address)
    _check_installed(worker.address, _installed(), expected)
    function, rest, places = pickle.loads(call)
    arguments = list(rest)
    for place, value in zip(places, shared, strict=True):
        arguments[place] = pickle.loads(value)
    return function(*arguments)


class _Pickler(cloudpickle.Pickler):
    """Pickles a map of a file as the place of the file: workers map it, instead of getting its content."""

    def reducer_override(self, obj: Any) -> Any:
        """Called for each object."""
        whole = type(obj) is np.memmap and isinstance(obj.base, mmap.mmap) and obj.filename
        if whole and (obj.flags.c_contiguous or obj.flags.f_contiguous):
            order = "C" if obj.flags.c_contiguous else "F"
            return _map, (str(obj.filename), obj.dtype, obj.offset, obj.shape, order)
        return super().reducer_override(obj)


def _map(filename: str, dtype: np.dtype, offset: int, shape: tuple[int, ...], order: str) -> np.memmap:
    try:
        return np.memmap(filename, dtype, "r", offset, shape, order)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{filename}: cannot be read by a dask worker ({error}).",
            "inputs and results in folders that all machines have at the same path",
            "put them on storage that is mounted everywhere.",
        ) from error


def _dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()
