"""The strong baseline: one CatBoost per target, on the features that the network reads."""

from typing import Any

import numpy as np

from vidpop_pipelines.features.lifecycle import STAGES
from vidpop_pipelines.pipelines.multitask.parameters import CatboostOptions
from vidpop_pipelines.pipelines.multitask.targets import STAGE
from vidpop_pipelines.pipelines.tabular.catboost_pool import catboost_pool


def fit_catboost(
    target: str,
    features: np.ndarray,
    categorical: list[int],
    truth: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
    n_trees: int | None,
    options: CatboostOptions,
    huber_delta: float,
    seed: int,
) -> Any:
    """Fits one model on the rows whose target is known.

    Args:
        target: Which one; the stage gets a classifier.
        features: (N, F), those of rows to stop on included.
        categorical: Numbers of the categorical columns.
        truth: (N,) what to learn, in units of the loss or numbers of stages; NaN where unknown.
        weights: (N,) sample weights.
        held_out: (N,) true for rows that only tell when to stop.
        n_trees: How many trees; None to find out on the rows to stop on, or all where none of them is known.
        options: Shape of the trees.
        huber_delta: Errors beyond it count linearly.
        seed: Of CatBoost.
    """
    from catboost import CatBoostClassifier, CatBoostRegressor

    known = ~np.isnan(truth)
    train, stop = known & ~held_out, known & held_out
    settings = {
        "iterations": n_trees or options.iterations,
        "learning_rate": options.learning_rate,
        "depth": options.depth,
        "rsm": options.colsample_bylevel,
        "random_seed": seed,
        # Targets run beside each other, so that one thread each keeps every core busy.
        "thread_count": 1,
        "allow_writing_files": False,
        "verbose": False,
    }

    def pool(rows: np.ndarray) -> Any:
        return catboost_pool(features[rows], categorical, label=truth[rows], weight=weights[rows])

    if target == STAGE:
        # A class of the rows to stop on that was never trained on has no probability.
        stop &= np.isin(truth, truth[train])
        model = CatBoostClassifier(loss_function="MultiClass", **settings)
    else:
        model = CatBoostRegressor(loss_function=f"Huber:delta={huber_delta}", **settings)
    if n_trees is None and stop.any():
        return model.fit(
            pool(train), eval_set=pool(stop), early_stopping_rounds=options.early_stopping_rounds
        )
    return model.fit(pool(train))


def predict_catboost(model: Any, target: str, pool: Any) -> np.ndarray:
    """Returns (M, C) predictions: probabilities of all stages, or one column in units of the loss."""
    if target != STAGE:
        return model.predict(pool, thread_count=1)[:, None]
    probabilities = np.zeros((pool.num_row(), len(STAGES)))
    probabilities[:, np.asarray(model.classes_, int)] = model.predict_proba(pool, thread_count=1)
    return probabilities
