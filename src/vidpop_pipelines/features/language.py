"""Language of a title, found once instead of in every forward pass."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from langid.langid import LanguageIdentifier


# What langid tells apart, ISO 639-1. Written out so that a network can count its languages without the second
# that loading langid's model takes, and so that an index means the same language in every version.
# fmt: off
LANGUAGES: tuple[str, ...] = (
    "af", "am", "an", "ar", "as", "az", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de",
    "dz", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "ga", "gl", "gu", "he", "hi",
    "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky",
    "la", "lb", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "nb", "ne", "nl", "nn",
    "no", "oc", "or", "pa", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "se", "si", "sk", "sl", "sq",
    "sr", "sv", "sw", "ta", "te", "th", "tl", "tr", "ug", "uk", "ur", "vi", "vo", "wa", "xh", "zh",
    "zu",
)
# fmt: on


def detect_languages(titles: Sequence[str | None]) -> np.ndarray:
    """Finds the language of each title, as ``langid.classify`` would.

    Args:
        titles: (n,) strings; None, NaN and blank ones have no language.

    Returns:
        (n,) strings: ISO 639-1 codes out of `LANGUAGES`, "" where there is no title.
    """
    codes, unique = pd.factorize(np.asarray(titles, dtype=object))
    languages = np.full(len(unique) + 1, "", dtype="<U3")  # the last one serves code -1, a missing title
    filled = [index for index, title in enumerate(unique) if title.strip()]
    for start in range(0, len(filled), 1000):
        chunk = filled[start : start + 1000]
        languages[chunk] = _classify([unique[index] for index in chunk])
    return languages[codes]


def _classify(titles: list[str]) -> np.ndarray:
    # langid multiplies its dense table of 7,480 features with each title by itself; most are zero.
    from scipy.sparse import csr_array

    identifier = _identifier()
    counts = csr_array(np.stack([identifier.instance2fv(title) for title in titles]).astype(np.float64))
    scores = counts @ identifier.nb_ptc.astype(np.float64) + identifier.nb_pc
    return np.array(identifier.nb_classes)[scores.argmax(axis=1)]


@cache
def _identifier() -> "LanguageIdentifier":
    # Unpacking the model takes a second. An instance of our own: the module's one can be narrowed by others.
    from langid.langid import LanguageIdentifier, model

    return LanguageIdentifier.from_modelstring(model)
