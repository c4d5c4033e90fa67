"""Vectors of an encoder made small: centred and projected on their main directions, fitted on training rows."""

from dataclasses import dataclass

import numpy as np

from vidpop_pipelines.features.embeddings import Embeddings

# An SVD of some ten thousand vectors is as good as one of all, and its memory does not grow with the data.
_SVD_ROWS = 20_000


@dataclass(frozen=True)
class VectorReduction:
    """Centring and truncated SVD of one modality's vectors.

    Attributes:
        mean: (hidden_size,) training mean; a missing input takes its place, hence arrives as zeros.
        components: (hidden_size, n_components) projection, scaled to unit variance where standardised.
    """

    mean: np.ndarray
    components: np.ndarray | None

    @classmethod
    def fit(
        cls, embeddings: Embeddings, n_components: int | None, standardise: bool, seed: int
    ) -> "VectorReduction":
        """Fits on the vectors of the training rows (each as often as it occurs)."""
        from sklearn.utils.extmath import randomized_svd

        rows = embeddings.rows[embeddings.rows >= 0]
        hidden_size = embeddings.vectors.shape[1]
        if len(rows) > _SVD_ROWS:
            rows = np.random.default_rng(seed).choice(rows, _SVD_ROWS, replace=False)
        if not len(rows):
            width = hidden_size if n_components is None else min(n_components, hidden_size)
            return cls(
                np.zeros(hidden_size, np.float32),
                None if n_components is None else np.zeros((hidden_size, width), np.float32),
            )
        vectors = embeddings.vectors[np.sort(rows)].astype(np.float32)
        mean = vectors.mean(axis=0)
        if n_components is None:
            if not standardise:
                return cls(mean, None)
            return cls(mean, np.diag(1 / nonzero(vectors.std(axis=0))))
        width = min(n_components, hidden_size)
        found = min(width, len(vectors))
        _, singular, directions = randomized_svd(vectors - mean, n_components=found, random_state=seed)
        components = np.zeros((hidden_size, width), np.float32)
        scale = singular / np.sqrt(len(vectors)) if standardise else np.ones(found)
        # Directions without variance are noise of rounding: scaled up they would be noise of unit variance.
        useful = singular > 1e-4 * singular[0] if singular[0] > 0 else np.zeros(found, bool)
        components[:, :found][:, useful] = (directions[useful] / scale[useful, None]).T
        return cls(mean, components)

    @property
    def width(self) -> int:
        """Width of the reduced vectors."""
        return len(self.mean) if self.components is None else self.components.shape[1]

    def apply(self, embeddings: Embeddings, rows: np.ndarray) -> np.ndarray:
        """Returns the reduced vectors of some videos, (..., width) float32; zeros (the mean) where missing."""
        index = embeddings.rows[rows]
        known = index >= 0
        result = np.zeros((*index.shape, self.width), np.float32)
        vectors = embeddings.vectors[index[known]].astype(np.float32)
        if self.components is None:
            result[known] = vectors
            result[~known] = self.mean
        else:
            result[known] = (vectors - self.mean) @ self.components
        return result


def nonzero(scale: np.ndarray, *, constant: float = 1.0) -> np.ndarray:
    """Returns standard deviations to divide by; columns that are constant, but for rounding, get one of their own."""
    return np.where(scale > 1e-6, scale, constant)
