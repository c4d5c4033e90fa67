"""From raw features to what the network reads: imputed, transformed and scaled as fitted on training rows alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpop_pipelines.features.reduction import nonzero
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import PreprocessingOptions, Step

if TYPE_CHECKING:
    from sklearn.preprocessing import QuantileTransformer

# Work goes through the data in blocks, so that memory does not grow with it.
_ROWS, _COLUMNS = 1024, 64
# Quantiles of RankGauss, as published.
_QUANTILES = 1000


@dataclass(frozen=True)
class ModalityPreprocessing:
    """Imputation and the steps of one modality.

    Attributes:
        steps: What is done, in this order.
        median: (width,) training median, in the place of NaN; 0 where a column has no value.
        fitted: Per step its arrays: `quantiles` (Q, width) and `references` (Q,) of `rank_gauss`, `mean` and
            `scale` (width,) of `standardise`, none of `l2`.
    """

    steps: list[Step]
    median: np.ndarray
    fitted: list[dict[str, np.ndarray]]

    @classmethod
    def fit(cls, values: np.ndarray, n_train: int, steps: list[Step]) -> "ModalityPreprocessing":
        """Fits on the first rows, and transforms all of them in place.

        Args:
            values: (N, width) float32, NaN where missing; may be memory-mapped.
            n_train: Number of training rows, which come first.
            steps: What to do.
        """
        median = np.concatenate([_median(values[:n_train, block]) for block in _blocks(values.shape[1])])
        _rewrite(values, lambda part: np.where(np.isnan(part), median, part))
        fitted = []
        for step in steps:
            arrays = _fit_step(step, values, n_train)
            # Bound at once: the loop goes on before a late-bound name is read.
            _rewrite(values, lambda part, step=step, arrays=arrays: _apply_step(step, arrays, part))
            fitted.append(arrays)
        return cls(steps, median, fitted)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Returns (B, width) float32 from raw features (B, width), NaN where missing."""
        values = np.where(np.isnan(values), self.median, values).astype(np.float32)
        for step, arrays in zip(self.steps, self.fitted, strict=True):
            values = _apply_step(step, arrays, values).astype(np.float32)
        return values

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns all that was fitted under flat names, for safetensors."""
        arrays = {"median": self.median}
        for position, fitted in enumerate(self.fitted):
            arrays |= {f"{position}.{name}": array for name, array in fitted.items()}
        return arrays

    @classmethod
    def from_arrays(cls, steps: list[Step], arrays: dict[str, np.ndarray]) -> "ModalityPreprocessing":
        """Rebuilds it from its steps and `to_arrays`."""
        fitted: list[dict[str, np.ndarray]] = [{} for _ in steps]
        for name, array in arrays.items():
            if name != "median":
                position, _, key = name.partition(".")
                fitted[int(position)][key] = array
        return cls(steps, arrays["median"], fitted)


@dataclass(frozen=True)
class Preprocessing:
    """What one fold's network needs to know about its training rows: one `ModalityPreprocessing` per modality."""

    modalities: dict[str, ModalityPreprocessing]

    @classmethod
    def fit(
        cls,
        inputs: MofaInputs,
        rows: np.ndarray,
        n_train: int,
        options: PreprocessingOptions,
        file: Path,
    ) -> tuple["Preprocessing", np.ndarray]:
        """Fits on training rows, and writes the transformed features of these and further rows to a file.

        Training reads them from there: private memory does not grow with the number of videos.

        Args:
            inputs: All videos.
            rows: (n,) row numbers, training rows first.
            n_train: Number of training rows.
            options: Steps of each modality.
            file: The `.npy` file to write.

        Returns:
            The fitted preprocessing, and the transformed features of `rows`, (n, all widths) float32, modalities
            side by side in the order of `inputs.modalities`, memory-mapped.
        """
        widths = inputs.widths
        shape = (len(rows), sum(widths.values()))
        features = np.lib.format.open_memmap(file, "w+", np.float32, shape)
        fitted, start = {}, 0
        for name, width in widths.items():
            values = features[:, start : start + width]
            for block in _blocks(len(rows), _ROWS):
                values[block] = inputs.read(name, rows[block])
            fitted[name] = ModalityPreprocessing.fit(values, n_train, options.steps(name))
            start += width
        return cls(fitted), features

    def transform(self, inputs: MofaInputs, rows: np.ndarray) -> np.ndarray:
        """Returns the features of some videos as the network reads them, (B, all widths) float32."""
        parts = [fitted.transform(inputs.read(name, rows)) for name, fitted in self.modalities.items()]
        return np.concatenate(parts, axis=1)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns all that was fitted under flat names; modalities are known by their position."""
        return {
            f"{position}.{key}": np.ascontiguousarray(array, np.float32)
            for position, fitted in enumerate(self.modalities.values())
            for key, array in fitted.to_arrays().items()
        }

    def to_dict(self) -> dict[str, list[Step]]:
        """Returns the steps of each modality, fit for JSON."""
        return {name: list(fitted.steps) for name, fitted in self.modalities.items()}

    @classmethod
    def from_dict(cls, steps: dict[str, list[Step]], arrays: dict[str, np.ndarray]) -> "Preprocessing":
        """Rebuilds it from `to_dict` and `to_arrays`."""
        parts: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            position, _, key = name.partition(".")
            parts.setdefault(position, {})[key] = array
        return cls(
            {
                name: ModalityPreprocessing.from_arrays(chosen, parts[str(position)])
                for position, (name, chosen) in enumerate(steps.items())
            }
        )


def _blocks(size: int, step: int = _COLUMNS) -> Iterator[slice]:
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def _rewrite(values: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replaces the rows of an array by a function of them, block by block."""
    for block in _blocks(len(values), _ROWS):
        values[block] = function(np.asarray(values[block]))


