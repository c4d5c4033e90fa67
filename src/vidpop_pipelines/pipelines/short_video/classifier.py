"""The trained classifier of short videos: backbone, adapters, calibration, intervals, and its baselines."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.calibration import TemperatureScaling
from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.features.video import FrameOptions
from vidpop_pipelines.pipelines.short_video.inputs import InputMaker, load_inputs
from vidpop_pipelines.pipelines.short_video.parameters import BackboneOptions

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.short_video.frames import Frames

# Value of `backbone.model` for the small network that is built on the spot.
TINY = "tiny"


@dataclass(frozen=True)
class TrainedNetwork:
    """A backbone with trained adapters and head.

    Attributes:
        architecture: `timesformer` or `smolvlm2`.
        backbone: How it was made.
        source: Where the backbone is: an id on the hub, or a folder.
        precision: What it computes in.
        inputs: Makes its inputs.
        model: The PEFT model.
        batch_size: Videos per forward pass.
    """

    architecture: str
    backbone: BackboneOptions
    source: str
    precision: str
    inputs: InputMaker
    model: Any
    batch_size: int

    def logits(self, frames: "Frames", rows: np.ndarray) -> np.ndarray:
        """Returns the (B,) log odds of `popular` of some videos, in batches and in evaluation mode."""
        import torch

        self.model.eval()
        device = next(self.model.parameters()).device
        reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        answers = []
        for start in range(0, len(rows), self.batch_size):
            batch = self.inputs(frames, rows[start : start + self.batch_size])
            tensors = {name: torch.from_numpy(values).to(device) for name, values in batch.items()}
            with torch.inference_mode(), torch.autocast(device.type, reduced, enabled=reduced is not None):
                logits = self.model(**tensors)["logits"].float().cpu().numpy()
            answers.append(logits[:, 1] - logits[:, 0])
        return np.concatenate(answers) if answers else np.zeros(0, np.float32)


@dataclass(frozen=True)
class ShortVideoClassifier:
    """Tells how probably a video is popular.

    Attributes:
        name: Name of the pipeline.
        network: The trained network.
        frames: Which frames of a video it sees.
        scaling: Calibrates its logits; None where there were no rows to calibrate on.
        intervals: Split-conformal intervals of the label (0 or 1) around the probability; None where rows were too few.
        boosting: The LightGBM baseline on frame and file statistics.
        popular_share: Share of popular videos among the labelled training videos: the trivial baseline.
        thresholds: Raw metric below (`low`) and above (`high`) which videos are labelled.
        protocol: Split protocol of the training.
        data_fingerprint: Digest of the training data.
    """

    name: str
    network: TrainedNetwork
    frames: FrameOptions
    scaling: TemperatureScaling | None
    intervals: ConformalIntervals | None
    boosting: Any
    popular_share: float
    thresholds: dict[str, float]
    protocol: str
    data_fingerprint: str

    def probabilities(self, frames: "Frames", rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `y_pred`, `lower`, `upper` and the uncalibrated `network` of some videos, (B,) each."""
        logits = self.network.logits(frames, rows)
        y_pred = (self.scaling or TemperatureScaling()).apply(logits)
        lower, upper = interval_bounds(self.intervals, y_pred)
        return {
            "y_pred": y_pred,
            "lower": lower,
            "upper": upper,
            "network": TemperatureScaling().apply(logits),
        }

    def baselines(self, statistics: pd.DataFrame) -> dict[str, np.ndarray]:
        """Returns the probabilities of the baselines `boosting` and `majority`, (B,) each."""
        return {
            "boosting": self.boosting.predict(statistics.to_numpy(np.float64)),
            "majority": np.full(len(statistics), self.popular_share),
        }

    def save(self, folder: Path) -> None:
        """Writes `config.json`, adapters and head, processor and LightGBM model; no pickle.

        A tiny backbone is written too; any other one is found again by its id or folder.
        """
        from vidpop_pipelines.pipelines.short_video.model import save_adapters

        save_adapters(self.network.model, folder)
        self.network.inputs.save(folder / "processor")
        if self.network.backbone.model == TINY:
            shutil.copytree(self.network.source, folder / "backbone")
        self.boosting.save_model(str(folder / "boosting.txt"))
        config = {
            "model_type": "short_video_classifier",
            "name": self.name,
            "architecture": self.network.architecture,
            "backbone": self.network.backbone.model_dump(),
            "precision": self.network.precision,
            "batch_size": self.network.batch_size,
            "frames": self.frames.model_dump(),
            "temperature": self.scaling.temperature if self.scaling else None,
            "intervals": self.intervals.to_dict() if self.intervals else None,
            "popular_share": self.popular_share,
            "thresholds": self.thresholds,
            "protocol": self.protocol,
            "data_fingerprint": self.data_fingerprint,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "ShortVideoClassifier":
        """Reads what `save` wrote, onto a backbone that is loaded anew.

        Raises:
            InputError: If the backbone is not where it was.
        """
        import lightgbm

        from vidpop_pipelines.pipelines.short_video.model import add_adapters, load_adapters, load_backbone

        config = json.loads((folder / "config.json").read_text())
        options = BackboneOptions(**config["backbone"])
        source = str(folder / "backbone") if options.model == TINY else options.model
        architecture, precision = config["architecture"], precision_here(config["precision"])
        model = add_adapters(load_backbone(architecture, source, options, precision), options)
        load_adapters(model, folder)
        network = TrainedNetwork(
            architecture=architecture,
            backbone=options,
            source=source,
            precision=precision,
            inputs=load_inputs(architecture, folder / "processor", options),
            model=model.eval(),
            batch_size=config["batch_size"],
        )
        temperature, intervals = config["temperature"], config["intervals"]
        return cls(
            name=config["name"],
            network=network,
            frames=FrameOptions(**config["frames"]),
            scaling=TemperatureScaling(temperature) if temperature else None,
            intervals=ConformalIntervals.from_dict(intervals) if intervals else None,
            boosting=lightgbm.Booster(model_file=str(folder / "boosting.txt")),
            popular_share=config["popular_share"],
            thresholds=config["thresholds"],
            protocol=config["protocol"],
            data_fingerprint=config["data_fingerprint"],
        )


def interval_bounds(
    intervals: ConformalIntervals | None, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns lower and upper bounds of the label around its probability, (B,) each; NaN without intervals.

    The label 1 is inside exactly where the conformal prediction set of the video has class 1, and 0 likewise.
    """
    if intervals is None:
        return np.full(len(probability), np.nan), np.full(len(probability), np.nan)
    lower, upper = intervals.apply(probability[:, None], minimum=0.0)
    return lower[:, 0], np.minimum(upper[:, 0], 1.0)


def precision_here(trained: str) -> str:
    """Returns the precision to compute in on this machine: the one of the training, but fp16 only on a GPU."""
    import torch

    return "fp32" if trained == "fp16" and not torch.cuda.is_available() else trained


def resolve_local(source: str) -> str:
    """Returns a folder as an absolute path, so that the model finds it again, and an id on the hub as it is.

    Raises:
        InputError: If a path is given that is no folder.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if source.startswith((".", "/", "~")):
        raise InputError(f"{source}: no such folder.", "a folder as `save_pretrained` writes it")
    return source
