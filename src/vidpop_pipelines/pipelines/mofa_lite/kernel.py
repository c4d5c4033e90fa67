"""Kernel regression over all modalities: a forecast from the training videos that are most similar.

Videos of one author share the features of that author. Trees, which cut one axis at a time, cannot isolate them;
a kernel with a very short length scale can, one with a long scale borrows from similar videos besides, and a
linear one does what ridge regression does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.features.reduction import VectorReduction
from vidpop_pipelines.pipelines.mofa_lite.parameters import KernelOptions

# Rows of the kernel matrix that are computed at a time.
_ROWS = 512
# Rows on which linear share and ridge are chosen: each candidate costs the cube of them.
_CHOICE_ROWS = 2000


@dataclass(frozen=True)
class KernelRegression:
    """Kernel ridge regression; the kernel is a mixture of exp(-distance / length scale) and a linear kernel.

    The means are taken over modalities, and of the former over length scales. Distances and products are those of
    the main directions of a modality, in units of its typical distance from the mean.

    Attributes:
        reductions: Main directions of each modality, scaled so that the typical distance is 1.
        length_scales: See `KernelOptions`.
        linear_share: Share of the linear kernel.
        ridge: The chosen ridge.
        vectors: (n, all components) reduced training rows, modalities side by side.
        coefficients: (n, T) weights of the training rows.
    """

    reductions: list[VectorReduction]
    length_scales: list[float]
    linear_share: float
    ridge: float
    vectors: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def fit(
        cls, features: np.ndarray, widths: list[int], targets: np.ndarray, options: KernelOptions, seed: int
    ) -> "KernelRegression":
        """Fits on training rows; linear share and ridge are those with the lowest leave-one-out error.

        Args:
            features: (n, sum of widths) preprocessed training rows.
            widths: Width of each modality.
            targets: (n, T) standardised targets.
            options: Components, length scales, candidates of share and ridge, rows at most.
            seed: Of the choice of rows and the SVD.
        """
        chosen = np.arange(len(features))
        if len(chosen) > options.max_rows:
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, options.max_rows, replace=False))
        reductions = [
            _fit_reduction(features[:, part], chosen, options.components, seed) for part in _parts(widths)
        ]
        vectors = _reduce(reductions, features[chosen], widths)
        reduced = [reduction.width for reduction in reductions]
        known = targets[chosen].astype(np.float32)
        share, ridge = _choose(vectors, known, reduced, options, seed)
        matrix = _kernel(vectors, vectors, reduced, share, options.length_scales)
        coefficients = _solve(matrix, known, ridge)
        return cls(reductions, options.length_scales, share, ridge, vectors, coefficients)

    def forecast(self, features: np.ndarray) -> np.ndarray:
        """Returns the (B, T) standardised forecast of preprocessed features (B, sum of widths)."""
        widths = [len(reduction.mean) for reduction in self.reductions]
        reduced = [reduction.width for reduction in self.reductions]
        forecasts = [np.zeros((0, self.coefficients.shape[1]), np.float32)]
        for start in range(0, len(features), _ROWS):
            vectors = _reduce(self.reductions, features[start : start + _ROWS], widths)
            kernel = _kernel(vectors, self.vectors, reduced, self.linear_share, self.length_scales)
            forecasts.append(kernel @ self.coefficients)
        return np.concatenate(forecasts)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays under flat names, for safetensors."""
        arrays = {"vectors": self.vectors, "coefficients": self.coefficients}
        for position, reduction in enumerate(self.reductions):
            arrays[f"{position}.mean"] = reduction.mean
            arrays[f"{position}.components"] = reduction.components
        return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}

    def to_dict(self) -> dict[str, object]:
        """Returns the plain numbers, fit for JSON."""
        return {
            "length_scales": self.length_scales,
            "linear_share": self.linear_share,
            "ridge": self.ridge,
            "n_modalities": len(self.reductions),
        }

    @classmethod
    def from_dict(cls, values: dict, arrays: dict[str, np.ndarray]) -> "KernelRegression":
        """Rebuilds it from `to_dict` and `to_arrays`."""
        reductions = [
            VectorReduction(arrays[f"{position}.mean"], arrays[f"{position}.components"])
            for position in range(values["n_modalities"])
        ]
        return cls(
            reductions,
            values["length_scales"],
            values["linear_share"],
            values["ridge"],
            arrays["vectors"],
            arrays["coefficients"],
        )