def _median(values: np.ndarray) -> np.ndarray:
    median = np.zeros(values.shape[1], np.float32)
    known = ~np.isnan(values)
    whole, some = known.all(axis=0), known.any(axis=0)
    median[whole] = np.median(values[:, whole], axis=0)
    # Much slower, hence only where it is needed.
    median[some & ~whole] = np.nanmedian(values[:, some & ~whole], axis=0)
    return median


def _fit_step(step: Step, values: np.ndarray, n_train: int) -> dict[str, np.ndarray]:
    if step == "l2":
        return {}
    blocks = [values[:n_train, block] for block in _blocks(values.shape[1])]
    if step == "standardise":
        statistics = [
            (part.mean(axis=0, dtype=np.float64), part.std(axis=0, dtype=np.float64)) for part in blocks
        ]
        mean, scale = (np.concatenate(part) for part in zip(*statistics, strict=True))
        return {"mean": mean.astype(np.float32), "scale": nonzero(scale).astype(np.float32)}
    transformers = [_fit_quantiles(part) for part in blocks]
    return {
        "quantiles": np.concatenate([part.quantiles_ for part in transformers], axis=1).astype(np.float32),
        "references": transformers[0].references_.astype(np.float32),
    }


def _fit_quantiles(values: np.ndarray) -> "QuantileTransformer":
    from sklearn.preprocessing import QuantileTransformer

    n_quantiles = min(_QUANTILES, len(values))
    return QuantileTransformer(
        n_quantiles=n_quantiles, output_distribution="normal", random_state=0, copy=False
    ).fit(np.array(values))


def _apply_step(step: Step, arrays: dict[str, np.ndarray], values: np.ndarray) -> np.ndarray:
    if step == "l2":
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return values / np.where(length > 0, length, 1)
    if step == "standardise":
        return (values - arrays["mean"]) / arrays["scale"]
    from sklearn.preprocessing import QuantileTransformer

    # Put together from its arrays: a fitted transformer could only be stored as a pickle.
    transformer = QuantileTransformer(output_distribution="normal")
    transformer.quantiles_, transformer.references_ = arrays["quantiles"], arrays["references"]
    transformer.n_quantiles_, transformer.n_features_in_ = arrays["quantiles"].shape
    return transformer.transform(values)
