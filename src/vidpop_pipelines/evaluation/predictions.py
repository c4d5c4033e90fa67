"""The predictions table: the one format in which every family hands over its forecasts.

One row per (video, split, fold, target, step), written to
``data/07_model_output/<pipeline>/predictions.parquet``. Every number in a report is computed from this table,
so that anyone can recompute it. Between the wide arrays of a model, shape (n_videos, n_steps), and the long
table, `build_predictions` leads one way and `to_matrix` the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidpop_pipelines.errors import InputError

if TYPE_CHECKING:
    import pandera.pandas as pa

SPLITS = ("train", "val", "test")
KEY_COLUMNS = ("video_id", "split", "fold", "target", "step")
MEMBER_PREFIX = "y_pred_"

# What pandera's own checks are called in messages.
_RULES = {
    "column_in_dataframe": "is missing",
    "column_in_schema": "is not part of the table",
    "not_nullable": "must not be missing",
}


@cache
def predictions_schema(*, with_truth: bool = True) -> "pa.DataFrameSchema":
    """Return the pandera schema of the predictions table.

    Args:
        with_truth: False for ``forecast.parquet``, the same table for videos whose future is unknown: it has
            no column ``y_true``.

    Returns:
        A schema that allows exactly the columns of the contract. ``y_pred`` is always a finite number;
        ``y_true`` is NaN on a missing day, ``lower`` and ``upper`` where there is no interval, and a member
        (``y_pred_<member>``) where it gives no forecast.
    """
    import pandera.pandas as pa

    is_text = pa.Check(lambda values: isinstance(values.dtype, pd.StringDtype), error="must be a text column")
    is_integer = pa.Check(pd.api.types.is_integer_dtype, error="must be an integer column")
    is_float = pa.Check(pd.api.types.is_float_dtype, error="must be a float column")
    not_infinite = pa.Check(lambda values: ~np.isinf(values), error="must not be infinite")
    number = [is_float, not_infinite]
    columns = {
        "video_id": pa.Column(None, is_text),
        "split": pa.Column(
            None, [is_text, pa.Check.isin(SPLITS, error=f"must be one of {', '.join(SPLITS)}")]
        ),
        "fold": pa.Column(None, is_integer),
        "target": pa.Column(None, is_text),
        "step": pa.Column(None, [is_integer, pa.Check.ge(0, error="must not be negative")]),
        "y_pred": pa.Column(None, number),
        "lower": pa.Column(None, number, nullable=True),
        "upper": pa.Column(None, number, nullable=True),
        f"{MEMBER_PREFIX}.+": pa.Column(None, number, nullable=True, regex=True, required=False),
    }
    if with_truth:
        columns["y_true"] = pa.Column(None, number, nullable=True)
    checks = [
        pa.Check(_interval_is_ordered, error="lower must be at most upper, both present or neither"),
        pa.Check(_is_unique, error=f"every ({', '.join(KEY_COLUMNS)}) must be there once"),
    ]
    return pa.DataFrameSchema(columns, checks=checks, strict=True)


def _interval_is_ordered(table: pd.DataFrame) -> pd.Series:
    lower, upper = table["lower"], table["upper"]
    return (lower <= upper) | (lower.isna() & upper.isna())


def _is_unique(table: pd.DataFrame) -> pd.Series:
    return ~table.duplicated(list(KEY_COLUMNS), keep=False)


def validate_predictions(predictions: pd.DataFrame, source: str = "predictions.parquet") -> pd.DataFrame:
    """Check a predictions table against the contract. Usable as ``validator:`` of a catalog entry.

    Args:
        predictions: The long table.
        source: File or dataset named in the error message.

    Returns:
        The same table.

    Raises:
        InputError: If the table breaks the contract; lists each broken rule with its first row.
    """
    return _validate(predictions, predictions_schema(), source)


def validate_forecast(forecast: pd.DataFrame, source: str = "forecast.parquet") -> pd.DataFrame:
    """Check a forecast: the predictions table without ``y_true``. See `validate_predictions`."""
    return _validate(forecast, predictions_schema(with_truth=False), source)


def _validate(table: pd.DataFrame, schema: "pa.DataFrameSchema", source: str) -> pd.DataFrame:
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(table, lazy=True)
    except SchemaErrors as error:
        failures = error.failure_cases
    # A rule about whole rows is reported once for every column of the row: its first line tells all.
    failures["where"] = failures["column"].where(failures["schema_context"] == "Column", "row")
    problems = [
        _describe(where, str(rule), cases)
        for (where, rule), cases in failures.groupby(["where", "check"], sort=False, dropna=False)
    ]
    raise InputError(
        f"{source} is not a valid predictions table:\n  " + "\n  ".join(problems),
        expected="the columns and rules of vidpop_pipelines.evaluation.predictions.predictions_schema",
        remedy="Run the pipeline that writes this file again; do not edit the file by hand.",
    )


def _describe(where: str, rule: str, cases: pd.DataFrame) -> str:
    first = cases.iloc[0]
    if rule in ("column_in_dataframe", "column_in_schema"):
        return f"column {first['failure_case']}: {_RULES[rule]}"
    n_rows = cases["index"].nunique()
    rows = f" (row {first['index']} of the table; {n_rows} such rows)" if n_rows else ""
    return f"{where}: {_RULES.get(rule, rule)}{rows}"


def build_predictions(
    video_ids: Sequence[str],
    y_pred: npt.ArrayLike,
    *,
    target: str,
    steps: Sequence[int],
    split: str | Sequence[str],
    fold: int | Sequence[int],
    y_true: npt.ArrayLike | None = None,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
    members: Mapping[str, npt.ArrayLike] | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> pd.DataFrame:
    """Turn the wide arrays of a multi-step forecast into the long predictions table.

    Args:
        video_ids: (N,) ids.
        y_pred: (N, T) forecast.
        target: Name of the predicted quantity.
        steps: (T,) step of each column: the day for SMTPD, ``[0]`` for a forecast of one number.
        split: ``train``, ``val`` or ``test``; one for all videos or (N,).
        fold: Test fold of the model that made the forecast; one for all videos or (N,).
        y_true: (N, T) truth, NaN where missing. None leaves the column out, as in ``forecast.parquet``.
        lower: (N, T) lower end of the interval; None where the family has none.
        upper: (N, T) upper end of the interval.
        members: Forecasts (N, T) of blend members and baselines; ``network`` becomes ``y_pred_network``.
        dtype: Type of the float columns. float32 keeps seven digits, more than the scores of SMTPD have; a
            target in raw views needs float64.

    Returns:
        Table with N * T rows, the steps of a video next to each other (which compresses best).

    Raises:
        ValueError: If the shapes do not fit together.
    """
    video_ids = np.asarray(video_ids, dtype=object)
    shape = (len(video_ids), len(steps))
    missing = np.full(shape, np.nan, dtype=dtype)
    matrices = {} if y_true is None else {"y_true": y_true}
    matrices |= {
        "y_pred": y_pred,
        "lower": missing if lower is None else lower,
        "upper": missing if upper is None else upper,
    }
    matrices |= {f"{MEMBER_PREFIX}{name}": values for name, values in (members or {}).items()}

    columns = {
        "video_id": _repeat_text(video_ids, shape),
        "split": _repeat_text(split, shape),
        "fold": _repeat(np.asarray(fold, dtype=np.int16), shape),
        "target": _repeat_text(target, shape),
        "step": np.tile(np.asarray(steps, dtype=np.int16), shape[0]),
    }
    for name, matrix in matrices.items():
        matrix = np.asarray(matrix, dtype=dtype)
        if matrix.shape != shape:
            raise ValueError(f"{name} has shape {matrix.shape}; expected {shape} (videos, steps)")
        columns[name] = matrix.ravel()
    return pd.DataFrame(columns, copy=False)


def _repeat(per_video: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeat one value, or one value per video, for every step."""
    n_videos, n_steps = shape
    if per_video.ndim and len(per_video) != n_videos:
        raise ValueError(f"got {len(per_video)} values for {n_videos} videos")
    return np.repeat(np.broadcast_to(per_video, n_videos), n_steps)


