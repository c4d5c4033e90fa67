"""How fast the published SMTPD network trains: one step, and a first run of 20 epochs with encoding.

Step: batch 64, 29 days, the published network as plain modules per step with `Adam(fused=True)` against the
network and the training settings of this project. Turns alternate, so that other work on the machine slows
all of them; the fastest step of each counts, since other work can only add to it.

First run: the published code encodes every batch anew in every epoch, training and validation alike (frozen
ResNet-101 and mBERT in float32, five texts padded to 64 tokens). One such epoch is run on a few batches and
taken times 20. Here the inputs are encoded once and the network is trained for 20 epochs, all of it run.
Encoders have full size and random weights. Both times grow in proportion to the videos, except that here
writing a checkpoint per epoch costs the same for few videos as for many: on more the ratio is higher.

    python benchmarks/train_smtpd.py [--samples 192] [--turns 12]
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
import torch
from encode import BATCH_SIZE, Ours, Published, make_videos, save_bert, save_pictures, save_resnet
from per_step_network import per_step_copy

from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdNetwork
from vidpop_pipelines.training.batches import BatchDataset
from vidpop_pipelines.training.memory import reused_buffers
from vidpop_pipelines.training.options import TrainingOptions
from vidpop_pipelines.training.precision import choose_precision
from vidpop_pipelines.training.trainer import train

ROOT = Path(__file__).parents[1]
EPOCHS = 20  # published
N_DAYS = 29
STEP_GOAL, STEP_AIM, RUN_GOAL = 1.0, 1.4, 40.0


def make_features(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns random inputs beside the encoded ones, and curves with some missing days."""
    curves = 8 + rng.normal(size=(n, N_DAYS)).cumsum(axis=1)
    curves[rng.random(curves.shape) < 0.02] = np.nan
    return {
        "numerical": rng.normal(size=(n, 6)).astype(np.float32),
        "category": rng.integers(0, 16, n),
        "language": rng.integers(0, 7, n),
        "labels": curves.astype(np.float32),
    }


