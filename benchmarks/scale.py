"""Whether one epoch of the published SMTPD network takes time in proportion to the rows, and no more memory.

Cached features of 5,000, 50,000 and 282,400 videos (the whole published data set) are written to a temporary
folder, a chunk at a time, in the format of the embedding cache: float16, memory-mapped, texts shared between
videos. For each size a fresh process fits the preprocessing, as the pipeline does, and trains one epoch. Its
private memory (RssAnon, without the pages of memory maps) is read every 50 ms, from before the first import.

    python benchmarks/scale.py [--rows 5000 50000 282400]

Needs 3 GB of disk for the largest.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
N_DAYS = 30
ROWS = (5_000, 50_000, 282_400)
CHUNK = 20_000
TIME_GOAL, GROWTH_GOAL, MEMORY_GOAL = 0.15, 0.20, 3e9


def write_features(folder: Path, n: int) -> None:
    """Writes vectors and row numbers; texts repeat as real ones do: categories always, users often."""
    import numpy as np

    rng = np.random.default_rng(0)
    # Texts of a video: its user (two videos each), its category (15), a title, keywords and description.
    n_texts = n // 2 + 15 + 3 * n
    write_vectors(folder / "visual.npy", n, 2048, rng)
    write_vectors(folder / "text.npy", n_texts, 768, rng)
    videos = np.arange(n)
    text = np.stack(
        [
            videos // 2 % (n // 2),
            n // 2 + rng.integers(0, 15, n),
            *(n // 2 + 15 + field * n + videos for field in range(3)),
        ],
        axis=1,
    )
    text[rng.random(text.shape) < 0.03] = -1
    np.save(folder / "text_rows.npy", text)
    np.save(folder / "visual_rows.npy", np.where(rng.random(n) < 0.02, -1, videos))


def write_vectors(path: Path, n: int, hidden_size: int, rng) -> None:
    import numpy as np

    vectors = np.lib.format.open_memmap(path, "w+", np.float16, (n, hidden_size))
    pool = rng.normal(size=(997, hidden_size)).astype(np.float16)  # drawing all of them takes minutes
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        vectors[start:stop] = pool[np.arange(start, stop) % len(pool)]
    vectors.flush()


def make_inputs(folder: Path):
    """Returns the inputs as the pipeline holds them: a table in memory, vectors in memory maps."""
    import numpy as np
    import pandas as pd

    from vidpop_pipelines.features.embeddings import Embeddings
    from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
    from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS

    visual, text = (
        Embeddings(np.load(folder / f"{name}.npy", mmap_mode="r"), np.load(folder / f"{name}_rows.npy"))
        for name in ("visual", "text")
    )
    n = len(visual.rows)
    rng = np.random.default_rng(1)
    curves = (8 + rng.normal(0, 0.3, (n, N_DAYS)).cumsum(axis=1)).clip(0).astype(np.float32)
    curves[rng.random(curves.shape) < 0.01] = np.nan
    videos = pd.DataFrame(
        {
            "video_id": [f"video_{index:07d}" for index in range(n)],
            "user_id": [f"user_{index // 2:07d}" for index in range(n)],
            "category": rng.choice(["Gaming", "Music", "Comedy", ""], n),
            "language": rng.choice(["en", "hi", "ko", ""], n),
            **{name: rng.lognormal(size=n) for name in NUMERICAL_FIELDS},
            **{f"day_{day}": curves[:, day - 1] for day in range(1, N_DAYS + 1)},
        }
    )
    return SmtpdInputs(videos, visual, text)


class MemoryWatch(threading.Thread):
    """Reads this process's private memory every 50 ms and keeps the largest."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        """Watches until the process ends."""
        while True:
            status = Path("/proc/self/status").read_text()
            (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
            self.peak = max(self.peak, 1024 * int(line.split()[1]))
            time.sleep(0.05)


def train_one_epoch(folder: Path) -> dict[str, float]:
    """Trains in this process; returns rows, seconds of the epoch, CPU seconds of it and peak memory."""
    watch = MemoryWatch()
    import numpy as np

    from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdNetwork
    from vidpop_pipelines.pipelines.smtpd.parameters import PreprocessingOptions
    from vidpop_pipelines.pipelines.smtpd.preprocessing import Preprocessing
    from vidpop_pipelines.training.batches import BatchDataset
    from vidpop_pipelines.training.options import TrainingOptions
    from vidpop_pipelines.training.trainer import train

    inputs = make_inputs(folder)
    order = np.random.default_rng(2).permutation(len(inputs))
    n_validation = len(order) // 10
    training, validation = order[n_validation:], order[:n_validation]
    published = PreprocessingOptions(
        log_numbers=False,
        standardise_vectors=False,
        visual_components=None,
        text_components=None,
        standardise_targets=False,
        residual=False,
    )
    days = list(range(2, N_DAYS + 1))
    preprocessing = Preprocessing.fit(inputs, training, days, True, published, seed=0)
    read_batch = preprocessing.transform(inputs)

    def run(training: np.ndarray, validation: np.ndarray) -> EpochClock:
        clock = EpochClock(read_batch)
        train(
            SmtpdNetwork(SmtpdConfig(n_languages=256)),
            BatchDataset(training, clock.read_batch),
            BatchDataset(validation, clock.read_batch),
            TrainingOptions(epochs=1),
            seed=0,
            compute_metrics=lambda forecast, truth: {"mae": float(np.nanmean(np.abs(forecast - truth)))},
            monitor="mae",
            fingerprint="benchmark",
            logger=clock,
        )
        return clock

    run(training[:256], validation[:64])  # what is done once per process is not part of the epoch
    clock = run(training, validation)
    return {
        "rows": len(inputs),
        "seconds": clock.seconds,
        "cpu_seconds": clock.cpu_seconds,
        "peak_bytes": watch.peak,
    }


class EpochClock:
    """Times an epoch from its first batch to its metrics: steps and validation, without the checkpoint.

    A checkpoint costs the same whatever the number of rows (about 0.3 s).
    """

    def __init__(self, read_batch):
        self._read_batch = read_batch
        self._start = None

    def read_batch(self, rows):
        """Reads a batch; the first one starts the clock."""
        self._start = self._start or (time.perf_counter(), time.process_time())
        return self._read_batch(rows)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Stops the clock."""
        self.seconds = time.perf_counter() - self._start[0]
        self.cpu_seconds = time.process_time() - self._start[1]


def measure(n: int) -> dict[str, float]:
    """Writes features of n videos and trains on them in a fresh process."""
    with TemporaryDirectory() as folder:
        write_features(Path(folder), n)
        command = [sys.executable, __file__, "--folder", folder]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # what the fresh process trains on
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(train_one_epoch(arguments.folder)))
        return

    print(f"One epoch of the published network, {os.cpu_count()} cores")
    print(f"{'rows':>8}{'seconds':>10}{'per 1,000':>11}{'CPU per 1,000':>15}{'RssAnon':>10}")
    runs = []
    for n in arguments.rows:
        run = measure(n)
        runs.append(run)
        per_thousand, cpu = (1000 * run[name] / n for name in ("seconds", "cpu_seconds"))
        print(f"{n:8}{run['seconds']:10.1f}{per_thousand:11.3f}{cpu:15.3f}{run['peak_bytes'] / 1e9:7.2f} GB")
    rates = [run["seconds"] / run["rows"] for run in runs]
    cpu_rates = [run["cpu_seconds"] / run["rows"] for run in runs]
    deviation, cpu_deviation = (max(values) / min(values) - 1 for values in (rates, cpu_rates))
    growth = runs[-1]["peak_bytes"] / runs[0]["peak_bytes"] - 1
    peak = max(run["peak_bytes"] for run in runs)
    print(f"time per row differs by {deviation:.1%} (CPU time {cpu_deviation:.1%}), goal {TIME_GOAL:.0%}")
    print(f"memory grows by {growth:.1%}, goal {GROWTH_GOAL:.0%}; at most {peak / 1e9:.2f} GB, goal 3 GB")
    reached = deviation <= TIME_GOAL and growth < GROWTH_GOAL and peak < MEMORY_GOAL
    print("goals reached" if reached else "goals MISSED")
    results = {
        "cores": os.cpu_count(),
        "runs": runs,
        "time_deviation": deviation,
        "cpu_time_deviation": cpu_deviation,
        "memory_growth": growth,
    }
    path = ROOT / "benchmarks" / "results" / "scale.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
