"""The trained SMTPD forecaster: per fold a network, one CatBoost per day, blend weights and intervals."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.features.images import ImageEncoderOptions
from vidpop_pipelines.features.text import TextEncoderOptions
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.preprocessing import Preprocessing

if TYPE_CHECKING:
    from catboost import CatBoostRegressor
    from transformers import PreTrainedModel

# Videos per forward pass when forecasting; memory stays flat whatever the number of videos.
_CHUNK = 4096


@dataclass(frozen=True)
class FoldModels:
    """The models of one fold.

    Attributes:
        preprocessing: What was fitted on the fold's training rows.
        network: The network, with the weights of its best epoch.
        catboost: One model per forecast day, in their order.
        network_weight: (T,) share of the network in the blend.
        intervals: Split-conformal intervals of the blend; None where there were too few calibration rows.
    """

    preprocessing: Preprocessing
    network: "PreTrainedModel"
    catboost: list["CatBoostRegressor"]
    network_weight: np.ndarray
    intervals: ConformalIntervals | None


@dataclass(frozen=True)
class SmtpdForecaster:
    """Forecasts popularity curves; several folds are averaged.

    Attributes:
        folds: Models by test fold.
        modalities: Inputs that take part.
        visual_encoder: How thumbnails were encoded, and new ones have to be.
        text_encoder: The same for texts.
        protocol: Split protocol of the training.
        group_by: Column whose values were never in two folds; None for none.
        data_fingerprint: Digest of the training data.
    """

    folds: dict[int, FoldModels]
    modalities: list[str]
    visual_encoder: ImageEncoderOptions
    text_encoder: TextEncoderOptions
    protocol: str
    group_by: str | None
    data_fingerprint: str

    @property
    def days(self) -> list[int]:
        """The forecast days."""
        return next(iter(self.folds.values())).preprocessing.days

    @property
    def early_popularity(self) -> bool:
        """Whether day 1 is an input."""
        return next(iter(self.folds.values())).preprocessing.early_popularity

    def forecast(self, inputs: SmtpdInputs, rows: np.ndarray, fold: int) -> dict[str, np.ndarray]:
        """Forecasts some videos with one fold's models.

        Args:
            inputs: The videos.
            rows: Numbers of the wanted rows, (B,).
            fold: Whose models.

        Returns:
            (B, T) arrays: `y_pred`, `lower`, `upper` and the members `network`, `catboost`, `line`.
        """
        models = self.folds[fold]
        members = forecast_members(models, inputs, rows, self.modalities)
        blend = models.network_weight * members["network"] + (1 - models.network_weight) * members["catboost"]
        lower, upper = interval_bounds(models.intervals, blend, models.preprocessing.difficulty(inputs, rows))
        return {"y_pred": blend, "lower": lower, "upper": upper, **members}

    def forecast_mean(self, inputs: SmtpdInputs) -> dict[str, np.ndarray]:
        """Forecasts new videos: the mean over folds of each array of `forecast`."""
        rows = np.arange(len(inputs))
        forecasts = [self.forecast(inputs, rows, fold) for fold in self.folds]
        return {name: np.mean([forecast[name] for forecast in forecasts], axis=0) for name in forecasts[0]}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, and per fold network, preprocessing and CatBoost models; no pickle."""
        from safetensors.torch import save_model

        config: dict[str, Any] = {
            "model_type": "smtpd_forecaster",
            "modalities": self.modalities,
            "visual_encoder": self.visual_encoder.model_dump(),
            "text_encoder": self.text_encoder.model_dump(),
            "protocol": self.protocol,
            "group_by": self.group_by,
            "data_fingerprint": self.data_fingerprint,
            "folds": {},
        }
        for fold, models in self.folds.items():
            save_model(models.network, str(folder / f"model.fold_{fold}.safetensors"))
            models.preprocessing.save(folder, f"preprocessing.fold_{fold}")
            catboost = folder / f"catboost.fold_{fold}"
            catboost.mkdir()
            for day, model in zip(models.preprocessing.days, models.catboost, strict=True):
                model.save_model(str(catboost / f"day_{day:02d}.cbm"))
            config["folds"][fold] = {
                "network": models.network.config.to_diff_dict(),
                "network_weight": models.network_weight.tolist(),
                "intervals": models.intervals.to_dict() if models.intervals else None,
            }
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "SmtpdForecaster":
        """Reads what `save` wrote."""
        from catboost import CatBoostRegressor
        from safetensors.torch import load_model

        from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, build_network

        config = json.loads((folder / "config.json").read_text())
        folds = {}
        for name, stored in config["folds"].items():
            network = build_network(SmtpdConfig.from_dict(stored["network"]))
            load_model(network, folder / f"model.fold_{name}.safetensors")
            preprocessing = Preprocessing.load(folder, f"preprocessing.fold_{name}")
            files = [folder / f"catboost.fold_{name}" / f"day_{day:02d}.cbm" for day in preprocessing.days]
            folds[int(name)] = FoldModels(
                preprocessing=preprocessing,
                network=network.eval(),
                catboost=[CatBoostRegressor().load_model(str(file)) for file in files],
                network_weight=np.asarray(stored["network_weight"]),
                intervals=ConformalIntervals.from_dict(stored["intervals"]) if stored["intervals"] else None,
            )
        return cls(
            folds=folds,
            modalities=config["modalities"],
            visual_encoder=ImageEncoderOptions(**config["visual_encoder"]),
            text_encoder=TextEncoderOptions(**config["text_encoder"]),
            protocol=config["protocol"],
            group_by=config["group_by"],
            data_fingerprint=config["data_fingerprint"],
        )


