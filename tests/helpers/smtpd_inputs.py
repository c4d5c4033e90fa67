"""Small SMTPD inputs made in memory."""

import numpy as np
import pandas as pd

from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import PreprocessingOptions
from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS


def make_inputs(n_videos: int = 60, n_days: int = 5, seed: int = 0) -> SmtpdInputs:
    """Returns videos whose curves are a noisy line in day 1, with some of everything missing."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(4, 16, n_videos)
    curves = first[:, None] - 0.3 * np.arange(n_days) + rng.normal(0, 0.5, (n_videos, n_days))
    curves[:, 0] = first
    videos = pd.DataFrame(
        {
            "video_id": [f"v{index}" for index in range(n_videos)],
            "user_id": [f"u{index % 7}" for index in range(n_videos)],
            "category": np.where(np.arange(n_videos) % 3 == 0, "Music", "Gaming"),
            "language": np.where(np.arange(n_videos) % 2 == 0, "en", ""),
        }
    )
    for name in NUMERICAL_FIELDS:
        videos[name] = rng.integers(1, 1000, n_videos).astype(float)
    for day in range(n_days):
        videos[f"day_{day + 1}"] = curves[:, day]
    videos.loc[1, "followers"] = np.nan
    videos.loc[2, "day_3"] = np.nan
    visual = Embeddings(rng.normal(size=(n_videos, 12)).astype(np.float16), np.arange(n_videos))
    visual.rows[3] = -1
    text_rows = np.tile(np.arange(n_videos)[:, None] % 10, (1, 5))
    text_rows[4, 2] = -1
    text = Embeddings(rng.normal(size=(10, 8)).astype(np.float16), text_rows)
    return SmtpdInputs(videos, visual, text)


def preprocessing_options(**changes) -> PreprocessingOptions:
    """Returns the options of the base environment, with changes."""
    base = {
        "log_numbers": True,
        "standardise_vectors": True,
        "visual_components": 3,
        "text_components": 2,
        "standardise_targets": True,
        "residual": True,
    }
    return PreprocessingOptions(**base | changes)
