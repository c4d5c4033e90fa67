"""Is one forecast better than another, or was it luck? Paired bootstrap over videos."""

from dataclasses import dataclass

import numpy as np

# Weights held at a time: 32 MB, however many videos there are.
BLOCK_SIZE = 2**22


@dataclass(frozen=True)
class BootstrapComparison:
    """Difference in mean error of forecast a and forecast b; below zero, a is better.

    Attributes:
        difference: Mean error of a minus mean error of b on all videos.
        lower: Lower end of the percentile interval of the difference.
        upper: Upper end; below zero, a is better at the asked confidence.
        probability: Share of resamples in which a is better (a tie counts half).
    """

    difference: float
    lower: float
    upper: float
    probability: float


def paired_bootstrap(
    errors_a: np.ndarray,
    errors_b: np.ndarray,
    *,
    seed: int,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> BootstrapComparison:
    """Compare the mean errors of two forecasts of the same videos.

    Videos are drawn with replacement, both forecasts with the same draw, and the mean over days of the mean error
    of each day is computed anew (AMAE, if the errors are absolute ones; with one column simply the mean error):
    the days of a video are correlated, so whole videos are drawn.

    Args:
        errors_a: (N, T) errors of forecast a, e.g. absolute ones, or |ln(forecast + 1) - ln(truth + 1)| of views
            with T = 1; NaN where the truth is missing.
        errors_b: (N, T) errors of forecast b, NaN in the same cells.
        seed: Seed of the draws.
        n_resamples: Number of draws; 2000 make the ends of a 95 % interval steady in the second digit.
        confidence: Probability of the percentile interval.

    Returns:
        The difference, its interval and the probability that a is better.

    Raises:
        ValueError: If shapes or missing cells differ, or no error is known.
    """
    errors_a, errors_b = np.asarray(errors_a, dtype=np.float64), np.asarray(errors_b, dtype=np.float64)
    if errors_a.shape != errors_b.shape or (np.isnan(errors_a) != np.isnan(errors_b)).any():
        raise ValueError("both forecasts must be scored on the same cells")
    known = ~np.isnan(errors_a)
    if not known.any():
        raise ValueError("no error is known")
    # Videos and days without any known error say nothing, and could leave a resample empty.
    scored = np.ix_(known.any(axis=1), known.any(axis=0))
    known = known[scored]
    difference = np.where(known, errors_a[scored] - errors_b[scored], 0.0)

    # Sums and counts of a resample are its weights times these two blocks, in one matrix product.
    cells = np.concatenate([difference, known.astype(np.float64)], axis=1)
    resampled = _mean_over_days(_resampled_sums(cells, n_resamples, np.random.default_rng(seed)))
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(resampled, [tail, 1 - tail])
    return BootstrapComparison(
        difference=float(_mean_over_days(cells.sum(axis=0, keepdims=True))[0]),
        lower=float(lower),
        upper=float(upper),
        probability=float(np.mean(resampled < 0) + np.mean(resampled == 0) / 2),
    )


def _resampled_sums(cells: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows with replacement, as many as there are, and sum each column: (n_resamples, n_columns).

    Works through blocks of videos: first how many draws fall into each block, then which videos these are.
    Drawn in these two steps the weights are exactly multinomial, and they never exist for all videos at once.
    """
    n_videos = len(cells)
    starts = np.arange(0, n_videos, max(1, BLOCK_SIZE // n_resamples))
    sizes = np.diff(starts, append=n_videos)
    draws = rng.multinomial(n_videos, sizes / n_videos, size=n_resamples)
    sums = np.zeros((n_resamples, cells.shape[1]))
    for start, size, n_draws in zip(starts, sizes, draws.T, strict=True):
        resample = np.repeat(np.arange(n_resamples), n_draws)
        drawn = rng.integers(size, size=len(resample))
        weights = np.bincount(resample * size + drawn, minlength=n_resamples * size)
        sums += weights.reshape(n_resamples, size).astype(np.float64) @ cells[start : start + size]
    return sums


def _mean_over_days(sums_and_counts: np.ndarray) -> np.ndarray:
    """Mean over days of sum / count; a day of which a resample drew no known value is left out of it."""
    sums, counts = np.split(sums_and_counts, 2, axis=1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return np.nanmean(means, axis=1)


def paired_bootstrap_srcc(
    truth: np.ndarray,
    forecast_a: np.ndarray,
    forecast_b: np.ndarray,
    *,
    seed: int,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> BootstrapComparison:
    """Compare the rank correlations (Spearman) of two forecasts of the same videos with their truth.

    Videos are drawn with replacement, both forecasts with the same draw, and ranked anew.

    Args:
        truth: (N,) truth, all known.
        forecast_a: (N,) forecast a, in any units.
        forecast_b: (N,) forecast b, in any units.
        seed: Seed of the draws.
        n_resamples: Number of draws.
        confidence: Probability of the percentile interval.

    Returns:
        As of an error, below zero a is better: the difference is 1 - SRCC of a minus 1 - SRCC of b. Resamples
        in which one of the two is undefined (all values drawn are the same) are left out.

    Raises:
        ValueError: If the correlation of either forecast is undefined, or shapes differ.
    """
    values = np.stack([np.asarray(column, np.float64) for column in (truth, forecast_a, forecast_b)])
    n_videos = values.shape[1]
    difference = _srcc_difference(values[:, None, :])[0]
    if np.isnan(difference):
        raise ValueError("a forecast is missing or constant: it has no rank correlation")
    rng = np.random.default_rng(seed)
    resampled = []
    for start in range(0, n_resamples, max(1, BLOCK_SIZE // n_videos)):
        n_draws = min(max(1, BLOCK_SIZE // n_videos), n_resamples - start)
        resampled.append(_srcc_difference(values[:, rng.integers(n_videos, size=(n_draws, n_videos))]))
    drawn = np.concatenate(resampled)
    drawn = drawn[~np.isnan(drawn)]
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail])
    return BootstrapComparison(
        difference=float(difference),
        lower=float(lower),
        upper=float(upper),
        probability=float(np.mean(drawn < 0) + np.mean(drawn == 0) / 2),
    )


def _srcc_difference(values: np.ndarray) -> np.ndarray:
    """Return SRCC of b minus SRCC of a in each of B resamples of (3, B, N) truth, a and b; NaN where undefined."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=-1, nan_policy="propagate")
    centred = ranks - (values.shape[-1] + 1) / 2
    scale = np.sqrt((centred**2).sum(axis=-1))
    truth, scale = centred[0], np.where(scale > 0, scale, np.nan)
    srcc = [(truth * centred[k]).sum(axis=-1) / (scale[0] * scale[k]) for k in (1, 2)]
    return srcc[1] - srcc[0]
