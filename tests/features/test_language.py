import langid
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.features import language
from vidpop_pipelines.features.language import LANGUAGES, detect_languages

TITLES = [
    "How to bake a cake in five minutes",
    "Wie man in fünf Minuten einen Kuchen backt",
    "Как испечь торт за пять минут",
    "如何在五分钟内烤蛋糕",
    "5分でケーキを焼く方法",
    "5분 만에 케이크를 굽는 방법",
    "पाँच मिनट में केक कैसे बनाएं",
    "كيف تخبز كعكة في خمس دقائق",
]


def test_finds_the_languages_of_known_titles():
    assert detect_languages(TITLES).tolist() == ["en", "de", "ru", "zh", "ja", "ko", "hi", "ar"]


def test_languages_are_those_of_the_model():
    assert list(LANGUAGES) == sorted(code for code, _ in langid.rank(""))


def test_missing_titles_have_no_language():
    assert detect_languages([None, "", "  ", np.nan, TITLES[0]]).tolist() == ["", "", "", "", "en"]
    assert detect_languages([]).shape == (0,)


def test_each_title_is_classified_once(monkeypatch):
    seen = []
    classify = language._classify
    monkeypatch.setattr(language, "_classify", lambda titles: seen.extend(titles) or classify(titles))
    assert detect_languages([TITLES[0], TITLES[1]] * 50).tolist() == ["en", "de"] * 50
    assert seen == TITLES[:2]


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=30))
def test_equals_langid_for_any_text(titles):
    expected = [langid.classify(title)[0] if title.strip() else "" for title in titles]
    assert detect_languages(titles).tolist() == expected