def forecast_members(
    models: FoldModels, inputs: SmtpdInputs, rows: np.ndarray, modalities: list[str]
) -> dict[str, np.ndarray]:
    """Returns the (B, T) forecasts of network, CatBoost and line for some rows."""
    return {
        "network": forecast_network(models.network, models.preprocessing, inputs, rows),
        "catboost": forecast_catboost(models.catboost, models.preprocessing, inputs, rows, modalities),
        "line": models.preprocessing.line(inputs, rows),
    }


def forecast_network(
    network: "PreTrainedModel", preprocessing: Preprocessing, inputs: SmtpdInputs, rows: np.ndarray
) -> np.ndarray:
    """Returns the network's (B, T) forecast, in chunks and in evaluation mode."""
    import torch

    network.eval()
    read_batch = preprocessing.transform(inputs)
    chunks = []
    with torch.inference_mode():
        for start in range(0, len(rows), _CHUNK):
            batch = read_batch(rows[start : start + _CHUNK])
            del batch["labels"]
            tensors = {name: torch.from_numpy(array).to(network.device) for name, array in batch.items()}
            chunks.append(network(**tensors).logits.float().cpu().numpy())
    return np.concatenate(chunks) if chunks else np.zeros((0, len(preprocessing.days)), np.float32)


def forecast_catboost(
    models: list["CatBoostRegressor"],
    preprocessing: Preprocessing,
    inputs: SmtpdInputs,
    rows: np.ndarray,
    modalities: list[str],
) -> np.ndarray:
    """Returns the (B, T) forecast of the CatBoost models of all days."""
    table = preprocessing.table(inputs, rows, modalities)
    return np.column_stack([model.predict(table) for model in models]).astype(np.float32)


def interval_bounds(
    intervals: ConformalIntervals | None, forecast: np.ndarray, scale: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns lower and upper bounds; NaN where there are no intervals."""
    if intervals is None:
        return np.full_like(forecast, np.nan), np.full_like(forecast, np.nan)
    # No popularity score is negative.
    return intervals.apply(forecast, scale=scale, minimum=0.0)
