"""Training of the ensemble: time-ordered folds, numbers of trees, final learners, intervals."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.evaluation.intervals import ConformalIntervals, rows_needed
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.ensemble.learners import LEARNER_TYPES
from vidpop_pipelines.pipelines.ensemble.members import Base, Members, fit_learner, log_views, restrict, seeds
from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

logger = logging.getLogger(__name__)

# Numbers of trees that are compared: so many, evenly spaced.
_N_STAGES = 25

# What a fold predicts: learner to (rows, stages) log views, baseline to (rows,).
FoldPredictions = dict[str, np.ndarray]


def train_folds(
    videos: pd.DataFrame,
    parameters: EnsembleParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    fingerprint: str,
) -> tuple[dict[str, int], pd.DataFrame]:
    """Fits every time-ordered fold, in parallel, and finds how many trees each learner needs.

    The number of trees is the one with the smallest squared error of the folds on their later videos, taken
    together (calibration folds left out): on a single later part it depends on chance.

    Args:
        videos: N training videos, oldest first.
        parameters: Learners and preset.
        tabular: Seed and recency weights.
        compute: Where the folds run.
        resume_folder: Where finished folds are kept.
        fingerprint: Digest of everything that training depends on.

    Returns:
        Trees of each learner, and the out-of-fold predictions: `row` (of `videos`), `fold`, log views of each
        learner and baseline.
    """
    folds = time_folds(len(videos), parameters)
    results = parallel_map(
        fit_fold,
        [(videos, train, held_out, parameters, tabular) for train, held_out in folds],
        compute,
        description="Time-ordered folds",
        resume_folder=resume_folder / "folds",
        fingerprint=fingerprint,
    )
    target = log_views(videos)
    older = list(zip(folds, results, strict=True))[: -calibration_folds(parameters)]
    chosen = {}
    for name in parameters.learners:
        errors = [result[name] - target[held_out, None] for (_, held_out), result in older]
        chosen[name] = int(np.argmin(np.mean(np.concatenate(errors) ** 2, axis=0)))
    tables = []
    for number, ((_, held_out), result) in enumerate(zip(folds, results, strict=True)):
        final = {
            name: values[:, chosen[name]] if name in chosen else values for name, values in result.items()
        }
        tables.append(pd.DataFrame({"row": held_out, "fold": number, **final}))
    n_trees = {name: stages(name, parameters)[stage] for name, stage in chosen.items()}
    _tell(n_trees, parameters)
    return n_trees, pd.concat(tables, ignore_index=True)


def fit_fold(
    videos: pd.DataFrame,
    train: np.ndarray,
    held_out: np.ndarray,
    parameters: EnsembleParameters,
    tabular: TabularParameters,
    n_threads: int = 1,
) -> FoldPredictions:
    """Fits everything on the earlier videos of a fold and predicts the later ones, after each stage."""
    base, rows = Base.fit(videos.iloc[train], parameters.chosen.text_components, tabular)
    features = base.features.transform(videos.iloc[held_out])
    predictions = base.baselines(features)
    for name in parameters.learners:
        kind, counts = LEARNER_TYPES[name], stages(name, parameters)
        seen = replace(rows, features=restrict(rows.features, base.features, kind))
        later = restrict(features, base.features, kind)
        models = [
            fit_learner(name, seen, counts[-1], parameters, seed, n_threads)
            for seed in seeds(name, parameters, tabular)
        ]
        residuals = np.mean([model.predict_stages(later, counts) for model in models], axis=0)
        predictions[name] = predictions["trend"][:, None] + residuals
    return predictions


def stages(name: str, parameters: EnsembleParameters) -> list[int]:
    """Returns the numbers of trees that are compared, ascending; only one for a learner that isn't boosted."""
    most = getattr(parameters.chosen, name).n_estimators
    if not LEARNER_TYPES[name].boosted:
        return [most]
    return sorted({max(1, round(most * stage / _N_STAGES)) for stage in range(1, _N_STAGES + 1)})


def fit_final(
    videos: pd.DataFrame,
    n_trees: dict[str, int],
    parameters: EnsembleParameters,
    tabular: TabularParameters,
    compute: ComputeOptions,
    resume_folder: Path,
    fingerprint: str,
) -> Members:
    """Fits the final learners on all training videos, in parallel; arguments as in `train_folds`."""
    base, rows = Base.fit(videos, parameters.chosen.text_components, tabular)
    calls = []
    for name in parameters.learners:
        seen = replace(rows, features=restrict(rows.features, base.features, LEARNER_TYPES[name]))
        for seed in seeds(name, parameters, tabular):
            calls.append((name, seen, n_trees[name], parameters, seed))
    models = parallel_map(
        fit_learner,
        calls,
        compute,
        description="Final learners",
        resume_folder=resume_folder / "final",
        fingerprint=fingerprint,
    )
    learners = {
        name: [model for call, model in zip(calls, models, strict=True) if call[0] == name]
        for name in parameters.learners
    }
    return Members(base, learners)


def time_folds(n_rows: int, parameters: EnsembleParameters) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns expanding folds over rows in the order of time: what is trained on, what is predicted."""
    from sklearn.model_selection import TimeSeriesSplit

    preset = parameters.chosen
    size = max(1, int(n_rows * (1 - preset.first_share) / preset.n_folds))
    return list(TimeSeriesSplit(preset.n_folds, test_size=size).split(np.arange(n_rows)))


def calibration_folds(parameters: EnsembleParameters) -> int:
    """Returns how many of the folds, the newest, intervals are fitted on: at least one, and never all."""
    n_folds = parameters.chosen.n_folds
    return min(max(1, round(parameters.calibration_share * n_folds)), n_folds - 1)


def fit_intervals(target: np.ndarray, forecast: np.ndarray, coverage: float) -> ConformalIntervals | None:
    """Fits intervals in log views; None, with a warning, where there are too few rows for the coverage."""
    if len(target) < rows_needed(coverage):
        logger.warning(
            "No intervals: %d calibration videos, %d are needed for a coverage of %.2f.",
            len(target),
            rows_needed(coverage),
            coverage,
        )
        return None
    return ConformalIntervals.fit(target[:, None], forecast[:, None], steps=[0], coverage=coverage)


def _tell(n_trees: dict[str, int], parameters: EnsembleParameters) -> None:
    logger.info("Trees: %s", ", ".join(f"{name} {n}" for name, n in n_trees.items()))
    for name, n in n_trees.items():
        if LEARNER_TYPES[name].boosted and n == getattr(parameters.chosen, name).n_estimators:
            logger.warning(
                "%s was still improving at its last tree: raise ensemble.presets.%s.%s.n_estimators.",
                name,
                parameters.preset,
                name,
            )
