"""Rows of a data set, fetched a batch at a time and shuffled by (seed, epoch)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import BatchSampler, Dataset

Batch = dict[str, np.ndarray]


class BatchDataset(Dataset):
    """Row numbers and the function that reads a batch of rows.

    A whole batch is read in one call, so that `fetch` can index memory-mapped arrays once per batch; apart
    from the row numbers nothing is kept in memory.

    Args:
        rows: (n,) row numbers of this part of the data, for example of the training split.
        fetch: From (batch,) row numbers to a dictionary of arrays with the batch on the first axis, named as
            the arguments of the model's forward. Picklable where batches are read by worker processes.
    """

    def __init__(self, rows: np.ndarray, fetch: Callable[[np.ndarray], Batch]):
        self.rows = np.asarray(rows)
        self.fetch = fetch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Batch:
        """Reads the batch at these positions of `rows`; torch's loader asks for it with one call."""
        return self.fetch(self.rows[positions])


def to_tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Returns the arrays of a batch as tensors on the same memory; collates a `BatchDataset`."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in batch.items()}


class ShuffledBatches(BatchSampler):
    """Batches in an order that depends on (seed, epoch) alone, so that a resumed training sees the same.

    Every row comes once per epoch. Where one row would be left for the last batch it joins the batch before:
    batch normalization cannot train on a single row, and dropping it would train on less than was given.
    """

    def __init__(self, n_rows: int, batch_size: int, seed: int):
        super().__init__(range(n_rows), batch_size, drop_last=False)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        n_rows = len(self.sampler)
        n_full, remainder = divmod(n_rows, self.batch_size)
        joins_the_one_before = remainder == 1 and n_full > 0
        return n_full + (remainder > 0 and not joins_the_one_before)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.sampler))
        n_batches = len(self)
        for batch in range(n_batches):
            start = batch * self.batch_size
            stop = None if batch == n_batches - 1 else start + self.batch_size
            yield order[start:stop].tolist()
