"""Network and CatBoost on one set of training videos, what they stand on, and what each forecasts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.multitask.boosting import predict_catboost
from vidpop_pipelines.pipelines.multitask.preparation import Preparation
from vidpop_pipelines.pipelines.multitask.targets import STAGE, VIEWS
from vidpop_pipelines.pipelines.tabular.catboost_pool import catboost_pool

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.multitask.network import MultitaskNetworks

# Videos per forward pass when forecasting; memory stays flat whatever the number of videos.
_CHUNK = 4096

# Target to member to (M,) values in link units, or (M, 3) probabilities of the stages.
Forecasts = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Members:
    """Models fitted on the same training videos.

    Attributes:
        preparation: Features, trend, units.
        network: The networks with their final weights.
        catboost: Target to its CatBoost model.
    """

    preparation: Preparation
    network: "MultitaskNetworks"
    catboost: dict[str, Any]

    def forecast(self, videos: pd.DataFrame) -> Forecasts:
        """Forecasts M validated videos.

        Returns:
            Target to member: `network`, `catboost`, and the trivial baselines: `median` (of views also `trend`),
            for the stage `prior`, the shares of the training rows.
        """
        preparation = self.preparation
        matrix = preparation.features.transform(videos)
        by_network = forecast_network(self.network, preparation.network_inputs(matrix))
        expected = preparation.expected_views(matrix)
        pool = catboost_pool(matrix, categorical_columns(preparation))
        forecasts: Forecasts = {}
        for name in preparation.targets:
            by_catboost = predict_catboost(self.catboost[name], name, pool)
            if name == STAGE:
                prior = np.tile(preparation.stage_shares, (len(videos), 1))
                forecasts[name] = {"network": by_network[name], "catboost": by_catboost, "prior": prior}
                continue
            start = expected if name == VIEWS else preparation.centres[name]
            forecasts[name] = {
                "network": by_network[name][:, 0],
                "catboost": start + preparation.scales[name] * by_catboost[:, 0],
                "median": np.full(len(videos), preparation.medians[name]),
            }
        forecasts[VIEWS]["trend"] = expected
        return forecasts

    def save(self, folder: Path) -> None:
        """Writes preparation, `network.json`, `network.safetensors` and one file per CatBoost; no pickle."""
        from safetensors.torch import save_model

        self.preparation.save(folder)
        (folder / "network.json").write_text(json.dumps(self.network.settings.to_dict()))
        save_model(self.network, str(folder / "network.safetensors"))
        for name, model in self.catboost.items():
            model.save_model(str(folder / f"catboost.{name}.cbm"))

    @classmethod
    def load(cls, folder: Path) -> "Members":
        """Reads what `save` wrote."""
        from catboost import CatBoostClassifier, CatBoostRegressor
        from safetensors.torch import load_model

        from vidpop_pipelines.pipelines.multitask.network import MultitaskNetworks, NetworkConfig

        preparation = Preparation.load(folder)
        network = MultitaskNetworks(NetworkConfig(**json.loads((folder / "network.json").read_text())))
        load_model(network, folder / "network.safetensors")
        catboost = {}
        for name in preparation.targets:
            model = CatBoostClassifier() if name == STAGE else CatBoostRegressor()
            catboost[name] = model.load_model(str(folder / f"catboost.{name}.cbm"))
        return cls(preparation, network.eval(), catboost)


def forecast_network(network: "MultitaskNetworks", inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the (M, C) float64 forecasts of each target, in chunks and in evaluation mode.

    Link units; of the stage the probabilities.
    """
    import torch

    from vidpop_pipelines.pipelines.multitask.network import column_slices

    network.eval()
    slices = column_slices(network.settings.targets)
    device = next(network.parameters()).device
    n_videos = len(inputs["offset"])
    logits = np.zeros((n_videos, max(part.stop for part in slices.values())))
    with torch.inference_mode():
        for start in range(0, n_videos, _CHUNK):
            rows = slice(start, start + _CHUNK)
            batch = {name: torch.from_numpy(values[rows]).to(device) for name, values in inputs.items()}
            logits[rows] = network(**batch)["logits"].double().cpu().numpy()
    forecasts = {name: logits[:, part] for name, part in slices.items()}
    if STAGE in forecasts:
        probabilities = np.exp(forecasts[STAGE])
        forecasts[STAGE] = probabilities / probabilities.sum(axis=1, keepdims=True)
    return forecasts


def categorical_columns(preparation: Preparation) -> list[int]:
    """Returns the numbers of the categorical features."""
    names = preparation.features.names
    return [names.index(name) for name in preparation.features.categorical]
