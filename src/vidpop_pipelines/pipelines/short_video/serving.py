"""The short-video classifier behind MLflow's model server (models from code: MLflow runs this file)."""

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
from vidpop_pipelines.service import read_video_ids, refuse

# PATH_MAX of Linux: the system refuses to look for anything longer.
_LONGEST_PATH = 4096


class ShortVideoService(PythonModel):
    """Answers requests for one or many videos with the probability that they are popular."""

    def load_context(self, context: Any) -> None:
        """Loads backbone, adapters and processor, once per server process."""
        from vidpop_pipelines.pipelines.short_video.classifier import ShortVideoClassifier

        self.classifier = ShortVideoClassifier.load(Path(context.artifacts["model"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Scores the videos of a request.

        Args:
            context: Unused.
            model_input: One row per video; `video` is base64 of a video file, or the path of one that the server
                can read; `video_id` may be left out.
            params: Unused.

        Returns:
            One row per video: `video_id`, `popular`, its probability `y_pred`, `lower`, `upper`.

        Raises:
            MlflowException: Naming the video that cannot be read; answered with status 400.
        """
        from vidpop_pipelines.pipelines.short_video.frames import Frames

        ids = read_video_ids(model_input)
        options = self.classifier.frames
        clips = [self._read(video, row) for row, video in enumerate(model_input["video"])]
        scores = self.classifier.probabilities(
            Frames.from_clips(clips, options.n_frames), np.arange(len(clips))
        )
        return pd.DataFrame(
            {
                "video_id": ids,
                "popular": scores["y_pred"] >= 0.5,
                **{name: scores[name] for name in ("y_pred", "lower", "upper")},
            }
        )

    def _read(self, video: str, row: int) -> Any:
        """Decodes a video given as base64, or as path of a file that the server can read."""
        from vidpop_pipelines.features.video import read_clip

        try:
            if len(video) <= _LONGEST_PATH and Path(video).is_file():
                return read_clip(Path(video), self.classifier.frames)
            content = base64.b64decode(video, validate=True)
            return read_clip(io.BytesIO(content), self.classifier.frames)
        except binascii.Error:
            problem = "neither base64 nor an existing file"
            raise refuse(row, "video", problem, "base64 of a video, or its path") from None
        except InputError as error:
            raise refuse(row, "video", error.message, "a video") from None


set_model(ShortVideoService())
