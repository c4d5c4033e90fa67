"""What the page asks, and what the answers say: views of the entered video, of varied and of withheld inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.what_if.client import Unanswered
from vidpop_pipelines.what_if.form import Field, given_fields, write_request

CURVE, NUMBER = "curve", "number"
_STEPS = 25
# What the page reads of each kind of answer.
_READ = {
    CURVE: ["video_id", "day", "y_pred", "lower", "upper"],
    NUMBER: ["video_id", "predicted_views", "lower", "upper"],
}


def kind_of_answer(outputs: Sequence[str]) -> str | None:
    """Returns what a model's answer holds: the `curve` of a video, its `number` of views, or neither.

    Args:
        outputs: Names of the outputs in the model's signature.
    """
    if {"day", "y_pred"} <= set(outputs):
        return CURVE
    return NUMBER if "predicted_views" in outputs else None


def read_answer(rows: Sequence[Mapping[str, Any]], n_videos: int, kind: str) -> pd.DataFrame:
    """Makes a table of an answer.

    Args:
        rows: The rows of the answer, those of each video together, in the order of the request.
        n_videos: Number of videos that were asked for.
        kind: `CURVE` or `NUMBER`, of `kind_of_answer`.

    Returns:
        `day` (0 where the answer has none), `views` until then, `lower` and `upper` (NaN where there is no
        interval), and what else the answer holds; as many rows for each video.

    Raises:
        Unanswered: If the answer is not of this kind, or does not hold as many rows for each video.
    """
    answer = pd.DataFrame(list(rows))
    if not len(answer) or len(answer) % n_videos:
        raise Unanswered(f"The model's server answers with {len(answer)} rows for {n_videos} videos.")
    absent = [name for name in _READ[kind] if name not in answer]
    if absent:
        raise Unanswered(
            f"The model's server answers without {', '.join(absent)}: it serves another model than this page asks."
        )
    bounds = {name: answer[name].astype(float).to_numpy() for name in ("lower", "upper")}
    if kind == CURVE:
        days = answer["day"].to_numpy()
        scores = {"views": answer["y_pred"].to_numpy(float), **bounds}
        columns = {"day": days} | {name: views_until(days, score) for name, score in scores.items()}
    else:
        columns = {"day": 0, "views": answer["predicted_views"].to_numpy(float), **bounds}
    return pd.DataFrame(columns).join(answer.drop(columns=_READ[kind]))


def views_until(days: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the views until the end of each day whose popularity score log2(views / day + 1) is given."""
    return np.maximum(np.exp2(scores) - 1, 0.0) * days


def sweep_values(field: Field, current: float | None) -> np.ndarray:
    """Returns the values of a number that are tried: whole, evenly spaced in their logarithms.

    Args:
        field: The number that is varied, with its range.
        current: Its value in the form; None if it has none. If it is above zero it is among them, and a range
            that does not hold it is made longer.

    Returns:
        About 25 rising values.
    """
    known = [current] if current is not None and current > 0 else []
    low, high = min([field.low, *known]), max([field.high, *known])
    return np.unique(np.concatenate([np.geomspace(low, high, _STEPS).round().clip(min=low), known]))


def sweep_requests(
    fields: Sequence[Field], values: Mapping[str, Any], varied: Field, tried: np.ndarray
) -> list[dict[str, Any]]:
    """Returns the entered video once for each value of one of its inputs."""
    return [write_request(fields, {**values, varied.name: float(value)}) for value in tried]


def withheld_requests(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the entered video without each of its inputs, by the input's label.

    A number that the model can't do without is halved instead, and its label says so.
    """
    requests = {}
    for field in given_fields(fields, values):
        if not field.required:
            requests[field.label] = write_request(fields, {**values, field.name: None})
        elif field.is_number:
            requests[f"{field.label} (against half)"] = write_request(
                fields, {**values, field.name: values[field.name] / 2}
            )
    return requests


def effects(views: float, without: Mapping[str, float]) -> pd.Series:
    """Returns by how much each input multiplies the forecast.

    Args:
        views: Forecast of the video as entered.
        without: Forecast without each input, by its label.

    Returns:
        (views + 1) / (views without it + 1) by label, the strongest first; above 1 it raises the forecast.
    """
    factors = pd.Series({label: (views + 1) / (other + 1) for label, other in without.items()}, dtype=float)
    strength = np.log(factors).abs()
    return factors[strength.sort_values(ascending=False, kind="stable").index]
