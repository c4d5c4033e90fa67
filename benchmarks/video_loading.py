"""Whether the loader of cached frames keeps up with the tiny backbones: part of an epoch that is spent waiting for it.

The sample's clips are decoded into a cache; then both backbones are trained by the settings of conf/base. Batches are
read in the training process itself (no workers), so all the time in which they are made is time that the training
waits. The goal is at most a tenth of the epoch. Real backbones take hundreds of times longer per batch, and
read theirs in worker processes besides.

    python benchmarks/video_loading.py [--epochs 3]
"""

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
from vidpop_pipelines.datasets.raw_csv import RawCsvDataset
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.short_video import training
from vidpop_pipelines.pipelines.short_video.frames import decode_frames
from vidpop_pipelines.pipelines.short_video.labels import label_videos, split_videos
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoInstance, ShortVideoParameters
from vidpop_pipelines.pipelines.short_video.pipeline import INSTANCES
from vidpop_pipelines.pipelines.short_video.table import validate_training_table
from vidpop_pipelines.pipelines.short_video.tiny_models import build_tiny_model

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "01_raw" / "sample"
GOAL = 0.1


class EpochTimes:
    """Notes when each epoch ends, and how long batches took until then."""

    def __init__(self, reader: type["TimedReader"]):
        self.reader = reader
        self.marks: list[tuple[float, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.marks.append((time.perf_counter(), self.reader.seconds))


class TimedReader(training.LabelledBatches):
    """Reads batches, and adds up the seconds of all of them."""

    seconds = 0.0

    def __call__(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        batch = super().__call__(rows)
        TimedReader.seconds += time.perf_counter() - start
        return batch


def measure(name: str, tree: dict, parameters: ShortVideoParameters, epochs: int, folder: Path) -> dict:
    """Trains one backbone; returns seconds per epoch after the first, and those spent waiting."""
    instance = ShortVideoInstance(**tree)
    instance = instance.model_copy(
        update={"training": instance.training.model_copy(update={"epochs": epochs, "patience": None})}
    )
    raw = RawCsvDataset(str(SAMPLE / "short_video.csv")).load()
    listed, _, _ = validate_training_table(raw, SAMPLE / "videos", parameters)
    videos, frames, _ = decode_frames(
        listed, EmbeddingStore(folder / "frames"), instance, parameters, ComputeOptions()
    )
    labels, _ = label_videos(videos, split_videos(videos, None, parameters), parameters)
    source = build_tiny_model(name, instance.frames, parameters.seed, folder)
    training.LabelledBatches = TimedReader
    times = EpochTimes(TimedReader)
    training.train_network(
        frames, labels, str(source), parameters, instance, folder / "resume", folder / "epochs", times
    )
    (start, waited_before), (end, waited) = times.marks[0], times.marks[-1]
    n_epochs = len(times.marks) - 1
    seconds, waiting = (end - start) / n_epochs, (waited - waited_before) / n_epochs
    return {"epoch_seconds": seconds, "waiting_seconds": waiting, "waiting_share": waiting / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    tree = yaml.safe_load((ROOT / "conf/base/parameters/short_video.yml").read_text())
    parameters = ShortVideoParameters(**tree["short_video"] | {"csv": "", "videos": ""})
    results: dict = {"goal": GOAL}
    for name in INSTANCES:
        with TemporaryDirectory() as folder:
            found = results[name] = measure(name, tree[name], parameters, arguments.epochs, Path(folder))
        print(
            f"{name}: {found['waiting_seconds']:.3f} s of {found['epoch_seconds']:.2f} s per epoch spent waiting for"
            f" batches, {found['waiting_share']:.1%} (goal: at most {GOAL:.0%})"
        )
    path = ROOT / "benchmarks" / "results" / "video_loading.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2))
    if any(results[name]["waiting_share"] > GOAL for name in INSTANCES):
        sys.exit("The loader does not keep up.")


if __name__ == "__main__":
    main()
