import langid
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.texts import BADGES, _shuffle, compose_texts
from vidpop_pipelines.pipelines.sample_data.universe import draw_videos
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES, LANGUAGES

PARAMS = SampleDataParameters()


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    return draw_videos(PARAMS)


@pytest.fixture(scope="module")
def texts(videos: pd.DataFrame) -> pd.DataFrame:
    return compose_texts(videos, PARAMS)


def test_vocabulary_is_complete() -> None:
    assert len({language.code for language in LANGUAGES}) == len(LANGUAGES) >= 8
    assert sum(language.share for language in LANGUAGES) == pytest.approx(1)
    for language in LANGUAGES:
        assert len(language.words) == len(CATEGORIES)
        assert {len(words) for words in language.words} == {5}
        assert len(language.hooks) == len(LANGUAGES[0].hooks)
        assert all("{a}" in template and "{hook}" in template for template in language.templates)


def test_titles_are_in_the_language_of_their_channel(videos: pd.DataFrame, texts: pd.DataFrame) -> None:
    codes = videos.language.map(lambda index: LANGUAGES[index].code)
    detected = texts.title.map(lambda title: langid.classify(title)[0])
    assert codes.nunique() == len(LANGUAGES)
    assert (codes == detected).mean() > 0.9


def test_wording_shows_in_hook_badge_and_number_of_tags(videos: pd.DataFrame, texts: pd.DataFrame) -> None:
    hook_rank = [
        next(rank for rank, hook in enumerate(LANGUAGES[language].hooks) if hook.lower() in title.lower())
        for language, title in zip(videos.language, texts.title, strict=True)
    ]
    badge_rank = texts.title.map(
        lambda title: max(r for r, badge in enumerate(BADGES) if title.endswith(badge))
    )
    for shown in (hook_rank, badge_rank, texts.tags.str.len()):
        assert 0.6 < np.corrcoef(shown, videos.wording)[0, 1] < 0.98


def test_tags_and_description_are_about_the_topic(videos: pd.DataFrame, texts: pd.DataFrame) -> None:
    for language, topic, tags, description in zip(
        videos.language, videos.category, texts.tags, texts.description, strict=True
    ):
        words = LANGUAGES[language].words[topic]
        assert len(tags) == len(set(tags)) >= 1
        assert tags[0] in words
        assert sum(word in description for word in words) >= 3


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4))
def test_shuffle_keeps_every_word(uniform: list[float]) -> None:
    assert sorted(_shuffle(tuple("abcde"), uniform)) == list("abcde")


def test_shuffle_by_hand() -> None:
    # Draws of 0 swap the last remaining place with the first: abcd -> dbca -> cbda -> bcda.
    assert _shuffle(tuple("abcd"), [0.0, 0.0, 0.0]) == list("bcda")
