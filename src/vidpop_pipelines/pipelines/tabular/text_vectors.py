"""Texts of a table as short dense vectors: TF-IDF and truncated SVD, fitted on training rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# What the SVD sees: more rows hardly move its directions, and its time and memory stop growing.
_SVD_ROWS = 20_000
_MAX_TERMS = 20_000
# The start of a description, which is what viewers see; what follows is mostly links and boilerplate.
_MAX_CHARACTERS = 1_000

# One block each: (name, column, analyzer of scikit-learn's TfidfVectorizer, n-gram range, token pattern).
# Characters within words serve any language, also those without spaces.
_BLOCKS = (
    ("title_words", "title", "word", (1, 2), r"(?u)\w+"),
    ("title_characters", "title", "char_wb", (2, 4), r"(?u)\w+"),
    ("tags", "tags", "word", (1, 1), r"[^|]+"),
    ("description_words", "description", "word", (1, 1), r"(?u)\w+"),
)
BLOCK_NAMES = [name for name, *_ in _BLOCKS]

# The only types that a saved file may hold; whatever else a file asks for is refused.
_TRUSTED = ["scipy.sparse._csr.csr_matrix"]


@dataclass(frozen=True)
class TextVectors:
    """TF-IDF and SVD of every text column that has any text.

    Attributes:
        blocks: Name of the block to its vectorizer and SVD.
    """

    blocks: dict[str, tuple[Any, Any]]

    @classmethod
    def fit(cls, videos: pd.DataFrame, n_components: int, seed: int) -> "TextVectors":
        """Fits vocabularies, weights and directions on the training rows.

        Args:
            videos: N validated training videos.
            n_components: Size of each block's vectors, fewer where a block has fewer terms.
            seed: Of the SVD.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        blocks = {}
        chosen = np.random.default_rng(seed).permutation(len(videos))[:_SVD_ROWS]
        for name, column, analyzer, ngram_range, token_pattern in _BLOCKS:
            texts = _texts(videos[column])
            if texts[texts.str.contains(r"\w")].nunique() < 2:
                continue  # nothing to tell videos apart by
            vectorizer = TfidfVectorizer(
                analyzer=analyzer,
                ngram_range=ngram_range,
                token_pattern=token_pattern if analyzer == "word" else None,
                max_features=_MAX_TERMS,
                sublinear_tf=True,
                dtype=np.float32,
            )
            vectorizer.fit(texts)
            # Python's integers: skops would write each of NumPy's to a file of its own.
            vectorizer.vocabulary_ = {term: int(number) for term, number in vectorizer.vocabulary_.items()}
            n_found = min(n_components, len(vectorizer.vocabulary_) - 1)
            if n_found < 1:
                continue
            svd = TruncatedSVD(n_found, random_state=seed)
            blocks[name] = (vectorizer, svd.fit(vectorizer.transform(texts.iloc[np.sort(chosen)])))
        return cls(blocks)

    @property
    def names(self) -> list[str]:
        """Names of the features: `<block>_<number>`."""
        return [f"{name}_{number}" for name, (_, svd) in self.blocks.items() for number in range(_width(svd))]

    def transform(self, videos: pd.DataFrame) -> np.ndarray:
        """Returns the vectors of M videos, (M, len(names)) float32; an empty text is all zeros."""
        parts = [np.zeros((len(videos), 0), np.float32)]
        columns = {name: column for name, column, *_ in _BLOCKS}
        for name, (vectorizer, svd) in self.blocks.items():
            parts.append(svd.transform(vectorizer.transform(_texts(videos[columns[name]]))))
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Writes one skops file per block."""
        import skops.io

        for name, parts in self.blocks.items():
            skops.io.dump(parts, folder / f"text.{name}.skops")

    @classmethod
    def load(cls, folder: Path, names: Iterable[str]) -> "TextVectors":
        """Reads the named blocks."""
        import skops.io

        return cls({name: skops.io.load(folder / f"text.{name}.skops", trusted=_TRUSTED) for name in names})


def _width(svd: Any) -> int:
    return svd.components_.shape[0]


def _texts(column: pd.Series) -> pd.Series:
    return column.str.slice(0, _MAX_CHARACTERS)
