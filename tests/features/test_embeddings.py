import numpy as np
import pytest
from kedro.io import MemoryDataset

from vidpop_pipelines.features.embeddings import Embeddings


def test_rows_must_point_into_the_vectors():
    vectors = np.zeros((2, 3), np.float16)
    Embeddings(vectors, np.array([-1, 0, 1]))
    Embeddings(vectors[:0], np.array([-1, -1]))
    for rows in ([0, 2], [-2, 0]):
        with pytest.raises(ValueError, match="rows must lie in"):
            Embeddings(vectors, np.array(rows))


def test_kedro_does_not_copy_the_memory_map(tmp_path):
    np.save(tmp_path / "vectors.npy", np.ones((2, 3), np.float16))
    embeddings = Embeddings(np.load(tmp_path / "vectors.npy", mmap_mode="r"), np.array([0, 1]))
    dataset = MemoryDataset()
    dataset.save(embeddings)
    assert dataset.load().vectors is embeddings.vectors
