"""Registers a trained short-video classifier with MLflow, as a model that answers JSON requests."""

import base64
import io
from pathlib import Path
from typing import Any


def register_model(classifier: Any) -> dict[str, Any]:
    """Logs the classifier as a pyfunc from code and registers it as a new version.

    Args:
        classifier: The trained classifier.

    Returns:
        `name`, `version` and `model_uri` of the registered model.
    """
    from vidpop_pipelines.registry import register_pyfunc

    return register_pyfunc(
        name=classifier.name,
        code=Path(__file__).with_name("serving.py"),
        model=classifier,
        signature=model_signature(),
        input_example=request_example(),
    )


def request_example() -> Any:
    """Returns a request for one video: a second of a growing brightness, as base64 of its file."""
    import av
    import numpy as np
    import pandas as pd

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        for number in range(8):
            picture = np.full((64, 64, 3), 30 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return pd.DataFrame([{"video_id": "example", "video": base64.b64encode(file.getvalue()).decode()}])


def model_signature() -> Any:
    """Returns the MLflow signature: a video, by path or as base64."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec("string", "video"), ColSpec("string", "video_id", required=False)]
    outputs = [ColSpec("string", "video_id"), ColSpec("boolean", "popular"), ColSpec("double", "y_pred")]
    outputs += [ColSpec("double", name, required=False) for name in ("lower", "upper")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))
