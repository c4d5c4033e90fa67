"""The trained MoFA-Lite forecaster: an ensemble of folds, blended, and its intervals."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.pipelines.mofa_lite.baselines import Baselines, RidgeRegression, raw_features
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.kernel import KernelRegression
from vidpop_pipelines.pipelines.mofa_lite.preprocessing import Preprocessing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Videos per forward pass; memory stays flat whatever their number.
_CHUNK = 2048


@dataclass(frozen=True)
class FoldModels:
    """The models of one fold; see `training.FoldNetwork` and `baselines.Baselines`."""

    preprocessing: Preprocessing
    network: "PreTrainedModel"
    baselines: Baselines

    def forecast(self, inputs: MofaInputs, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Forecasts some videos.

        Args:
            inputs: The videos.
            rows: Numbers of the wanted rows, (B,).

        Returns:
            (B, T) arrays by member: `network`, `lightgbm`, `ridge`, `mean` and, where there is one, `kernel`; and
            `attention` (B, M).
        """
        blocks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)] or [rows]
        parts = [self._forecast_block(inputs, block) for block in blocks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _forecast_block(self, inputs: MofaInputs, rows: np.ndarray) -> dict[str, np.ndarray]:
        import torch

        features, raw = self.preprocessing.transform(inputs, rows), raw_features(inputs, rows)
        mean, scale = (self.network.target_mean.cpu().numpy(), self.network.target_scale.cpu().numpy())
        self.network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(features).to(self.network.device)
            output = self.network(batch, output_attention=True)
        members = {}
        if self.baselines.kernel is not None:
            members["kernel"] = self.baselines.kernel.forecast(features) * scale + mean
        if len(rows):
            trees = np.column_stack([booster.predict(raw) for booster in self.baselines.lightgbm])
        else:
            trees = np.zeros((0, len(mean)))
        return members | {
            "network": output.logits.cpu().numpy(),
            "lightgbm": trees,
            "ridge": self.baselines.ridge.forecast(raw),
            "mean": np.tile(mean, (len(rows), 1)),
            "attention": output.attention.cpu().numpy(),
        }


@dataclass(frozen=True)
class MofaForecaster:
    """Forecasts log counts with the mean over the folds.

    Attributes:
        folds: Models by fold.
        widths: Numbers per video by modality, in the order in which the networks read them.
        targets: Names of the targets.
        shares: Share of each member in the blend, 1 in all.
        intervals: Split-conformal intervals of the ensemble, one width per target; None where there were no
            calibration rows.
        minimum: Smallest possible value: 0 for log counts that are never negative, else None.
        data_fingerprint: Digest of the training data.
    """

    folds: dict[int, FoldModels]
    widths: dict[str, int]
    targets: list[str]
    shares: dict[str, float]
    intervals: ConformalIntervals | None
    minimum: float | None
    data_fingerprint: str

    def forecast(
        self, inputs: MofaInputs, rows: np.ndarray, folds: list[int] | None = None
    ) -> dict[str, np.ndarray]:
        """Forecasts some videos with the mean over folds.

        Args:
            inputs: The videos, with the modalities of the training.
            rows: Numbers of the wanted rows, (B,).
            folds: Whose models; None for all.

        Returns:
            (B, T) arrays `y_pred`, `lower`, `upper` and the members; and `attention` (B, M).
        """
        chosen = self.folds if folds is None else {fold: self.folds[fold] for fold in folds}
        members: dict[str, np.ndarray] = {}
        for models in chosen.values():
            for name, values in models.forecast(inputs, rows).items():
                members[name] = members.get(name, 0) + values / len(chosen)
        forecast = sum(share * members[name] for name, share in self.shares.items())
        lower = upper = np.full_like(forecast, np.nan)
        if self.intervals is not None:
            lower, upper = self.intervals.apply(forecast, minimum=self.minimum)
        return {"y_pred": forecast, "lower": lower, "upper": upper, **members}

    def save(self, folder: Path) -> None:
        """Writes `config.json`, and per fold network, preprocessing, kernel and baselines; no pickle."""
        from safetensors.numpy import save_file
        from safetensors.torch import save_model

        config = {
            "model_type": "mofa_lite_forecaster",
            "widths": self.widths,
            "targets": self.targets,
            "shares": self.shares,
            "intervals": self.intervals.to_dict() if self.intervals else None,
            "minimum": self.minimum,
            "data_fingerprint": self.data_fingerprint,
            "folds": {},
        }
        for fold, models in self.folds.items():
            save_model(models.network, str(folder / f"model.fold_{fold}.safetensors"))
            save_file(models.preprocessing.to_arrays(), folder / f"preprocessing.fold_{fold}.safetensors")
            save_file(models.baselines.ridge.to_arrays(), folder / f"ridge.fold_{fold}.safetensors")
            if models.baselines.kernel is not None:
                save_file(models.baselines.kernel.to_arrays(), folder / f"kernel.fold_{fold}.safetensors")
            for target, booster in zip(self.targets, models.baselines.lightgbm, strict=True):
                booster.save_model(folder / f"lightgbm.fold_{fold}.{target}.txt")
            config["folds"][fold] = {
                "network": models.network.config.to_diff_dict(),
                "preprocessing": models.preprocessing.to_dict(),
                "kernel": models.baselines.kernel.to_dict() if models.baselines.kernel else None,
            }
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "MofaForecaster":
        """Reads what `save` wrote."""
        config = json.loads((folder / "config.json").read_text())
        intervals = config["intervals"]
        return cls(
            folds={
                int(fold): _load_fold(folder, fold, stored, config["targets"])
                for fold, stored in config["folds"].items()
            },
            widths=config["widths"],
            targets=config["targets"],
            shares=config["shares"],
            intervals=ConformalIntervals.from_dict(intervals) if intervals else None,
            minimum=config["minimum"],
            data_fingerprint=config["data_fingerprint"],
        )


def _load_fold(folder: Path, fold: str, stored: dict, targets: list[str]) -> FoldModels:
    from lightgbm import Booster
    from safetensors.numpy import load_file
    from safetensors.torch import load_model

    from vidpop_pipelines.pipelines.mofa_lite.model import MofaConfig, MofaNetwork

    def arrays(name: str) -> dict[str, np.ndarray]:
        return load_file(folder / f"{name}.fold_{fold}.safetensors")

    network = MofaNetwork(MofaConfig.from_dict(stored["network"]))
    load_model(network, folder / f"model.fold_{fold}.safetensors")
    kernel = None
    if stored["kernel"]:
        kernel = KernelRegression.from_dict(stored["kernel"], arrays("kernel"))
    boosters = [Booster(model_file=folder / f"lightgbm.fold_{fold}.{target}.txt") for target in targets]
    return FoldModels(
        preprocessing=Preprocessing.from_dict(stored["preprocessing"], arrays("preprocessing")),
        network=network.eval(),
        baselines=Baselines(boosters, RidgeRegression(**arrays("ridge")), kernel),
    )
