"""The trained ensemble: members, their weights, and intervals."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.pipelines.ensemble.members import Members
from vidpop_pipelines.pipelines.tabular.features import TableFeatures


@dataclass(frozen=True)
class EnsembleModel:
    """Forecasts the views of videos.

    Attributes:
        members: Features, trend and base learners, fitted on all training videos.
        weights: Share of each learner in the stack; they sum to one.
        intervals: Split-conformal intervals in log views; None where there were too few calibration rows.
        data_fingerprint: Digest of the training table.
    """

    members: Members
    weights: dict[str, float]
    intervals: ConformalIntervals | None
    data_fingerprint: str

    @property
    def features(self) -> TableFeatures:
        """What the model reads of a video."""
        return self.members.base.features

    @property
    def interval_coverage(self) -> float | None:
        """Probability with which an interval is to contain the views; None without intervals."""
        return self.intervals.coverage if self.intervals else None

    def predict(self, videos: pd.DataFrame) -> dict[str, np.ndarray]:
        """Forecasts M videos.

        Args:
            videos: M validated videos.

        Returns:
            (M,) arrays in views: `y_pred`, `lower`, `upper` (NaN without intervals), every learner, and the
            baselines `trend` and `median`.
        """
        members = self.members.predict(videos)
        stacked = self.stack(members)
        return {"y_pred": to_views(stacked)} | self.bounds(stacked) | to_views_each(members)

    def answer(self, videos: pd.DataFrame) -> pd.DataFrame:
        """Returns what a request for M videos is answered with: `predicted_views`, `lower`, `upper` in views."""
        forecast = self.predict(videos)
        return pd.DataFrame(
            {
                "video_id": videos["video_id"].to_numpy(object),
                "predicted_views": forecast["y_pred"],
                "lower": forecast["lower"],
                "upper": forecast["upper"],
            }
        )

    def stack(self, members: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the weighted sum of the learners' log views."""
        return np.sum([weight * members[name] for name, weight in self.weights.items()], axis=0)

    def bounds(self, stacked: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the ends of the intervals, in views, around (M,) log views."""
        if self.intervals is None:
            return {name: np.full(len(stacked), np.nan) for name in ("lower", "upper")}
        lower, upper = self.intervals.apply(stacked[:, None], minimum=0.0)
        return {"lower": to_views(lower[:, 0]), "upper": to_views(upper[:, 0])}

    def save(self, folder: Path) -> None:
        """Writes `config.json` and the files of the members; no pickle."""
        self.members.save(folder)
        config = {
            "model_type": "ensemble",
            "weights": self.weights,
            "intervals": self.intervals.to_dict() if self.intervals else None,
            "data_fingerprint": self.data_fingerprint,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2))

    @classmethod
    def load(cls, folder: Path) -> "EnsembleModel":
        """Reads what `save` wrote."""
        config = json.loads((folder / "config.json").read_text())
        intervals = config["intervals"]
        return cls(
            members=Members.load(folder),
            weights=config["weights"],
            intervals=ConformalIntervals.from_dict(intervals) if intervals else None,
            data_fingerprint=config["data_fingerprint"],
        )


def to_views(log_views: np.ndarray) -> np.ndarray:
    """Returns views of log(1 + views); a forecast below zero views is zero."""
    return np.expm1(np.maximum(log_views, 0.0))


def to_views_each(members: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the views of each member."""
    return {name: to_views(values) for name, values in members.items()}
