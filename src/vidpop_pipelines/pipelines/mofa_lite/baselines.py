"""What stands beside the network of a fold: LightGBM per target, Ridge, and kernel regression."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidpop_pipelines.features.reduction import nonzero
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.kernel import KernelRegression
from vidpop_pipelines.pipelines.mofa_lite.parameters import LightgbmOptions, MofaLiteParameters
from vidpop_pipelines.pipelines.mofa_lite.preprocessing import Preprocessing

if TYPE_CHECKING:
    from lightgbm import Booster


@dataclass(frozen=True)
class RidgeRegression:
    """Ridge on standardised features, written as one line in the raw features.

    Attributes:
        median: (D,) training median, in the place of NaN.
        coefficients: (D, T).
        intercept: (T,).
    """

    median: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "RidgeRegression":
        """Fits on training rows; the penalty is chosen by leave-one-out error.

        Args:
            features: (n, D) raw features, NaN where missing.
            targets: (n, T).
        """
        from sklearn.linear_model import RidgeCV

        missing = np.isnan(features)
        median = np.zeros(features.shape[1], np.float32)
        some = ~missing.all(axis=0)
        median[some] = np.nanmedian(features[:, some], axis=0)
        filled = np.where(missing, median, features)
        mean, scale = filled.mean(axis=0), nonzero(filled.std(axis=0))
        ridge = RidgeCV(alphas=np.logspace(0, 5, 11)).fit((filled - mean) / scale, targets)
        coefficients = ridge.coef_.reshape(targets.shape[1], -1).T / scale[:, None]
        return cls(median, coefficients, ridge.intercept_ - mean @ coefficients)

    def forecast(self, features: np.ndarray) -> np.ndarray:
        """Returns the (B, T) forecast of raw features (B, D)."""
        return np.where(np.isnan(features), self.median, features) @ self.coefficients + self.intercept

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by name, for safetensors."""
        arrays = {"median": self.median, "coefficients": self.coefficients, "intercept": self.intercept}
        return {name: np.ascontiguousarray(array, np.float64) for name, array in arrays.items()}


@dataclass(frozen=True)
class Baselines:
    """The baselines of one fold.

    Attributes:
        lightgbm: One model per target.
        ridge: All targets.
        kernel: All targets, standardised, on the preprocessed features; None where the blend does without.
    """

    lightgbm: list["Booster"]
    ridge: RidgeRegression
    kernel: KernelRegression | None


def raw_features(inputs: MofaInputs, rows: np.ndarray) -> np.ndarray:
    """Returns all modalities side by side as they are, (B, D) float32, NaN where missing."""
    return np.concatenate([inputs.read(name, rows) for name in inputs.modalities], axis=1)


def train_baselines(
    inputs: MofaInputs,
    rows: dict[str, np.ndarray],
    preprocessing: Preprocessing,
    parameters: MofaLiteParameters,
) -> Baselines:
    """Trains the baselines of one fold; runs in a worker process.

    Args:
        inputs: All videos.
        rows: Row numbers of `train` and `validation`; LightGBM stops early on the latter.
        preprocessing: Of the fold's network; for the kernel regression.
        parameters: Options, seed.
    """
    train, validation = (raw_features(inputs, rows[role]) for role in ("train", "validation"))
    targets, held_out = (inputs.targets[rows[role]] for role in ("train", "validation"))
    boosters = [
        _fit_lightgbm(
            train, targets[:, column], validation, held_out[:, column], parameters.lightgbm, parameters.seed
        )
        for column in range(targets.shape[1])
    ]
    kernel = None
    if "kernel" in parameters.blend:
        scale = nonzero(targets.std(axis=0, dtype=np.float64))
        kernel = KernelRegression.fit(
            preprocessing.transform(inputs, rows["train"]),
            list(inputs.widths.values()),
            (targets - targets.mean(axis=0, dtype=np.float64)) / scale,
            parameters.kernel,
            parameters.seed,
        )
    return Baselines(boosters, RidgeRegression.fit(train, targets), kernel)


def _fit_lightgbm(
    train: np.ndarray,
    target: np.ndarray,
    validation: np.ndarray,
    validation_target: np.ndarray,
    options: LightgbmOptions,
    seed: int,
) -> "Booster":
    import lightgbm

    settings = options.model_dump(exclude={"max_rounds", "early_stopping_rounds"})
    settings |= {"objective": "l2", "bagging_freq": 1, "seed": seed, "verbose": -1}
    # Folds run beside each other, so that one thread each keeps every core busy.
    settings |= {"num_threads": 1, "deterministic": True, "force_row_wise": True}
    # A column of an array is not contiguous, and would be copied with a warning.
    target, validation_target = np.ascontiguousarray(target), np.ascontiguousarray(validation_target)
    dataset = lightgbm.Dataset(train, target, params=settings)
    return lightgbm.train(
        settings,
        dataset,
        num_boost_round=options.max_rounds,
        valid_sets=[dataset.create_valid(validation, validation_target)],
        callbacks=[lightgbm.early_stopping(options.early_stopping_rounds, verbose=False)],
    )
