"""The MoFA-Lite forecaster behind MLflow's model server (models from code: MLflow runs this file)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from vidpop_pipelines.service import read_video_ids, refuse


class MofaService(PythonModel):
    """Answers requests for one or many videos with their forecast log counts."""

    def load_context(self, context: Any) -> None:
        """Loads the forecaster, once per server process."""
        from vidpop_pipelines.pipelines.mofa_lite.forecaster import MofaForecaster

        self.forecaster = MofaForecaster.load(Path(context.artifacts["model"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Forecasts the videos of a request.

        Args:
            context: Unused.
            model_input: One row per video: a list of numbers per modality. A modality may be left out, and a number
                may be null: the training median takes its place.
            params: Unused.

        Returns:
            One row per video and target: `video_id`, `target`, `y_pred`, `lower`, `upper`, as ln(count + 1).

        Raises:
            MlflowException: Naming the video and field that is wrong; answered with status 400.
        """
        from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs

        ids = read_video_ids(model_input)
        rows = np.arange(len(model_input))
        widths = self.forecaster.widths
        known = [name for name in widths if name in model_input]
        if not known:
            expected = f"at least one of {', '.join(widths)}"
            raise refuse(0, next(iter(widths)), "no modality is given", expected)
        features = {
            name: _read_features(
                model_input[name].tolist() if name in known else [None] * len(rows), name, width
            )
            for name, width in widths.items()
        }
        inputs = MofaInputs(ids, features, rows, None)
        forecast = self.forecaster.forecast(inputs, rows)
        targets = self.forecaster.targets
        return pd.DataFrame(
            {
                "video_id": np.repeat(inputs.video_ids, len(targets)),
                "target": np.tile(targets, len(rows)),
                **{name: forecast[name].ravel().astype(float) for name in ("y_pred", "lower", "upper")},
            }
        )


def _read_features(given: list, name: str, width: int) -> np.ndarray:
    """Returns (N, width) float32; NaN where a modality or a number was left out."""
    features = np.full((len(given), width), np.nan, np.float32)
    expected = f"a list of {width} finite numbers, null where one is missing, or nothing"
    for row, values in enumerate(given):
        if values is None or (isinstance(values, float) and np.isnan(values)):
            continue
        try:
            vector = np.array([np.nan if value is None else value for value in values], np.float64)
        except (TypeError, ValueError):
            raise refuse(row, name, "not a list of numbers", expected) from None
        if vector.shape != (width,):
            raise refuse(row, name, f"{len(vector)} numbers", expected)
        with np.errstate(over="ignore"):
            features[row] = vector
        if np.isinf(features[row]).any():
            raise refuse(row, name, "a number is infinite", expected)
    return features


set_model(MofaService())
