import numpy as np
import pytest

from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.features.reduction import VectorReduction, nonzero


def test_constant_columns_are_divided_by_one():
    assert nonzero(np.array([0.0, 2.0])).tolist() == [1.0, 2.0]


def test_reduction_without_any_vector_is_all_zeros():
    embeddings = Embeddings(np.zeros((0, 6), np.float16), np.full((5, 2), -1))
    reduction = VectorReduction.fit(embeddings, 3, True, seed=0)
    assert reduction.apply(embeddings, np.arange(5)).tolist() == np.zeros((5, 2, 3)).tolist()


def test_fewer_vectors_than_components_leave_the_rest_zero():
    vectors = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float16)
    reduction = VectorReduction.fit(Embeddings(vectors, np.array([0, 1])), 4, True, seed=0)
    reduced = reduction.apply(Embeddings(vectors, np.array([0, 1])), np.array([0, 1]))
    # Two points have one direction: +1 and -1 standard deviations on it.
    assert sorted(reduced[:, 0]) == pytest.approx([-1, 1], abs=1e-3)
    assert not reduced[:, 1:].any()
