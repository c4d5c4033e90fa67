"""The Ridge on top: weights of the learners from their out-of-fold predictions."""

import numpy as np


def fit_stack_weights(predictions: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """Fits weights that sum to one.

    The Ridge fits y - m on p_i - m, where m is the mean of the learners, without an intercept: what is
    penalised is the difference from equal weights, and the level stays that of the learners, which an
    intercept fitted on older videos would shift.

    Args:
        predictions: (N, L) out-of-fold predictions of L learners.
        target: (N,).
        alpha: Penalty of the Ridge.

    Returns:
        (L,) weights.
    """
    from sklearn.linear_model import Ridge

    n_learners = predictions.shape[1]
    mean = predictions.mean(axis=1)
    ridge = Ridge(alpha=alpha, fit_intercept=False)
    differences = ridge.fit(predictions - mean[:, None], target - mean).coef_
    return 1 / n_learners + differences - differences.mean()


def progressive_stack(
    predictions: np.ndarray, target: np.ndarray, folds: np.ndarray, n_calibration_folds: int, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Stacks out-of-fold predictions without looking ahead.

    Each fold gets the weights fitted on the folds before it (the first equal weights); the calibration folds,
    which are the last, all get the weights fitted on the folds before them, which are the final ones.

    Args:
        predictions: (N, L) out-of-fold predictions.
        target: (N,).
        folds: (N,) number of the time-ordered fold of each row.
        n_calibration_folds: Last folds that intervals are calibrated on, fewer than there are folds.
        alpha: Penalty of the Ridge.

    Returns:
        The (N,) stacked predictions and the final (L,) weights.
    """
    n_learners = predictions.shape[1]
    first_calibration = folds.max() + 1 - n_calibration_folds
    stacked = np.empty(len(target))
    weights = np.full(n_learners, 1 / n_learners)
    for fold in range(folds.max() + 1):
        earlier = folds < min(fold, first_calibration)
        if earlier.any():
            weights = fit_stack_weights(predictions[earlier], target[earlier], alpha)
        stacked[folds == fold] = predictions[folds == fold] @ weights
    return stacked, weights
