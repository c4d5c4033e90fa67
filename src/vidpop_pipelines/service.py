"""What the served models share: how requests are numbered, and refused."""

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE


def refuse(row: int, field: str, problem: str, expected: str) -> MlflowException:
    """Returns the error that MLflow's server answers with status 400 and this message."""
    return MlflowException(
        f"Video {row}, field '{field}': {problem}. Expected: {expected}.", INVALID_PARAMETER_VALUE
    )


def read_video_ids(request: pd.DataFrame) -> np.ndarray:
    """Returns the (N,) ids of a request's videos: as given, else `video 0`, `video 1`, ...

    Raises:
        MlflowException: If there is no video.
    """
    if request.empty:
        raise MlflowException(
            "The request holds no video. Expected: at least one in dataframe_records.",
            INVALID_PARAMETER_VALUE,
        )
    numbered = np.array([f"video {row}" for row in range(len(request))], object)
    if "video_id" not in request:
        return numbered
    given = request["video_id"].to_numpy(object)
    return np.where(pd.isna(given), numbered, given.astype(str))
