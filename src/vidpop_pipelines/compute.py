"""Independent pieces of work in parallel: processes on one machine or a dask cluster, same code."""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.parameters import ComputeOptions

logger = logging.getLogger(__name__)


def parallel_map(
    function: Callable,
    arguments: Iterable[tuple],
    options: ComputeOptions,
    *,
    description: str | None = None,
    resume_folder: Path | None = None,
    fingerprint: str = "",
) -> list[Any]:
    """Calls a function once for each tuple of arguments.

    Args:
        function: Importable by worker processes, hence defined at the top of a module.
        arguments: One tuple per call.
        options: Backend, number of calls at once, scheduler address.
        description: Label of a progress bar; None for no bar.
        resume_folder: Where finished results are kept, so that a killed run goes on; the caller deletes it when
            its pipeline ends. On a cluster the workers need to reach it. Like the Trainer's own state these files
            are pickles, and nothing else may be kept in them.
        fingerprint: Digest of everything that the results depend on; only needed with a folder.

    Returns:
        The results, in the order of the arguments.

    Raises:
        InputError: If the dask backend has no scheduler address.
    """
    from joblib import Parallel, delayed, parallel_config
    from tqdm import tqdm

    calls = [delayed(function)(*argument) for argument in arguments]
    if resume_folder is not None:
        resume_folder.mkdir(parents=True, exist_ok=True)
        paths = [resume_folder / f"{fingerprint[:16]}.{number}.joblib" for number in range(len(calls))]
        if n_finished := sum(path.is_file() for path in paths):
            logger.info(
                "%s: resumed, %d of %d are there already.", description or "Work", n_finished, len(calls)
            )
        calls = [delayed(_once)(path, *call) for path, call in zip(paths, calls, strict=True)]

    def collect(**settings: Any) -> list[Any]:
        results = Parallel(n_jobs=options.n_jobs, return_as="generator", **settings)(calls)
        return list(tqdm(results, desc=description, total=len(calls), disable=description is None))

    if options.backend != "dask":
        return collect(backend=options.backend)
    if not options.address:
        raise InputError(
            "compute.backend is 'dask', but compute.address is empty.",
            "the address of a running scheduler, for example tcp://127.0.0.1:8786",
            "start one with `dask scheduler` and give its address, or use compute.backend=loky.",
        )
    from distributed import Client

    with Client(options.address), parallel_config(backend="dask"):
        return collect()


def _once(path: Path, function: Callable, arguments: tuple, keywords: dict) -> Any:
    """Reads the result of a call, or calls and writes it: whole or not at all."""
    import joblib

    if path.is_file():
        return joblib.load(path)
    result = function(*arguments, **keywords)
    unfinished = path.with_suffix(f".{os.getpid()}")
    joblib.dump(result, unfinished)
    os.replace(unfinished, path)
    return result
