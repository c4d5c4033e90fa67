"""The base learners on one set of training videos: features, the trend under them, and what each predicts."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.ensemble.learners import LEARNER_TYPES, Learner, TrainingRows
from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
from vidpop_pipelines.pipelines.tabular.channel_history import to_days
from vidpop_pipelines.pipelines.tabular.features import TableFeatures
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters
from vidpop_pipelines.pipelines.tabular.trend import LinearTrend, recency_weights


@dataclass(frozen=True)
class Base:
    """What all learners stand on, fitted on the same videos.

    Attributes:
        features: The fitted transformer.
        trend: The line whose residuals the learners learn.
        median: Median of the training videos' log views: the trivial baseline.
    """

    features: TableFeatures
    trend: LinearTrend
    median: float

    @classmethod
    def fit(
        cls, videos: pd.DataFrame, text_components: int, tabular: TabularParameters
    ) -> tuple["Base", TrainingRows]:
        """Fits on N training videos; returns also the rows that learners are fitted on."""
        features = TableFeatures.fit(videos, text_components, tabular.seed)
        matrix, target = features.transform(videos), log_views(videos)
        weights = recency_weights(to_days(videos["published_at"]), tabular.recency_days)
        trend = LinearTrend.fit(matrix, features.names, target, weights)
        residual = target - trend.predict(matrix, features.names)
        categorical = categorical_columns(features)
        base = cls(features, trend, float(np.median(target)))
        return base, TrainingRows(matrix, residual, weights, categorical)

    def baselines(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the (M,) log views of `trend` and `median` for (M, F) features."""
        trend = self.trend.predict(features, self.features.names)
        return {"trend": trend, "median": np.full(len(features), self.median)}

    def save(self, folder: Path) -> None:
        """Writes features and trend."""
        self.features.save(folder)
        self.trend.save(folder)
        (folder / "median.json").write_text(json.dumps(self.median))

    @classmethod
    def load(cls, folder: Path) -> "Base":
        """Reads what `save` wrote."""
        median = json.loads((folder / "median.json").read_text())
        return cls(TableFeatures.load(folder), LinearTrend.load(folder), median)


@dataclass(frozen=True)
class Members:
    """The learners and what they stand on.

    Attributes:
        base: Features, trend, median.
        learners: Name to the models that are averaged, one per seed.
    """

    base: Base
    learners: dict[str, list[Learner]]

    def predict(self, videos: pd.DataFrame) -> dict[str, np.ndarray]:
        """Returns the (M,) log views that each learner and each baseline predicts for M videos."""
        features = self.base.features.transform(videos)
        baselines = self.base.baselines(features)
        predictions = {}
        for name, models in self.learners.items():
            seen = restrict(features, self.base.features, LEARNER_TYPES[name])
            predictions[name] = baselines["trend"] + np.mean(
                [model.predict(seen) for model in models], axis=0
            )
        return predictions | baselines

    def save(self, folder: Path) -> None:
        """Writes what the learners stand on, and one file per learner and seed."""
        self.base.save(folder)
        sizes = {name: len(models) for name, models in self.learners.items()}
        (folder / "learners.json").write_text(json.dumps(sizes, indent=2))
        for name, models in self.learners.items():
            for number, model in enumerate(models):
                model.save(folder / f"{name}.{number}.{model.suffix}")

    @classmethod
    def load(cls, folder: Path) -> "Members":
        """Reads what `save` wrote."""
        sizes = json.loads((folder / "learners.json").read_text())
        base = Base.load(folder)
        categorical = categorical_columns(base.features)
        learners = {}
        for name, size in sizes.items():
            kind = LEARNER_TYPES[name]
            paths = [folder / f"{name}.{number}.{kind.suffix}" for number in range(size)]
            learners[name] = [kind.load(path, categorical) for path in paths]
        return cls(base, learners)


def restrict(features: np.ndarray, transformer: TableFeatures, kind: type[Learner]) -> np.ndarray:
    """Returns the columns that a learner takes; texts come last, so that the others keep their numbers."""
    return features[:, transformer.columns(text=kind.uses_text)]


def fit_learner(
    name: str, rows: TrainingRows, n_trees: int, parameters: EnsembleParameters, seed: int, n_threads: int = 1
) -> Learner:
    """Fits one learner on its columns of the features."""
    options = getattr(parameters.chosen, name)
    return LEARNER_TYPES[name].fit(rows, options, n_trees=n_trees, seed=seed, n_threads=n_threads)


def seeds(name: str, parameters: EnsembleParameters, tabular: TabularParameters) -> list[int]:
    """Returns the seeds whose models are averaged."""
    n_seeds = getattr(getattr(parameters.chosen, name), "n_seeds", 1)
    return [tabular.seed + offset for offset in range(n_seeds)]


def categorical_columns(features: TableFeatures) -> list[int]:
    """Returns the numbers of the categorical features."""
    return [features.names.index(name) for name in features.categorical]


def log_views(videos: pd.DataFrame) -> np.ndarray:
    """Returns the (N,) log(1 + views)."""
    return np.log1p(videos["views"].to_numpy(np.float64))
