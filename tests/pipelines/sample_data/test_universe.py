import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.texts import compose_texts
from vidpop_pipelines.pipelines.sample_data.universe import (
    SHAPES,
    TRAITS,
    daily_shares,
    draw_channels,
    draw_daily_views,
    draw_features,
    draw_reactions,
    draw_videos,
    sigmoid,
    stream,
)
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES

PARAMS = SampleDataParameters(videos=3000)


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    return draw_videos(PARAMS)


def test_parameters_refuse_unknown_keys_and_tiny_samples() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        SampleDataParameters.model_validate({"video": 400})
    with pytest.raises(ValidationError, match="greater_than_equal"):
        SampleDataParameters(videos=9)


def test_streams_differ_by_name_and_index_and_repeat() -> None:
    first = stream(1, "views").random(3)
    np.testing.assert_array_equal(first, stream(1, "views").random(3))
    assert not np.array_equal(first, stream(1, "likes").random(3))
    assert not np.array_equal(first, stream(1, "views", 1).random(3))
    assert not np.array_equal(first, stream(2, "views").random(3))


@settings(max_examples=10)
@given(small=st.integers(10, 300), extra=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_a_video_is_the_same_in_a_sample_of_any_size(small: int, extra: int, seed: int) -> None:
    def everything(n_videos: int) -> tuple[pd.DataFrame, np.ndarray]:
        params = SampleDataParameters(videos=n_videos, seed=seed)
        videos = draw_videos(params)
        daily_views = draw_daily_views(videos, params)
        reactions = draw_reactions(videos, daily_views, params)
        texts = compose_texts(videos, params)
        return pd.concat([videos, daily_views, reactions, texts], axis=1), draw_features(
            videos, "look", 8, params
        )

    small_table, small_features = everything(small)
    large_table, large_features = everything(small + extra)
    pd.testing.assert_frame_equal(small_table, large_table.head(small))
    np.testing.assert_allclose(small_features, large_features[:small], rtol=1e-5, atol=1e-6)


def test_every_category_has_traits_in_the_same_order() -> None:
    assert tuple(TRAITS) == CATEGORIES
    assert {traits.shape for traits in TRAITS.values()} <= set(SHAPES)


def test_latents_are_standard_and_content_shares_quality(videos: pd.DataFrame) -> None:
    for name in ("quality", "look", "motion", "wording"):
        assert abs(videos[name].mean()) < 0.1
        assert abs(videos[name].std() - 1) < 0.1
    correlation = videos[["quality", "look", "motion"]].corr()
    # sqrt(0.3) with quality; 0.3 with each other.
    assert correlation.loc["quality", "look"] == pytest.approx(0.3**0.5, abs=0.06)
    assert correlation.loc["look", "motion"] == pytest.approx(0.3, abs=0.06)


def test_log_views_follow_the_documented_coefficients(videos: pd.DataFrame) -> None:
    hour = videos.published_at.dt.hour + videos.published_at.dt.minute / 60
    columns = {
        "strength": 1.3,
        "look": 0.75,
        "motion": 0.7,
        "wording": 0.75,
        "language_reach": 1.0,
    }
    known = 0.3 * (videos.published_at.dt.day_of_week >= 5) + 0.3 * np.cos(2 * np.pi * (hour - 18) / 24)
    known += np.array([TRAITS[name].reach for name in CATEGORIES])[videos.category]
    known -= 0.3 * videos.duration_off_usual.abs()
    design = np.column_stack([np.ones(len(videos)), videos[list(columns)]])
    solution, _, _, _ = np.linalg.lstsq(design, videos.log2_views - known, rcond=None)
    # Noise of standard deviation 0.9 and 3000 videos leave an error of about 0.02, of about 0.05 for reach.
    np.testing.assert_allclose(solution[:5], [15.5, *list(columns.values())[:4]], atol=0.08)
    assert solution[5] == pytest.approx(1.0, abs=0.25)


def test_shares_add_up_to_one_and_have_the_documented_shapes(videos: pd.DataFrame) -> None:
    shares = daily_shares(videos, 30, PARAMS)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    kind = np.array(SHAPES)[videos["shape"]]
    exponential = shares[kind == "exponential"]
    ratio = exponential[:, 1:] / exponential[:, :-1]
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 29, axis=1))
    power = np.log(shares[kind == "power"])
    # log share is linear in log day: days 2, 4 and 8 are equally spaced.
    np.testing.assert_allclose(power[:, 1] - power[:, 3], power[:, 3] - power[:, 7])
    assert (np.diff(shares[kind == "slow_burn"], axis=1) > 0).all()
    revival = shares[kind == "revival"]
    assert ((np.diff(revival[:, 5:], axis=1) > 0).any(axis=1)).mean() > 0.95


def test_shares_of_fewer_or_more_days_are_the_same_curve(videos: pd.DataFrame) -> None:
    shares = daily_shares(videos, 30, PARAMS)
    np.testing.assert_allclose(daily_shares(videos, 7, PARAMS), shares[:, :7])
    np.testing.assert_allclose(daily_shares(videos, 40, PARAMS)[:, :30], shares)


def test_reactions_are_possible(videos: pd.DataFrame) -> None:
    daily_views = draw_daily_views(videos, PARAMS)
    reactions = draw_reactions(videos, daily_views, PARAMS)
    assert (daily_views >= 0).all(axis=None)
    assert (reactions.views == daily_views.sum(axis=1)).all()
    assert (reactions.likes <= 0.5 * reactions.views + 1).all()
    assert (reactions.comments <= 0.2 * reactions.views + 1).all()
    assert reactions.ecr.between(0, 1).all()
    assert np.corrcoef(reactions.ecr, videos.motion)[0, 1] > 0.6


def test_channels_publish_several_videos_and_none_dominates(videos: pd.DataFrame) -> None:
    sizes = videos.channel_id.value_counts()
    assert sizes.median() >= 2
    assert sizes.max() < 0.02 * len(videos)
    assert len(draw_channels(PARAMS)) == 900
    assert (videos.posts >= videos.channel_id.map(sizes)).all()
    assert (videos.created_at < videos.published_at).all()


def test_features_show_their_latent_through_noise(videos: pd.DataFrame) -> None:
    features = draw_features(videos, "motion", 48, PARAMS)
    assert features.dtype == np.float32
    assert features.shape == (3000, 48)
    assert np.abs(features).max() <= 1
    design = np.column_stack([np.ones(3000), features])
    fitted = design @ np.linalg.lstsq(design, videos.motion, rcond=None)[0]
    explained = np.corrcoef(fitted, videos.motion)[0, 1] ** 2
    assert 0.4 < explained < 0.95


def test_sigmoid() -> None:
    np.testing.assert_allclose(sigmoid(np.array([0.0, np.log(3)])), [0.5, 0.75])
