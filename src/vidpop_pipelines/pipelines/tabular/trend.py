"""A straight line under every learner: what age, audience and a channel's past lead to expect.

Trees cannot go beyond what they have seen, and new videos are younger than any in training. The line can;
learners only learn what it leaves over.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_FEATURES = [
    "log_age_hours",
    "log_subscribers",
    "log_channel_video_count",
    "log_channel_avg_views",
    "log_channel_days",
    "log_duration_seconds",
    "channel_history_mean",
]
# Weak: there are at most seven features.
_ALPHA = 5.0


@dataclass(frozen=True)
class LinearTrend:
    """Ridge regression of the target on a few standardised features.

    Attributes:
        names: The features.
        mean: (K,) training mean, which takes the place of missing values.
        scale: (K,) training standard deviation.
        coefficients: (K,) target units per standard deviation.
        intercept: Target units.
    """

    names: list[str]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float

    @classmethod
    def fit(
        cls, features: np.ndarray, names: list[str], target: np.ndarray, weights: np.ndarray
    ) -> "LinearTrend":
        """Fits on training rows.

        Args:
            features: (N, F) with NaN where missing.
            names: Names of the F features; those of the trend that are not among them are left out.
            target: (N,).
            weights: (N,) sample weights.
        """
        from sklearn.linear_model import Ridge
        from sklearn.preprocessing import StandardScaler

        used = [name for name in _FEATURES if name in names]
        values = features[:, [names.index(name) for name in used]].astype(np.float64)
        if not used:
            intercept = float(np.average(target, weights=weights))
            return cls([], np.zeros(0), np.ones(0), np.zeros(0), intercept)
        scaler = StandardScaler().fit(values)
        scaled = np.nan_to_num(scaler.transform(values))
        ridge = Ridge(alpha=_ALPHA).fit(scaled, target, sample_weight=weights)
        return cls(used, scaler.mean_, scaler.scale_, ridge.coef_, float(ridge.intercept_))

    def predict(self, features: np.ndarray, names: list[str]) -> np.ndarray:
        """Returns the (M,) expectation for (M, F) features."""
        return sum(self.contributions(features, names).values(), np.full(len(features), self.intercept))

    def contributions(self, features: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Returns what each of the trend's features adds to the (M,) expectation."""
        values = features[:, [names.index(name) for name in self.names]].astype(np.float64)
        scaled = np.nan_to_num((values - self.mean) / self.scale) * self.coefficients
        return dict(zip(self.names, scaled.T, strict=True))

    def save(self, folder: Path) -> None:
        """Writes `trend.json`."""
        config = {
            "names": self.names,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
        }
        (folder / "trend.json").write_text(json.dumps(config, indent=2))

    @classmethod
    def load(cls, folder: Path) -> "LinearTrend":
        """Reads what `save` wrote."""
        config = json.loads((folder / "trend.json").read_text())
        arrays = {name: np.asarray(config[name]) for name in ("mean", "scale", "coefficients")}
        return cls(names=config["names"], intercept=config["intercept"], **arrays)


def recency_weights(days: np.ndarray, half_days: float | None) -> np.ndarray:
    """Returns sample weights 1 / (1 + age / half_days), age counted from the newest video.

    Args:
        days: (N,) publish times in days.
        half_days: Age at which a video counts half; None for equal weights.
    """
    if half_days is None:
        return np.ones(len(days))
    return 1 / (1 + (days.max() - days) / half_days)
