"""Independent pieces of work in parallel: processes on one machine or a dask cluster, same code."""

from collections.abc import Callable, Iterable
from typing import Any

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.parameters import ComputeOptions


def parallel_map(function: Callable, arguments: Iterable[tuple], options: ComputeOptions) -> list[Any]:
    """Calls a function once for each tuple of arguments.

    Args:
        function: Importable by worker processes, hence defined at the top of a module.
        arguments: One tuple per call.
        options: Backend, number of calls at once, scheduler address.

    Returns:
        The results, in the order of the arguments.

    Raises:
        InputError: If the dask backend has no scheduler address.
    """
    from joblib import Parallel, delayed, parallel_config

    calls = [delayed(function)(*argument) for argument in arguments]
    if options.backend != "dask":
        return Parallel(n_jobs=options.n_jobs, backend=options.backend)(calls)
    if not options.address:
        raise InputError(
            "compute.backend is 'dask', but compute.address is empty.",
            "the address of a running scheduler, for example tcp://127.0.0.1:8786",
            "start one with `dask scheduler` and give its address, or use compute.backend=loky.",
        )
    from distributed import Client

    with Client(options.address), parallel_config(backend="dask"):
        return Parallel(n_jobs=options.n_jobs)(calls)
