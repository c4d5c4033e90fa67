import resource

import pytest
import torch

from vidpop_pipelines.training.memory import reused_buffers


def page_faults_of_large_buffers(n_warm_up=10):
    for _ in range(n_warm_up):
        torch.ones(20_000_000)  # 80 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(20_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_large_buffers_are_reused_inside_the_block():
    outside = page_faults_of_large_buffers()
    if outside < 1000:
        pytest.skip("this C library does not give large blocks back")
    with reused_buffers():
        assert page_faults_of_large_buffers() < outside / 10


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), reused_buffers():
        raise ZeroDivisionError