def _parts(widths: list[int]) -> Iterator[slice]:
    start = 0
    for width in widths:
        yield slice(start, start + width)
        start += width


def _fit_reduction(features: np.ndarray, rows: np.ndarray, components: int, seed: int) -> VectorReduction:
    reduction = VectorReduction.fit(Embeddings(features, rows), components, standardise=False, seed=seed)
    reduced = reduction.apply(Embeddings(features, rows), np.arange(len(rows)))
    typical = float(np.sqrt(np.mean(np.sum(reduced.astype(np.float64) ** 2, axis=1))))
    return VectorReduction(reduction.mean, reduction.components / (typical if typical > 0 else 1.0))


def _reduce(reductions: list[VectorReduction], features: np.ndarray, widths: list[int]) -> np.ndarray:
    rows = np.arange(len(features))
    parts = [
        reduction.apply(Embeddings(features[:, part], rows), rows)
        for reduction, part in zip(reductions, _parts(widths), strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _choose(
    vectors: np.ndarray, targets: np.ndarray, widths: list[int], options: KernelOptions, seed: int
) -> tuple[float, float]:
    """Returns the linear share and the ridge with the lowest leave-one-out error."""
    if len(vectors) > _CHOICE_ROWS:
        part = np.random.default_rng(seed).choice(len(vectors), _CHOICE_ROWS, replace=False)
        vectors, targets = vectors[part], targets[part]
    errors = {}
    for share in options.linear_shares:
        matrix = _kernel(vectors, vectors, widths, share, options.length_scales)
        for ridge in options.ridges:
            left_out = _leave_one_out(matrix, targets, ridge)
            errors[share, ridge] = float(np.mean((left_out - targets) ** 2))
    return min(errors, key=errors.get)


def _kernel(
    left: np.ndarray, right: np.ndarray, widths: list[int], linear_share: float, length_scales: list[float]
) -> np.ndarray:
    """Returns the kernel between two sets of reduced rows, (len(left), len(right)) float32."""
    kernel = np.zeros((len(left), len(right)), np.float32)
    share = (1 - linear_share) / (len(widths) * len(length_scales))
    for part in _parts(widths):
        # In float64, so that rows that are equal have distance zero: the shortest scale is about them.
        a, b = left[:, part].astype(np.float64), right[:, part].astype(np.float64)
        b_squared = np.einsum("ij,ij->i", b, b)
        for start in range(0, len(a), _ROWS):
            block = a[start : start + _ROWS]
            product = block @ b.T
            squared = np.einsum("ij,ij->i", block, block)[:, None] + b_squared - 2 * product
            distance = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
            rows = kernel[start : start + _ROWS]
            rows += (linear_share / len(widths) * product).astype(np.float32)
            for scale in length_scales:
                rows += share * np.exp(-distance / scale)
    return kernel


def _solve(matrix: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    """Returns the weights (n, T) that solve (matrix + ridge I) weights = targets."""
    from scipy.linalg import cho_factor, cho_solve

    return cho_solve(cho_factor(matrix + ridge * np.eye(len(matrix), dtype=matrix.dtype)), targets)


def _leave_one_out(matrix: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    """Returns the forecast of each row by all others, (n, T).

    The forecast of row i without row i has the closed form y_i - (A^-1 y)_i / (A^-1)_ii with A = K + ridge I
    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 5.12).
    """
    identity = np.eye(len(matrix), dtype=matrix.dtype)
    inverse = _solve(matrix, identity, ridge)
    return targets - inverse @ targets / inverse.diagonal()[:, None]
