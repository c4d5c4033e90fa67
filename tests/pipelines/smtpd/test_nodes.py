import pandas as pd
import pytest

from vidpop_pipelines.evaluation.splits import assign_folds
from vidpop_pipelines.pipelines.smtpd.nodes import split_videos
from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdParameters

VIDEOS = pd.DataFrame(
    {"video_id": [f"v{n}" for n in range(40)], "user_id": [f"u{n % 10}" for n in range(40)]}
)
GIVEN = pd.DataFrame({"video_id": VIDEOS["video_id"], "fold": [n // 8 for n in range(40)]})


@pytest.fixture
def parameters():
    # Only these fields are read; the others have no defaults on purpose.
    return SmtpdParameters.model_construct(n_folds=5, seed=1, group_by=None)


def test_given_folds_are_taken(parameters):
    assert split_videos(VIDEOS, GIVEN, parameters)["fold"].tolist() == GIVEN["fold"].tolist()


def test_without_given_folds_they_are_random(parameters):
    folds = split_videos(VIDEOS, None, parameters)
    pd.testing.assert_frame_equal(folds, assign_folds(VIDEOS["video_id"], n_folds=5, seed=1))
    assert folds["fold"].value_counts().tolist() == [8] * 5


def test_a_split_by_user_goes_before_given_folds(parameters):
    folds = split_videos(VIDEOS, GIVEN, parameters.model_copy(update={"group_by": "user_id"}))
    assert (folds.groupby(VIDEOS["user_id"])["fold"].nunique() == 1).all()
