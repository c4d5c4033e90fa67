"""Calibrated probabilities: temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

One number is fitted, on rows that neither trained nor selected the model: by how much its logits are too large.
The order of the videos and the more probable class stay as they are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Beyond these a temperature says that the rows were too few, not how sure the model is.
_SMALLEST, _LARGEST = 0.05, 50.0


@dataclass(frozen=True)
class TemperatureScaling:
    """Turns logits into probabilities.

    Attributes:
        temperature: The logits are divided by it; 1 leaves them as they are.
    """

    temperature: float = 1.0

    @classmethod
    def fit(cls, logits: npt.ArrayLike, labels: npt.ArrayLike) -> "TemperatureScaling":
        """Finds the temperature of the least log loss.

        The labels are smoothed as by Platt ("Probabilistic Outputs for Support Vector Machines", 1999), so that a few
        rows which happen to be all right do not make the model certain.

        Args:
            logits: (N,) log odds of class 1; N at least 1.
            labels: (N,) 0 or 1.

        Returns:
            The fitted scaling, with a temperature from 0.05 to 50.
        """
        from scipy.optimize import minimize_scalar
        from scipy.special import log_expit

        logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
        n_ones = labels.sum()
        n_zeros = len(labels) - n_ones
        targets = np.where(labels == 1, (n_ones + 1) / (n_ones + 2), 1 / (n_zeros + 2))

        def log_loss(log_temperature: float) -> float:
            scaled = logits / np.exp(log_temperature)
            return -np.mean(targets * log_expit(scaled) + (1 - targets) * log_expit(-scaled))

        bounds = (np.log(_SMALLEST), np.log(_LARGEST))
        found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        return cls(float(np.exp(found.x)))

    def apply(self, logits: npt.ArrayLike) -> np.ndarray:
        """Returns the (N,) probabilities of class 1."""
        from scipy.special import expit

        return expit(np.asarray(logits, np.float64) / self.temperature)


def out_of_fold_probabilities(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int, n_folds: int = 10
) -> np.ndarray:
    """Returns the (N,) probability of each row by a scaling that was fitted on the others, in folds.

    So one small set of rows serves both for the scaling and for conformal intervals around its probabilities
    (cross-conformal prediction, Vovk 2015). A single row is scaled by itself.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    folds = np.random.default_rng(seed).permutation(len(labels)) % min(n_folds, len(labels))
    probabilities = np.empty(len(labels))
    for fold in np.unique(folds):
        held_out = folds == fold
        others = ~held_out if not held_out.all() else held_out
        probabilities[held_out] = TemperatureScaling.fit(logits[others], labels[others]).apply(
            logits[held_out]
        )
    return probabilities
