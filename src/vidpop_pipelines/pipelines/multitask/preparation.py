"""What is fitted on training rows before any network: features, trend, and the units of inputs and targets."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.features.lifecycle import STAGES
from vidpop_pipelines.pipelines.multitask.targets import LIKE_RATIO, STAGE, TARGETS, VIEWS
from vidpop_pipelines.pipelines.tabular.features import TableFeatures
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters
from vidpop_pipelines.pipelines.tabular.trend import LinearTrend

# Inputs are cut at so many standard deviations: what is like nothing in the training rows is no lever.
_LARGEST_INPUT = 4.0
# A mean ratio of 0 or 1 would be at the infinite end of the logistic function.
_SMALLEST_RATIO = 1e-3


@dataclass(frozen=True)
class Preparation:
    """Fitted on training rows.

    Attributes:
        features: The table's transformer.
        trend: The line for log views; the network learns what it leaves over.
        input_mean: (K + V,) training mean of the numbers, and of category weights and texts.
        input_scale: (K + V,) their standard deviation.
        medians: Target (but the stage) to its training median in link units, the trivial forecast.
        centres: Target (but the stage) to where the learned forecasts start from in link units: the training
            mean; of views 0, since the trend is added.
        scales: Target (but the stage) to its standard deviation in link units, of views that of what the trend
            leaves over.
        stage_shares: Share of each stage; empty where it is not learned.
    """

    features: TableFeatures
    trend: LinearTrend
    input_mean: np.ndarray
    input_scale: np.ndarray
    medians: dict[str, float]
    centres: dict[str, float]
    scales: dict[str, float]
    stage_shares: list[float]

    @classmethod
    def fit(
        cls,
        videos: pd.DataFrame,
        targets: pd.DataFrame,
        weights: np.ndarray,
        *,
        text_components: int,
        tabular: TabularParameters,
    ) -> "Preparation":
        """Fits on N training videos.

        Args:
            videos: The videos, whose views are known.
            targets: (N, T) the targets to learn, in link units.
            weights: (N,) sample weights.
            text_components: Size of each text's vector.
            tabular: Seed.
        """
        features = TableFeatures.fit(videos, text_components, tabular.seed)
        matrix = features.transform(videos)
        trend = LinearTrend.fit(matrix, features.names, targets[VIEWS].to_numpy(), weights)
        numbers, _, vectors = _parts(features, matrix)
        inputs = np.concatenate([numbers, vectors], axis=1).astype(np.float64)
        residual = targets[VIEWS] - trend.predict(matrix, features.names)
        values = targets.drop(columns=STAGE, errors="ignore")
        spread = values.assign(**{VIEWS: residual}).std().replace(0.0, 1.0)
        centres = values.mean().to_dict() | {VIEWS: 0.0}
        if LIKE_RATIO in centres:
            centres[LIKE_RATIO] = float(np.clip(centres[LIKE_RATIO], _SMALLEST_RATIO, 1 - _SMALLEST_RATIO))
        shares = []
        if STAGE in targets:
            # One more video of each stage: none is impossible for having been missing.
            counts = np.bincount(targets[STAGE].dropna().astype(int), minlength=len(STAGES)) + 1
            shares = (counts / counts.sum()).tolist()
        return cls(
            features=features,
            trend=trend,
            input_mean=np.nanmean(inputs, axis=0),
            input_scale=_or_one(np.nanstd(inputs, axis=0)),
            medians={name: float(value) for name, value in values.median().items()},
            centres={name: float(value) for name, value in centres.items()},
            scales={name: float(value) for name, value in spread.items()},
            stage_shares=shares,
        )

    @property
    def targets(self) -> list[str]:
        """The targets to learn."""
        return [name for name in TARGETS if name in self.medians or (name == STAGE and self.stage_shares)]

    @property
    def block_sizes(self) -> list[int]:
        """Size of each vector: the weights of the categories if there are any, then one per text."""
        n_weights = len(self.features.category_weights)
        texts = [svd.components_.shape[0] for _, svd in self.features.text.blocks.values()]
        return ([n_weights] if n_weights else []) + texts

    @property
    def category_sizes(self) -> list[int]:
        """Number of codes of each categorical column, 0 for unknown values included."""
        return [len(self.features.values[name]) + 1 for name in self.features.categorical]

    def expected_views(self, matrix: np.ndarray) -> np.ndarray:
        """Returns the (M,) log views that the trend expects for (M, F) features."""
        return self.trend.predict(matrix, self.features.names)

    def network_inputs(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the network reads of (M, F) features, by argument of its `forward`."""
        numbers, codes, vectors = _parts(self.features, matrix)
        inputs = (np.concatenate([numbers, vectors], axis=1) - self.input_mean) / self.input_scale
        inputs = np.clip(inputs, -_LARGEST_INPUT, _LARGEST_INPUT).astype(np.float32)
        return {
            "numbers": inputs[:, : numbers.shape[1]],
            "codes": codes.astype(np.int64),
            "vectors": inputs[:, numbers.shape[1] :],
            "offset": self.expected_views(matrix).astype(np.float32),
        }

    def save(self, folder: Path) -> None:
        """Writes features, trend and `preparation.json`."""
        self.features.save(folder)
        self.trend.save(folder)
        config = {
            "input_mean": self.input_mean.tolist(),
            "input_scale": self.input_scale.tolist(),
            "medians": self.medians,
            "centres": self.centres,
            "scales": self.scales,
            "stage_shares": self.stage_shares,
        }
        (folder / "preparation.json").write_text(json.dumps(config))

    @classmethod
    def load(cls, folder: Path) -> "Preparation":
        """Reads what `save` wrote."""
        config = json.loads((folder / "preparation.json").read_text())
        for name in ("input_mean", "input_scale"):
            config[name] = np.asarray(config[name])
        return cls(features=TableFeatures.load(folder), trend=LinearTrend.load(folder), **config)


def _parts(features: TableFeatures, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits (M, F) features into numbers, categorical codes, and vectors (category weights and texts)."""
    sizes = [len(features.numbers), len(features.category_weights), len(features.categorical)]
    numbers, weights, codes, texts = np.split(matrix, np.cumsum(sizes), axis=1)
    return numbers, codes, np.concatenate([weights, texts], axis=1)


def _or_one(scale: np.ndarray) -> np.ndarray:
    return np.where(scale > 0, scale, 1.0)
