"""Independent pieces of work in parallel: processes on one machine or a dask cluster, same code."""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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
            its pipeline ends. On a cluster the workers write there, under the same path. Like the Trainer's own state
            these files are pickles, and nothing else may be kept in them.
        fingerprint: Digest of everything that the results depend on; only needed with a folder.

    Returns:
        The results, in the order of the arguments.

    Raises:
        InputError: If the dask backend cannot be used, see `cluster.map_on_cluster`.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    calls = list(arguments)
    if resume_folder is not None:
        resume_folder.mkdir(parents=True, exist_ok=True)
        paths = [resume_folder / f"{fingerprint[:16]}.{number}.joblib" for number in range(len(calls))]
        if n_finished := sum(path.is_file() for path in paths):
            logger.info(
                "%s: resumed, %d of %d are there already.", description or "Work", n_finished, len(calls)
            )
        calls = [(path, function, *call) for path, call in zip(paths, calls, strict=True)]
        function = _once
    if options.backend == "dask":
        from vidpop_pipelines.cluster import map_on_cluster

        results = map_on_cluster(function, calls, options.address)
    else:
        parallel = Parallel(n_jobs=options.n_jobs, backend=options.backend, return_as="generator")
        results = parallel(delayed(function)(*call) for call in calls)
    return list(tqdm(results, desc=description, total=len(calls), disable=description is None))


def _once(path: Path, function: Callable, *arguments: Any) -> Any:
    """Reads the result of a call, or calls and writes it: whole or not at all."""
    from uuid import uuid4

    import joblib

    if path.is_file():
        return joblib.load(path)
    result = function(*arguments)
    unfinished = path.with_suffix(f".{uuid4().hex}")
    joblib.dump(result, unfinished)
    os.replace(unfinished, path)
    return result
