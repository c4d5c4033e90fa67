import numpy as np
import pytest

from vidpop_pipelines.evaluation import comparison
from vidpop_pipelines.evaluation.comparison import paired_bootstrap, paired_bootstrap_srcc


def test_difference_by_hand_with_missing_days():
    errors_a = np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan]])
    errors_b = np.array([[2.0, 5.0], [4.0, np.nan], [np.nan, np.nan]])
    # Day means of the difference: (-1 - 1) / 2 = -1 and -3 / 1; their mean is -2.
    result = paired_bootstrap(errors_a, errors_b, seed=0)
    assert result.difference == pytest.approx(-2.0)
    # Draws of the two informative videos: both, -2; the first twice, -2; the second twice, day 1 alone, -1.
    assert (result.lower, result.upper) == (pytest.approx(-2.0), pytest.approx(-1.0))
    assert result.probability == 1.0


def test_probability_of_two_videos_by_hand():
    # Differences 1 and -3: the mean of two draws is 1 (1/4), -1 (1/2) or -3 (1/4), so a wins 3 of 4.
    result = paired_bootstrap(np.array([[2.0], [0.0]]), np.array([[1.0], [3.0]]), n_resamples=20000, seed=0)
    assert result.difference == -1.0
    assert result.probability == pytest.approx(0.75, abs=0.015)
    assert (result.lower, result.upper) == (-3.0, 1.0)


def test_equal_forecasts_tie():
    errors = np.ones((5, 2))
    result = paired_bootstrap(errors, errors, seed=0)
    assert (result.difference, result.lower, result.upper, result.probability) == (0.0, 0.0, 0.0, 0.5)


def test_interval_agrees_with_the_standard_error():
    rng = np.random.default_rng(0)
    errors_b = np.abs(rng.normal(size=(400, 3)))
    errors_a = errors_b + rng.normal(0.1, 1.0, size=(400, 1))
    result = paired_bootstrap(errors_a, errors_b, n_resamples=8000, seed=1)
    per_video = (errors_a - errors_b).mean(axis=1)
    half_width = 1.96 * per_video.std() / 20
    assert result.difference == pytest.approx(per_video.mean())
    assert result.lower == pytest.approx(per_video.mean() - half_width, abs=0.08 * half_width)
    assert result.upper == pytest.approx(per_video.mean() + half_width, abs=0.08 * half_width)


@pytest.mark.parametrize("block_size", [1, 3000, 10**7])
def test_blocks_do_not_change_the_distribution(block_size, monkeypatch):
    """Against the plain procedure: draw rows, take the mean over days of the mean over known values."""
    monkeypatch.setattr(comparison, "BLOCK_SIZE", block_size)
    rng = np.random.default_rng(0)
    errors_a, errors_b = rng.random((12, 4)), rng.random((12, 4))
    missing = rng.random((12, 4)) < 0.3
    errors_a[missing] = errors_b[missing] = np.nan
    draws = np.random.default_rng(5).integers(12, size=(4000, 12))
    day_means = np.nanmean((errors_a - errors_b)[draws], axis=1)
    expected = np.nanmean(day_means, axis=1)
    result = paired_bootstrap(errors_a, errors_b, n_resamples=4000, seed=2)
    spread = expected.std()
    assert result.lower == pytest.approx(np.quantile(expected, 0.025), abs=0.15 * spread)
    assert result.upper == pytest.approx(np.quantile(expected, 0.975), abs=0.15 * spread)
    assert result.probability == pytest.approx(np.mean(expected < 0), abs=0.03)


def test_every_resample_draws_as_many_videos_as_there_are(monkeypatch):
    monkeypatch.setattr(comparison, "BLOCK_SIZE", 300)
    cells = np.eye(50)
    weights = comparison._resampled_sums(cells, 100, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.5)
    # Each weight is binomial(50, 1 / 50) with variance 0.98.
    assert weights.var() == pytest.approx(0.98, abs=0.08)


def test_same_seed_same_result():
    errors_a, errors_b = np.random.default_rng(0).random((2, 30, 3))
    assert paired_bootstrap(errors_a, errors_b, seed=3) == paired_bootstrap(errors_a, errors_b, seed=3)
    assert paired_bootstrap(errors_a, errors_b, seed=3) != paired_bootstrap(errors_a, errors_b, seed=4)


def test_unequal_cells_are_refused():
    with pytest.raises(ValueError, match="same cells"):
        paired_bootstrap(np.ones((2, 2)), np.array([[1.0, np.nan], [1.0, 1.0]]), seed=0)
    with pytest.raises(ValueError, match="same cells"):
        paired_bootstrap(np.ones((2, 2)), np.ones((3, 2)), seed=0)
    with pytest.raises(ValueError, match="no error"):
        paired_bootstrap(np.full((2, 2), np.nan), np.full((2, 2), np.nan), seed=0)


def test_rank_correlations_by_hand():
    truth = np.arange(5.0)
    same, reverse = truth**3, -truth
    result = paired_bootstrap_srcc(truth, same, reverse, seed=0)
    # 1 - SRCC is 0 and 2: a is better by 2 in every resample that can be ranked.
    assert (result.difference, result.lower, result.upper) == pytest.approx((-2.0, -2.0, -2.0))
    assert result.probability == 1.0
    assert paired_bootstrap_srcc(truth, same, 2 * same + 1, seed=0).difference == 0.0


def test_rank_correlation_interval_agrees_with_the_plain_procedure(monkeypatch):
    from scipy.stats import spearmanr

    monkeypatch.setattr(comparison, "BLOCK_SIZE", 500)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    a, b = truth + rng.normal(size=40), truth + 2 * rng.normal(size=40)
    result = paired_bootstrap_srcc(truth, a, b, seed=1)
    assert result.difference == pytest.approx(spearmanr(truth, b).statistic - spearmanr(truth, a).statistic)
    drawn = []
    for rows in np.random.default_rng(2).integers(40, size=(1000, 40)):
        correlation = [spearmanr(truth[rows], forecast[rows]).statistic for forecast in (a, b)]
        drawn.append(correlation[1] - correlation[0])
    spread = np.std(drawn)
    assert result.lower == pytest.approx(np.quantile(drawn, 0.025), abs=0.15 * spread)
    assert result.upper == pytest.approx(np.quantile(drawn, 0.975), abs=0.15 * spread)


def test_constant_forecast_has_no_rank_correlation_to_compare():
    with pytest.raises(ValueError, match="constant"):
        paired_bootstrap_srcc(np.arange(4.0), np.arange(4.0), np.ones(4), seed=0)
