"""The SMTPD forecaster behind MLflow's model server (models from code: MLflow runs this file)."""

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS, TEXT_FIELDS
from vidpop_pipelines.service import read_video_ids, refuse

_LARGEST_SCORE = 50.0


class SmtpdService(PythonModel):
    """Answers requests for one or many videos with their forecast curves."""

    def load_context(self, context: Any) -> None:
        """Loads the forecaster and its encoders, once per server process."""
        from vidpop_pipelines.features.images import create_image_encoder
        from vidpop_pipelines.features.text import create_text_encoder
        from vidpop_pipelines.pipelines.smtpd.forecaster import SmtpdForecaster

        self.forecaster = SmtpdForecaster.load(Path(context.artifacts["model"]))
        self.image_encoder = create_image_encoder(self.forecaster.visual_encoder)
        self.text_encoder = create_text_encoder(self.forecaster.text_encoder)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Forecasts the videos of a request.

        Args:
            context: Unused.
            model_input: One row per video; columns as in the model's signature.
            params: Unused.

        Returns:
            One row per video and day: `video_id`, `day`, `y_pred`, `lower`, `upper` (log2(views / day + 1)).

        Raises:
            MlflowException: Naming the video and field that is wrong; answered with status 400.
        """
        from vidpop_pipelines.features.language import detect_languages
        from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs

        videos = self._read(model_input)
        inputs = SmtpdInputs.assemble(
            videos,
            detect_languages(videos["title"]),
            self._encode_thumbnails(model_input),
            self._encode_texts(videos),
        )
        forecast = self.forecaster.forecast_mean(inputs)
        days = self.forecaster.days
        return pd.DataFrame(
            {
                "video_id": np.repeat(videos["video_id"].to_numpy(), len(days)),
                "day": np.tile(days, len(videos)),
                **{name: forecast[name].ravel().astype(float) for name in ("y_pred", "lower", "upper")},
            }
        )

    def _read(self, request: pd.DataFrame) -> pd.DataFrame:
        videos = pd.DataFrame({"video_id": read_video_ids(request)})
        for name in TEXT_FIELDS:
            videos[name] = (
                request[name].fillna("").astype(str).str.strip().to_numpy() if name in request else ""
            )
        for name in NUMERICAL_FIELDS:
            videos[name] = request[name].astype(float).to_numpy() if name in request else np.nan
            if np.isinf(videos[name]).any():
                raise refuse(
                    int(np.isinf(videos[name]).argmax()), name, "infinite", "a finite number, or nothing"
                )
        if self.forecaster.early_popularity:
            videos["day_1"] = request["day_1"].astype(float).to_numpy()
            wrong = ~videos["day_1"].between(0, _LARGEST_SCORE)
            if wrong.any():
                row = int(wrong.to_numpy().argmax())
                expected = f"the score of day 1, log2(views + 1), from 0 to {_LARGEST_SCORE:g}"
                raise refuse(row, "day_1", f"got {videos.at[row, 'day_1']}", expected)
        return videos

    def _encode_texts(self, videos: pd.DataFrame) -> Any:
        from vidpop_pipelines.features.embeddings import Embeddings

        texts = videos[TEXT_FIELDS].to_numpy(object)
        unique = sorted({text for text in texts.ravel() if text})
        index = {text: row for row, text in enumerate(unique)} | {"": -1}
        rows = np.array([[index[text] for text in video] for video in texts], np.int64)
        return Embeddings(_encode(self.text_encoder, unique), rows)

    def _encode_thumbnails(self, request: pd.DataFrame) -> Any:
        from vidpop_pipelines.features.embeddings import Embeddings

        images, rows = [], np.full(len(request), -1, np.int64)
        given = request["thumbnail"].fillna("") if "thumbnail" in request else [""] * len(request)
        # What-if questions ask for the same picture many times.
        positions: dict[str, int] = {}
        for row, thumbnail in enumerate(given):
            if thumbnail and thumbnail not in positions:
                positions[thumbnail] = len(images)
                images.append(self.image_encoder.prepare(_open_thumbnail(thumbnail, row)))
            rows[row] = positions.get(thumbnail, -1)
        return Embeddings(_encode(self.image_encoder, images), rows)


def _encode(encoder: Any, inputs: list) -> np.ndarray:
    # float16 as in the embedding cache, so that a served forecast equals the pipeline's.
    return (
        encoder.encode(inputs).astype(np.float16)
        if inputs
        else np.zeros((0, encoder.hidden_size), np.float16)
    )


def _open_thumbnail(thumbnail: str, row: int) -> Any:
    """Opens a picture given as base64, or as path of a file that the server can read."""
    from vidpop_pipelines.features.images import decode_image

    try:
        content = base64.b64decode(thumbnail, validate=True)
    except binascii.Error:
        path = Path(thumbnail)
        if not path.is_file():
            problem = "neither base64 nor an existing file"
            raise refuse(row, "thumbnail", problem, "base64 of a picture, or its path") from None
        content = path.read_bytes()
    try:
        return decode_image(io.BytesIO(content))
    except InputError as error:
        raise refuse(row, "thumbnail", error.message, "a picture") from None


set_model(SmtpdService())
