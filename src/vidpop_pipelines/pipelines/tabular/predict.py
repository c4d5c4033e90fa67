"""`predict_performance`: one video, one call. Heavy imports wait for the call."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any


def predict_performance(
    *,
    title: str | None = None,
    description: str | None = None,
    tags: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    duration_seconds: float | None = None,
    published_at: str | datetime | None = None,
    channel_id: str | None = None,
    subscribers: float | None = None,
    channel_avg_views: float | None = None,
    channel_video_count: float | None = None,
    channel_created_at: str | datetime | None = None,
    age_hours: float | None = None,
    definition: str | None = None,
    caption: str | None = None,
    language: str | None = None,
    model_type: str = "ensemble",
    model: str | Path | int | None = None,
    project_path: str | Path | None = None,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Predicts how a video will perform, from whatever is known about it.

    The model is read on the first call; later calls answer in milliseconds. A model that has been trained again
    since is read again.

    Args:
        title: Title, in any language.
        description: Description.
        tags: List of tags.
        categories: List of categories, the main one first.
        duration_seconds: Length of the video.
        published_at: When it is published: a datetime or ISO 8601, UTC where no zone is given; None for now.
        channel_id: Channel, whose earlier videos the model may know.
        subscribers: Of the channel.
        channel_avg_views: Views per video of the channel.
        channel_video_count: Videos of the channel.
        channel_created_at: When the channel was created, as `published_at`.
        age_hours: Age of the video at which its views are predicted; None for 720 (30 days).
        definition: As in the training table, for example `hd`.
        caption: As in the training table, for example `true`.
        language: As in the training table, for example `en`.
        model_type: `ensemble`, or `deep_learning` for the network of the pipeline `multitask`.
        model: Folder of a model; or a model registered with MLflow, as URI (``models:/ensemble/3``,
            ``models:/ensemble@champion``) or as the number of its version. None for the model that the project's
            pipeline wrote last. MLflow is the one of MLFLOW_TRACKING_URI, else `mlflow.db` of the project.
        project_path: Folder of the Kedro project; None for the one around the working directory. Not needed with
            a folder as `model`.
        output: The `output` that the model was trained with, within the project or absolute; None for `data`.

    Returns:
        - `predicted_views`, `lower`, `upper`: views and their interval, which contains the truth with probability
          `interval_coverage`; the latter three are None if the model has no intervals;
        - `published_at` (ISO 8601) and `age_hours`: what was given or assumed;
        - `unused_inputs`: arguments that were given and that the model has no feature for, because its training
          table lacked the column;
        - with `deep_learning` also `like_ratio` (likes per view), `lifecycle_stage` (`growth`, `peak` or `decay`)
          with `lifecycle_stage_probabilities`, `time_to_peak_days`, `decay_rate`, each None if it stands in
          `untrained_targets`: the training table had no likes, or no daily views.

    Raises:
        InputError: If there is no such model or it is of another type, or if a value can't be right: a negative
            number, an unreadable date, a list given as one text.

    Example:
        >>> predict_performance(  # doctest: +SKIP
        ...     title="Amazing makeup tutorial for beginners",
        ...     tags=["makeup", "tutorial"],
        ...     categories=["Lifestyle", "Fashion"],
        ...     duration_seconds=600,
        ...     channel_avg_views=50_000,
        ...     channel_video_count=25,
        ...     model_type="ensemble",
        ... )
        {'predicted_views': 28702.1, 'lower': 3666.9, 'upper': 224614.5, 'interval_coverage': 0.9, ...}
    """
    arguments = locals()
    from vidpop_pipelines.pipelines.tabular.trained import load_trained, read_arguments

    where = {name: arguments.pop(name) for name in ("model_type", "model", "project_path", "output")}
    video = {name: value for name, value in arguments.items() if value is not None}
    videos = read_arguments(video)
    return load_trained(**where).answer(videos, given=list(video))
