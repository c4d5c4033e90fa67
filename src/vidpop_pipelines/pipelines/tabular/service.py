"""Answers JSON requests with a model of the table of videos."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.tabular.requests import read_requests


class TabularService(PythonModel):
    """One registered model behind MLflow's server.

    Args:
        kind: Class of the model, with `load(folder)` and `answer(videos)`.
    """

    def __init__(self, kind: Any):
        self._kind = kind

    def load_context(self, context: Any) -> None:
        """Loads the model, once per server process."""
        self.model = self._kind.load(Path(context.artifacts["model"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Forecasts the videos of a request.

        Args:
            context: Unused.
            model_input: One row per video; columns as in the model's signature.
            params: Unused.

        Returns:
            One row per video: `video_id` and the numbers of the model's `answer`.

        Raises:
            MlflowException: Naming the video and field that is wrong; answered with status 400.
        """
        try:
            videos = read_requests(model_input.to_dict("records"))
        except InputError as error:
            raise MlflowException(error.message, INVALID_PARAMETER_VALUE) from None
        return self.model.answer(videos)
