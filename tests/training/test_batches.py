import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from vidpop_pipelines.training.batches import BatchDataset, ShuffledBatches, to_tensors


class Rows:
    """Gives back the row numbers it is asked for, and remembers how often it was."""

    def __init__(self):
        self.calls = 0

    def __call__(self, rows):
        self.calls += 1
        return {"rows": rows, "squares": (rows**2).astype(np.float32)}


def test_a_batch_is_read_with_one_call():
    fetch = Rows()
    loader = DataLoader(BatchDataset(np.arange(100, 107), fetch), batch_size=3, collate_fn=to_tensors)
    batches = list(loader)
    assert fetch.calls == 3
    assert [batch["rows"].tolist() for batch in batches] == [[100, 101, 102], [103, 104, 105], [106]]
    assert batches[0]["squares"].dtype == torch.float32


def test_dataset_travels_to_worker_processes():
    dataset = pickle.loads(pickle.dumps(BatchDataset(np.arange(4), Rows())))
    assert dataset.__getitems__([1, 3])["rows"].tolist() == [1, 3]


def test_arrays_that_are_not_contiguous_become_tensors():
    tensors = to_tensors({"values": np.arange(6).reshape(2, 3).T[::-1]})
    assert tensors["values"].tolist() == [[2, 5], [1, 4], [0, 3]]


@given(
    n_rows=st.integers(1, 300), batch_size=st.integers(1, 70), seed=st.integers(0, 5), epoch=st.integers(0, 5)
)
def test_every_row_comes_once_and_never_alone(n_rows, batch_size, seed, epoch):
    batches = ShuffledBatches(n_rows, batch_size, seed)
    batches.set_epoch(epoch)
    epoch_batches = list(batches)
    assert len(epoch_batches) == len(batches)
    assert sorted(row for batch in epoch_batches for row in batch) == list(range(n_rows))
    sizes = [len(batch) for batch in epoch_batches]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert sizes[-1] <= batch_size + 1
    if n_rows > 1 and batch_size > 1:
        assert min(sizes) > 1


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        batches = ShuffledBatches(50, 8, seed)
        batches.set_epoch(epoch)
        torch.rand(3), np.random.rand(3)
        return [row for batch in batches for row in batch]

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6
    assert order(1, 0) != list(range(50))


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(64, [64]), (65, [65]), (66, [64, 2]), (129, [64, 65]), (1, [1])]
)
def test_last_row_joins_the_batch_before(n_rows, expected):
    assert [len(batch) for batch in ShuffledBatches(n_rows, 64, 0)] == expected
