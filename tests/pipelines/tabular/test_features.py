"""The fitted features: nothing looks ahead, missing columns are no problem, what is saved is what was fitted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabular_videos import make_videos

from vidpop_pipelines.pipelines.tabular.features import TableFeatures

N_VIDEOS = 80


def fit(videos, n_components: int = 3) -> TableFeatures:
    return TableFeatures.fit(videos, n_components, seed=0)


@settings(max_examples=25)
@given(
    cut=st.integers(5, N_VIDEOS - 5),
    order=st.permutations(range(N_VIDEOS)),
    factor=st.floats(0.1, 1000, allow_nan=False),
)
def test_no_feature_depends_on_a_later_video(cut, order, factor):
    """Whatever is done to the videos after a moment, the features of those before stay."""
    videos = make_videos(N_VIDEOS)
    features = fit(videos)
    before = features.transform(videos.iloc[:cut])

    later = videos.iloc[cut:].assign(
        views=videos["views"].iloc[cut:] * factor, channel_id=videos["channel_id"].iloc[cut:].to_numpy()[::-1]
    )
    changed = videos.copy()
    changed.iloc[cut:] = later
    changed = changed.iloc[list(order)]
    surplus = np.log1p(changed["views"].to_numpy())
    refitted = type(features.history).fit(changed, surplus, surplus)
    original = type(features.history).fit(
        videos, np.log1p(videos["views"].to_numpy()), np.log1p(videos["views"].to_numpy())
    )
    asked = videos.iloc[:cut]
    np.testing.assert_allclose(refitted.transform(asked), original.transform(asked), atol=1e-9)
    # Nor does it matter which other videos are asked for at the same time.
    together = features.transform(changed)
    np.testing.assert_array_equal(together[np.argsort(order)][:cut], before)


def test_own_views_are_not_looked_at():
    videos = make_videos(N_VIDEOS)
    features = fit(videos)
    unknown = videos.assign(views=np.nan, likes=np.nan, comments=np.nan)
    np.testing.assert_array_equal(features.transform(videos), features.transform(unknown))


def test_saving_and_loading_gives_equal_features_without_pickle(tmp_path):
    videos = make_videos(N_VIDEOS)
    features = fit(videos)
    features.save(tmp_path)
    again = TableFeatures.load(tmp_path)
    assert again.names == features.names and again.categorical == features.categorical
    np.testing.assert_array_equal(features.transform(videos), again.transform(videos))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".skops"}


def test_a_table_without_texts_categories_and_channels_still_has_features(tmp_path):
    empty = dict.fromkeys(["title", "description", "tags", "categories", "channel_id", "definition"], "")
    videos = make_videos(N_VIDEOS).assign(**empty, subscribers=np.nan)
    features = fit(videos)
    assert features.text.names == [] and features.categorical == [] and features.category_weights == []
    assert features.transform(videos).shape == (N_VIDEOS, len(features.names))
    assert "log_duration_seconds" in features.names and "log_subscribers" not in features.names
    features.save(tmp_path)
    np.testing.assert_array_equal(TableFeatures.load(tmp_path).transform(videos), features.transform(videos))


def test_columns_without_text_come_first():
    videos = make_videos(N_VIDEOS)
    features = fit(videos)
    without = [features.names[column] for column in features.columns(text=False)]
    assert [*without, *features.text.names] == features.names
    # Every description is the same: nothing to tell videos apart by.
    assert set(features.text.blocks) == {"title_words", "title_characters", "tags"}


def test_unknown_categories_get_code_zero_and_weights_fall_with_position():
    videos = make_videos(N_VIDEOS)
    features = fit(videos)
    asked = videos.iloc[:2].assign(categories=["Unheard of", "Unheard of|Music"])
    values = features.transform(asked)
    assert (values[:, features.names.index("category")] == 0).all()
    assert values[:, features.names.index("category=Music")].tolist() == [0, 0.5]


def test_a_file_with_another_type_is_refused(tmp_path):
    import skops.io
    from sklearn.feature_extraction.text import TfidfVectorizer
    from skops.io.exceptions import UntrustedTypesFoundException

    features = fit(make_videos(N_VIDEOS))
    features.save(tmp_path)
    skops.io.dump((TfidfVectorizer(preprocessor=np.load),), tmp_path / "text.tags.skops")
    with pytest.raises(UntrustedTypesFoundException, match="load"):
        TableFeatures.load(tmp_path)
