"""Why the ensemble forecasts what it does: SHAP values of the whole stack."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.ensemble.learners import LEARNER_TYPES
from vidpop_pipelines.pipelines.ensemble.model import EnsembleModel
from vidpop_pipelines.pipelines.tabular.text_vectors import BLOCK_NAMES

# Enough for a stable ranking; forests take a hundredth of a second per video.
MAX_VIDEOS = 200


def explain(model: EnsembleModel, videos: pd.DataFrame) -> pd.DataFrame:
    """Computes the SHAP values of the stack (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9).

    SHAP values are additive: those of the stack are the weighted sum of its learners', plus those of the trend.

    Args:
        model: The trained ensemble.
        videos: M validated videos.

    Returns:
        One row per video and feature: `video_id`, `feature`, `value`, and `shap` (log views).
    """
    members = model.members
    features = members.base.features.transform(videos)
    names = members.base.features.names
    total = np.zeros(features.shape)
    for name, weight in model.weights.items():
        models = members.learners[name]
        columns = members.base.features.columns(text=LEARNER_TYPES[name].uses_text)
        values = np.mean([learner.shap_values(features[:, columns]) for learner in models], axis=0)
        total[:, columns] += weight * values
    contributions = members.base.trend.contributions(features, names)
    for name, values in contributions.items():
        total[:, names.index(name)] += values
    return pd.DataFrame(
        {
            "video_id": np.repeat(videos["video_id"].to_numpy(object), len(names)),
            "feature": np.tile(np.array(names, object), len(videos)),
            "value": features.ravel().astype(np.float64),
            "shap": total.ravel(),
        }
    )


def importance(explanation: pd.DataFrame) -> pd.Series:
    """Returns the mean absolute SHAP value by feature, largest first.

    The components of a text count together: one alone says nothing.
    """
    component = rf"^({'|'.join(BLOCK_NAMES)})_\d+$"
    group = explanation["feature"].str.replace(component, r"\1", regex=True)
    summed = explanation.assign(feature=group).groupby(["video_id", "feature"], sort=False)["shap"].sum()
    return summed.abs().groupby("feature").mean().sort_values(ascending=False)


def as_matrices(explanation: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns SHAP values and feature values, each (M, F), and the names of the features."""
    names: Any = explanation["feature"].unique()
    shape = (-1, len(names))
    return (
        explanation["shap"].to_numpy().reshape(shape),
        explanation["value"].to_numpy().reshape(shape),
        list(names),
    )
