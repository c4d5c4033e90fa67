import resource

import pytest
import torch

from vidpop_pipelines.training.memory import reused_buffers


def page_faults_of_large_buffers():
    def touch():
        torch.ones(20_000_000)  # 80 MB

    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        touch()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_large_buffers_are_reused_inside_the_block_only():
    outside = page_faults_of_large_buffers()
    if outside < 1000:
        pytest.skip("this C library does not give large blocks back")
    with reused_buffers():
        inside = page_faults_of_large_buffers()
    assert inside < outside / 10
    assert page_faults_of_large_buffers() > outside / 2


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), reused_buffers():
        raise ZeroDivisionError
