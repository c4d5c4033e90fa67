import numpy as np
import pytest

from vidpop_pipelines.pipelines.mofa_lite.kernel import KernelRegression, _leave_one_out, _solve
from vidpop_pipelines.pipelines.mofa_lite.parameters import KernelOptions


def data(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 7)).astype(np.float32), rng.normal(size=(n_rows, 2))


def fit(features, targets, **options):
    return KernelRegression.fit(features, [3, 4], targets, KernelOptions(**options), seed=0)


def test_leave_one_out_forecasts_equal_fits_without_the_row():
    rng = np.random.default_rng(0)
    points, targets = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)).astype(np.float32)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    matrix = np.exp(-distance).astype(np.float32)
    weights, left_out = _solve(matrix, targets, 0.5), _leave_one_out(matrix, targets, 0.5)
    np.testing.assert_allclose((matrix + 0.5 * np.eye(12)) @ weights, targets, atol=1e-4)
    for row in range(12):
        others = np.delete(np.arange(12), row)
        system = matrix[np.ix_(others, others)] + 0.5 * np.eye(11)
        expected = matrix[row, others] @ np.linalg.solve(system, targets[others])
        np.testing.assert_allclose(left_out[row], expected, atol=1e-4)


def test_equal_rows_share_what_they_know():
    """A short length scale gives a video the mean of its author's others, shrunken by the ridge."""
    rng = np.random.default_rng(1)
    authors = rng.normal(size=(20, 7)).astype(np.float32)
    level = rng.normal(size=(20, 1))
    owner = np.repeat(np.arange(20), 5)
    model = fit(authors[owner], level[owner], length_scales=[0.001], linear_shares=[0.0], ridges=[0.5])
    np.testing.assert_allclose(model.forecast(authors), level * 5 / 5.5, atol=1e-3)


def test_linear_signal_takes_a_linear_share():
    features, _ = data(200)
    targets = features @ np.random.default_rng(1).normal(size=(7, 2))
    model = fit(features, targets)
    assert model.linear_share == 0.9
    new, _ = data(50, seed=2)
    expected = new @ np.random.default_rng(1).normal(size=(7, 2))
    assert np.mean((model.forecast(new) - expected) ** 2) < 0.1 * np.var(expected)


def test_more_rows_than_allowed_are_thinned_and_arrays_round_trip():
    features, targets = data(60)
    model = fit(features, targets, max_rows=25, components=2)
    assert model.vectors.shape == (25, 4) and model.coefficients.shape == (25, 2)
    again = KernelRegression.from_dict(model.to_dict(), model.to_arrays())
    np.testing.assert_array_equal(model.forecast(features), again.forecast(features))
    assert model.forecast(features[:0]).shape == (0, 2)


def test_a_matrix_that_is_not_positive_definite_is_an_error():
    with pytest.raises(np.linalg.LinAlgError):
        _solve(-np.eye(3, dtype=np.float32), np.ones((3, 1), np.float32), 0.5)
