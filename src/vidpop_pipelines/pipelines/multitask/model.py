"""The trained multitask model: members on all training videos, and intervals."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.features.lifecycle import STAGES
from vidpop_pipelines.pipelines.multitask.members import Forecasts, Members
from vidpop_pipelines.pipelines.multitask.targets import (
    LIMITS,
    STAGE,
    TARGETS,
    VIEWS,
    columns_of,
    to_natural_units,
)
from vidpop_pipelines.pipelines.tabular.features import TableFeatures


@dataclass(frozen=True)
class MultitaskModel:
    """Forecasts views, like ratio, life-cycle stage, time to peak and decay rate.

    Attributes:
        members: Models fitted on all training videos.
        intervals: Target (but the stage) to its split-conformal intervals in link units; None where too few
            calibration rows knew it.
        masked_targets: Targets that the training table did not carry, and why.
        data_fingerprint: Digest of the training table.
    """

    members: Members
    intervals: dict[str, ConformalIntervals | None]
    masked_targets: dict[str, str]
    data_fingerprint: str

    @property
    def targets(self) -> list[str]:
        """The targets that the model has, `views` always among them."""
        return self.members.preparation.targets

    @property
    def features(self) -> TableFeatures:
        """What the model reads of a video."""
        return self.members.preparation.features

    @property
    def interval_coverage(self) -> float | None:
        """Probability with which an interval is to contain the views; None without intervals."""
        intervals = self.intervals[VIEWS]
        return intervals.coverage if intervals else None

    def predict(self, videos: pd.DataFrame) -> dict[str, np.ndarray]:
        """Forecasts M videos.

        Args:
            videos: M validated videos.

        Returns:
            (M,) float64 arrays in natural units:

            - of views `y_pred`, `lower`, `upper`, and the members `trend`, `median`, `catboost`;
            - of `like_ratio`, `time_to_peak_days` and `decay_rate`, as far as they are in `targets`, the forecast
              under the target's name, and `<target>_lower`, `<target>_upper`, `<target>_median`,
              `<target>_catboost`;
            - of `lifecycle_stage`, if it is in `targets`, for each stage its probability
              `lifecycle_stage=<stage>`, and with `_prior` and `_catboost` behind it those of its members.

            Bounds are NaN where there are no intervals.
        """
        return flat_arrays(target_columns(self.members.forecast(videos), self.intervals))

    def answer(self, videos: pd.DataFrame) -> pd.DataFrame:
        """Returns what a request for M videos is answered with.

        Args:
            videos: M validated videos.

        Returns:
            `video_id`; `predicted_views`, `lower`, `upper` in views; `like_ratio`, `time_to_peak_days`,
            `decay_rate`; `lifecycle_stage`, the most probable one, and the probability of each as
            `lifecycle_stage=<stage>`. Targets that the model does not have are missing.
        """
        forecast = self.predict(videos)
        views = {
            "predicted_views": forecast["y_pred"],
            "lower": forecast["lower"],
            "upper": forecast["upper"],
        }
        missing = np.full(len(videos), np.nan)
        numbers = {name: forecast.get(name, missing) for name in TARGETS if name not in (VIEWS, STAGE)}
        probabilities = {name: forecast.get(name, missing) for name in columns_of(STAGE)}
        stages = np.full(len(videos), None, object)
        if STAGE in self.targets:
            stages = np.array(STAGES, object)[np.argmax(list(probabilities.values()), axis=0)]
        ids = videos["video_id"].to_numpy(object)
        return pd.DataFrame({"video_id": ids} | views | numbers | {STAGE: stages} | probabilities)

    def save(self, folder: Path) -> None:
        """Writes `config.json` and the files of the members; no pickle."""
        self.members.save(folder)
        config = {
            "model_type": "multitask",
            "targets": self.targets,
            "masked_targets": self.masked_targets,
            "intervals": {name: fit.to_dict() if fit else None for name, fit in self.intervals.items()},
            "data_fingerprint": self.data_fingerprint,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2))

    @classmethod
    def load(cls, folder: Path) -> "MultitaskModel":
        """Reads what `save` wrote."""
        config = json.loads((folder / "config.json").read_text())
        return cls(
            members=Members.load(folder),
            intervals={
                name: ConformalIntervals.from_dict(stored) if stored else None
                for name, stored in config["intervals"].items()
            },
            masked_targets=config["masked_targets"],
            data_fingerprint=config["data_fingerprint"],
        )


def target_columns(
    forecasts: Forecasts, intervals: dict[str, ConformalIntervals | None]
) -> dict[str, dict[str, np.ndarray]]:
    """Returns forecasts with bounds in natural units, as the predictions table has them.

    Args:
        forecasts: Of M videos.
        intervals: By target.

    Returns:
        Name in the predictions table (`views`, `lifecycle_stage=growth` ...) to (M,) arrays `y_pred`, `lower`,
        `upper` and those of the members.
    """
    columns: dict[str, dict[str, np.ndarray]] = {}
    for target, members in forecasts.items():
        for number, name in enumerate(columns_of(target)):
            if target == STAGE:
                values = {member: part[:, number] for member, part in members.items()}
                bounds = _no_bounds(len(values["network"]))
            else:
                values = {member: to_natural_units(target, part) for member, part in members.items()}
                bounds = _bounds(target, members["network"], intervals[target])
            columns[name] = {"y_pred": values.pop("network")} | bounds | values
    return columns


def flat_arrays(columns: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays of `target_columns` under the names of `MultitaskModel.predict`."""
    flat = dict(columns[VIEWS])
    for target, arrays in columns.items():
        if target != VIEWS:
            flat |= {target if key == "y_pred" else f"{target}_{key}": part for key, part in arrays.items()}
    return flat


def _bounds(target: str, forecast: np.ndarray, intervals: ConformalIntervals | None) -> dict[str, np.ndarray]:
    if intervals is None:
        return _no_bounds(len(forecast))
    # Of the forecast that is reported, which is cut to what is possible.
    ends = intervals.apply(np.clip(forecast, *LIMITS[target])[:, None])
    return {
        name: to_natural_units(target, end[:, 0]) for name, end in zip(("lower", "upper"), ends, strict=True)
    }


def _no_bounds(n_videos: int) -> dict[str, np.ndarray]:
    return {name: np.full(n_videos, np.nan) for name in ("lower", "upper")}