def _repeat_text(per_video: str | Sequence[str], shape: tuple[int, int]) -> pd.Series:
    """Like `_repeat`, through integer codes: Python strings for every row would take gigabytes."""
    codes, texts = pd.factorize(np.atleast_1d(np.asarray(per_video, dtype=object)))
    codes = codes[0] if isinstance(per_video, str) else codes
    return pd.Series(pd.array(texts, dtype="str").take(_repeat(np.asarray(codes), shape)))


@dataclass(frozen=True)
class PredictionMatrix:
    """The predictions of one target as wide arrays.

    Attributes:
        video_ids: (N,) ids; a video that several folds predict has one row per fold.
        splits: (N,) split of each row.
        folds: (N,) fold of each row.
        steps: (T,) sorted steps.
        columns: Column name to array (N, T), NaN where the table has no such row.
    """

    video_ids: np.ndarray
    splits: np.ndarray
    folds: np.ndarray
    steps: np.ndarray
    columns: dict[str, np.ndarray]

    def members(self) -> dict[str, np.ndarray]:
        """Return the forecasts beside ``y_pred`` by member name: ``y_pred_network`` is ``network``."""
        return {
            name.removeprefix(MEMBER_PREFIX): values
            for name, values in self.columns.items()
            if name.startswith(MEMBER_PREFIX)
        }


