import operator

import pytest

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.parameters import ComputeOptions


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_results_come_in_the_order_of_the_arguments(backend):
    pairs = [(3, 4), (1, 2), (5, 6)]
    assert parallel_map(operator.mul, pairs, ComputeOptions(backend=backend, n_jobs=2)) == [12, 2, 30]


def test_dask_without_an_address_says_how_to_get_one():
    with pytest.raises(InputError, match="dask scheduler"):
        parallel_map(operator.mul, [(1, 2)], ComputeOptions(backend="dask"))


@pytest.mark.slow
def test_dask_gives_the_same_results_on_two_worker_processes():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        options = ComputeOptions(backend="dask", address=cluster.scheduler_address)
        assert parallel_map(operator.mul, [(3, 4), (1, 2), (5, 6)], options) == [12, 2, 30]
