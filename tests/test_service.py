"""Ids and refusals of requests."""

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from vidpop_pipelines.service import read_video_ids, refuse


def test_ids_are_as_given_or_numbered():
    request = pd.DataFrame({"video_id": ["a", None, 7, np.nan], "title": "t"})
    assert read_video_ids(request).tolist() == ["a", "video 1", "7", "video 3"]
    assert read_video_ids(request[["title"]]).tolist() == [f"video {row}" for row in range(4)]


def test_an_empty_request_is_refused():
    with pytest.raises(MlflowException, match="holds no video"):
        read_video_ids(pd.DataFrame())


def test_a_refusal_is_answered_with_400():
    error = refuse(2, "title", "got 5", "a text")
    assert error.get_http_status_code() == 400
    assert error.message == "Video 2, field 'title': got 5. Expected: a text."
