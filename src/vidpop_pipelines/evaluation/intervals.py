"""Split-conformal prediction intervals.

Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018 (arXiv 1604.04173): on rows
that neither trained nor selected the model, the finite-sample quantile of |y - forecast| is the half width of
an interval that covers new, exchangeable rows with at least the asked probability; with a ``scale`` per row
(section 5.2, locally weighted) the quantile of |y - forecast| / scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from vidpop_pipelines.errors import InputError


@dataclass(frozen=True)
class ConformalIntervals:
    """Intervals with one half width per step.

    Attributes:
        coverage: Asked probability that the truth lies inside.
        steps: (T,) the step (day) of each column.
        half_widths: (T,) half width of the interval of each step, in units of ``scale`` if ``scaled``.
        scaled: Whether `fit` was given a ``scale``, so that `apply` needs one too.
    """

    coverage: float
    steps: tuple[int, ...]
    half_widths: np.ndarray
    scaled: bool

    @classmethod
    def fit(
        cls,
        y_true: npt.ArrayLike,
        y_pred: npt.ArrayLike,
        *,
        steps: Sequence[int],
        coverage: float = 0.9,
        scale: npt.ArrayLike | None = None,
    ) -> "ConformalIntervals":
        """Find the half widths on calibration rows.

        Args:
            y_true: (N, T) truth of the calibration rows, NaN where missing: such cells are left out.
            y_pred: (N, T) forecast of the same rows.
            steps: (T,) the step of each column, also used in messages.
            coverage: Asked coverage, between 0 and 1.
            scale: (N, T) positive guess of the size of each error, for intervals that are wider where the
                forecast is less certain.

        Returns:
            Intervals that can be applied to any forecast of the same steps.

        Raises:
            InputError: If a step has too few known values for the coverage, e.g. fewer than 9 for 0.9.
        """
        y_true, y_pred = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
        known = ~np.isnan(y_true)
        scores = np.abs(y_true - y_pred)
        if scale is not None:
            scores = scores / _check_scale(scale, y_true.shape)
        if not np.isfinite(scores[known]).all():
            raise ValueError("the forecast is not a finite number on a calibration row")
        n_known = known.sum(axis=0)
        _check_enough(n_known, steps, coverage)
        # NaN sorts last, so the k-th smallest known score is in row k - 1.
        ranks = np.array([conformal_rank(int(n), coverage) for n in n_known])
        half_widths = np.sort(scores, axis=0)[ranks - 1, np.arange(scores.shape[1])]
        return cls(float(coverage), tuple(int(step) for step in steps), half_widths, scale is not None)

    def apply(
        self, y_pred: npt.ArrayLike, *, scale: npt.ArrayLike | None = None, minimum: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and the upper end of the intervals around a forecast.

        Args:
            y_pred: (M, T) forecast.
            scale: (M, T) as in `fit`; needed exactly where `fit` had one.
            minimum: Smallest possible value of the target (0 for popularity scores). Ends below it are raised
                to it, which does not change the coverage.

        Returns:
            Two arrays (M, T), ``lower`` and ``upper``, of the dtype of ``y_pred``.
        """
        y_pred = np.asarray(y_pred)
        if self.scaled != (scale is not None):
            raise ValueError("a scale is needed exactly where the intervals were fitted with one")
        if y_pred.shape[1:] != self.half_widths.shape:
            raise ValueError(f"forecast has shape {y_pred.shape}; expected {len(self.steps)} steps")
        half_widths = (
            self.half_widths if scale is None else self.half_widths * _check_scale(scale, y_pred.shape)
        )
        lower, upper = y_pred - half_widths, y_pred + half_widths
        if minimum is not None:
            lower, upper = np.maximum(lower, minimum), np.maximum(upper, minimum)
        return lower.astype(y_pred.dtype), upper.astype(y_pred.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values only, fit for JSON."""
        return {
            "coverage": self.coverage,
            "steps": list(self.steps),
            "half_widths": self.half_widths.tolist(),
            "scaled": self.scaled,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ConformalIntervals":
        """Rebuild the intervals from `to_dict`."""
        half_widths = np.asarray(values["half_widths"], dtype=np.float64)
        return cls(values["coverage"], tuple(values["steps"]), half_widths, values["scaled"])


def conformal_rank(n: int, coverage: float) -> int:
    """Return ceil((n + 1) * coverage): which of n sorted scores is the half width.

    Computed with fractions: in floating point 100 * 0.55 is 55.00000000000001, which would round up to 56.
    """
    return math.ceil((n + 1) * Fraction(str(coverage)))


def rows_needed(coverage: float) -> int:
    """Return the smallest number of calibration rows that allows an interval of the coverage."""
    level = Fraction(str(coverage))
    return math.ceil(level / (1 - level))


def _check_enough(n_known: np.ndarray, steps: Sequence[int], coverage: float) -> None:
    if not 0 < coverage < 1:
        raise InputError(
            f"The interval coverage is {coverage}.",
            expected="a number between 0 and 1, both excluded",
            remedy="Change interval.coverage.",
        )
    needed = rows_needed(coverage)
    if n_known.min() < needed:
        column = int(n_known.argmin())
        raise InputError(
            f"Step {steps[column]} has {n_known[column]} known calibration values: too few for intervals "
            f"with coverage {coverage}.",
            expected=f"at least {needed} calibration rows with a known value at every step",
            remedy="Use more videos, or a lower interval.coverage.",
        )


def _check_scale(scale: npt.ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    scale = np.asarray(scale, dtype=np.float64)
    if scale.shape != shape or not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"scale must hold positive numbers in the shape {shape}")
    return scale