def to_matrix(
    predictions: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    split: str | None = None,
    target: str | None = None,
) -> PredictionMatrix:
    """Turn the long predictions table into wide arrays, one row per (video, split, fold).

    Args:
        predictions: The long table.
        columns: Value columns to keep; all by default.
        split: Keep only this split; all by default.
        target: The target to take; may be left out where the table has only one.

    Returns:
        Arrays whose rows are in the order in which the videos first appear.

    Raises:
        InputError: If nothing is left, if ``target`` is needed, or if a (video, split, fold, step) repeats.
    """
    if split is not None:
        predictions = predictions[predictions["split"] == split]
    targets = predictions["target"].unique()
    if target is None and len(targets) == 1:
        target = targets[0]
    if target not in targets:
        raise InputError(
            f"The predictions table has no rows for target {target!r} and split {split or 'any'!r}.",
            expected=f"one of the targets {', '.join(map(repr, targets))}" if len(targets) else "rows",
            remedy="Name a target and a split that are in the table.",
        )
    if len(targets) > 1:
        predictions = predictions[predictions["target"] == target]
    rows = predictions.groupby(["video_id", "split", "fold"], sort=False).ngroup().to_numpy()
    steps, positions = np.unique(predictions["step"].to_numpy(), return_inverse=True)
    # np.unique finds the first table row of each matrix row.
    first_rows = np.unique(rows, return_index=True)[1]
    shape = (len(first_rows), len(steps))
    if np.bincount(rows * shape[1] + positions).max() > 1:
        raise InputError(
            f"The predictions table repeats rows of target {target!r}.",
            expected=f"each ({', '.join(KEY_COLUMNS)}) once",
            remedy="Run the pipeline that writes this file again.",
        )
    if columns is None:
        columns = [name for name in predictions.columns if name not in KEY_COLUMNS]
    wide = {name: _scatter(predictions[name].to_numpy(), rows, positions, shape) for name in columns}
    keys = predictions.iloc[first_rows]
    return PredictionMatrix(
        video_ids=keys["video_id"].to_numpy(dtype=object),
        splits=keys["split"].to_numpy(dtype=object),
        folds=keys["fold"].to_numpy(),
        steps=steps,
        columns=wide,
    )


def _scatter(values: np.ndarray, rows: np.ndarray, positions: np.ndarray, shape: tuple) -> np.ndarray:
    matrix = np.full(shape, np.nan, dtype=values.dtype)
    matrix[rows, positions] = values
    return matrix