def step_function(
    network: SmtpdNetwork, batch: dict[str, torch.Tensor], *, fused: bool, precision: str
) -> Callable[[], None]:
    """Returns one training step: forward, backward, clipping, Adam."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-3, fused=fused)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = network(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def race_steps(n_turns: int) -> dict[str, list[float]]:
    """Returns the seconds of the steps of each variant."""
    rng = np.random.default_rng(0)
    arrays = make_features(BATCH_SIZE, rng)
    arrays["visual"] = rng.normal(size=(BATCH_SIZE, 2048)).astype(np.float32)
    arrays["text"] = rng.normal(size=(BATCH_SIZE, 5, 768)).astype(np.float32)
    batch = {name: torch.from_numpy(values) for name, values in arrays.items()}
    network = SmtpdNetwork(SmtpdConfig())
    precision = choose_precision("auto")
    # The plain modules run with the memory settings of a plain program, ours with those of `train`.
    variants = {
        "modules per step, Adam": (per_step_copy(network), False, "fp32", nullcontext),
        "modules per step, Adam(fused=True)": (per_step_copy(network), True, "fp32", nullcontext),
        "here, fp32": (SmtpdNetwork(network.config), True, "fp32", reused_buffers),
        f"here, precision auto ({precision})": (network, True, precision, reused_buffers),
    }
    steps = {
        name: (step_function(net, batch, fused=fused, precision=kind), settings)
        for name, (net, fused, kind, settings) in variants.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(n_turns):
        for name, (step, settings) in steps.items():
            with settings():
                step()  # memory and caches belong to the previous turn
                step()
                for _ in range(4):
                    start = time.perf_counter()
                    step()
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def published_epoch(
    videos: pd.DataFrame,
    paths: list[Path],
    features: dict[str, np.ndarray],
    published: Published,
    n_train: int,
) -> float:
    """Returns the seconds of one epoch of the published procedure: encode and train, encode and validate."""
    network = per_step_copy(SmtpdNetwork(SmtpdConfig()))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-3)
    start = time.perf_counter()
    for first in range(0, len(videos), BATCH_SIZE):
        rows = slice(first, min(first + BATCH_SIZE, len(videos)))
        texts = np.stack([published.encode_texts(videos[name][rows]) for name in videos], axis=1)
        encoded = {"visual": published.encode_images(paths[rows]), "text": texts}
        batch = encoded | {name: values[rows] for name, values in features.items()}
        network.train(first < n_train)
        with torch.set_grad_enabled(network.training):
            loss = network(**{name: torch.from_numpy(values) for name, values in batch.items()}).loss
        if network.training:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - start


def our_run(
    videos: pd.DataFrame, paths: list[Path], features: dict[str, np.ndarray], ours: Ours, n_train: int
) -> dict[str, float]:
    """Returns the seconds of encoding everything once and of training all epochs."""
    start = time.perf_counter()
    texts, images = ours.encode_texts(videos), ours.encode_images(paths)
    encoded = time.perf_counter()

    def read_batch(rows: np.ndarray) -> dict[str, np.ndarray]:
        visual = images.vectors[images.rows[rows]].astype(np.float32)
        text = texts.vectors[texts.rows[rows]].astype(np.float32)
        text[texts.rows[rows] < 0] = 0
        return {"visual": visual, "text": text, **{name: values[rows] for name, values in features.items()}}

    train(
        SmtpdNetwork(SmtpdConfig()),
        BatchDataset(np.arange(n_train), read_batch),
        BatchDataset(np.arange(n_train, len(videos)), read_batch),
        TrainingOptions(epochs=EPOCHS, batch_size=BATCH_SIZE),
        seed=0,
        compute_metrics=lambda forecast, truth: {"mae": float(np.nanmean(np.abs(forecast - truth)))},
        monitor="mae",
        fingerprint="benchmark",
    )
    return {"encoding": encoded - start, "training": time.perf_counter() - encoded}


def race_runs(n: int) -> dict[str, float]:
    """Returns the seconds of a published epoch (before and after ours) and of our first and second run."""
    videos, features = make_videos(n, random.Random(0)), make_features(n, np.random.default_rng(0))
    n_train = max(BATCH_SIZE, 3 * n // 4 // BATCH_SIZE * BATCH_SIZE)
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = save_pictures(folder, n)
        save_bert(folder / "bert", videos.to_numpy(object)[videos.notna().to_numpy()].tolist())
        save_resnet(folder / "resnet101.safetensors")
        models = folder / "bert", folder / "resnet101.safetensors"
        published, ours = Published(*models), Ours(*models, folder / "stores")
        for encoder in (published, Ours(*models, folder / "warm_up")):
            encoder.encode_texts(videos["title"][:2])
            encoder.encode_images(paths[:2])
        before = published_epoch(videos, paths, features, published, n_train)
        first = our_run(videos, paths, features, ours, n_train)
        after = published_epoch(videos, paths, features, published, n_train)
        second = our_run(videos, paths, features, ours, n_train)
    return {
        "published_epoch": (before + after) / 2,
        "published_run": EPOCHS * (before + after) / 2,
        "first_run": sum(first.values()),
        "second_run": sum(second.values()),
        **first,
    }


def verdict(value: float, goal: float) -> str:
    return "reached" if value >= goal else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=192, help="videos of the first run")
    parser.add_argument("--turns", type=int, default=12, help="turns of the step race")
    arguments = parser.parse_args()

    steps = race_steps(arguments.turns)
    baseline = min(steps["modules per step, Adam(fused=True)"])
    print(f"\nTraining step, batch {BATCH_SIZE}, {N_DAYS} days, {os.cpu_count()} cores: fastest and median")
    ratios = {}
    for name, seconds in steps.items():
        ratios[name] = baseline / min(seconds)
        print(f"{name:40}{min(seconds):8.4f} s{np.median(seconds):8.4f} s{ratios[name]:7.2f} x")
    ratio = list(ratios.values())[-1]
    goals = [f"{value} {verdict(ratio, value)}" for value in (STEP_GOAL, STEP_AIM)]
    print(f"goal: at least {goals[0]}, aim {goals[1]}")

    runs = race_runs(arguments.samples)
    run_ratio = runs["published_run"] / runs["first_run"]
    print(f"\n{EPOCHS} epochs of {arguments.samples} videos, encoding included")
    epoch = f"{EPOCHS} times an epoch of {runs['published_epoch']:.1f} s"
    print(f"published {runs['published_run']:9.1f} s   {epoch}")
    parts = f"encoding {runs['encoding']:.1f} s, training {runs['training']:.1f} s"
    print(f"here      {runs['first_run']:9.1f} s   {parts}")
    print(f"ratio     {run_ratio:9.1f}     goal: at least {RUN_GOAL:.0f}, {verdict(run_ratio, RUN_GOAL)}")
    print(f"again     {runs['second_run']:9.1f} s   nothing to encode")

    results = {
        "cores": os.cpu_count(),
        "samples": arguments.samples,
        "step_seconds": {name: {"min": min(s), "median": float(np.median(s))} for name, s in steps.items()},
        "step_ratios": ratios,
        "run_seconds": runs,
        "run_ratio": run_ratio,
    }
    path = ROOT / "benchmarks" / "results" / "train_smtpd.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
