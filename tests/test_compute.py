import operator

import pytest

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.parameters import ComputeOptions


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_results_come_in_the_order_of_the_arguments(backend):
    pairs = [(3, 4), (1, 2), (5, 6)]
    assert parallel_map(operator.mul, pairs, ComputeOptions(backend=backend, n_jobs=2)) == [12, 2, 30]


def test_a_killed_map_goes_on_where_it_was(tmp_path):
    options = ComputeOptions(backend="threading", n_jobs=1)
    called = []

    def double(number: int) -> int:
        called.append(number)
        if number == 3 and len(called) == 3:
            raise KeyboardInterrupt
        return 2 * number

    keep = {"resume_folder": tmp_path, "fingerprint": "a" * 64}
    with pytest.raises(KeyboardInterrupt):
        parallel_map(double, [(1,), (2,), (3,)], options, **keep)
    assert parallel_map(double, [(1,), (2,), (3,)], options, **keep) == [2, 4, 6]
    assert called == [1, 2, 3, 3]
    assert parallel_map(double, [(5,)], options, resume_folder=tmp_path, fingerprint="b" * 64) == [10]
