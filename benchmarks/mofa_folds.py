"""Whether MoFA-Lite's folds side by side are worth it, and what memory they take.

8,000 videos with the published widths (1024 + 768 + 1024), 10 folds, published settings with a fixed 20 epochs per
fold. The reference is the plain loop that a script would write: one fold after the other, everything in memory,
sklearn's preprocessing, default AdamW, all cores for each fold. Both fit the preprocessing inside each fold, take the
epoch with the lowest validation Score and forecast the rows left out. Half of the reference's folds run before ours
and half after, so that other work on the machine slows both.

Processor seconds of all processes and threads are counted too: where other programs take part of the cores, they tell
more than the clock.

Memory is private memory (RssAnon, without the pages of memory maps), read every 100 ms: the sum over all processes of
what each has above one that has only imported the modules.

    python benchmarks/mofa_folds.py [--rows 8000] [--epochs 20]
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
WIDTHS = {"image": 1024, "text": 1024, "video": 768}
N_FOLDS, N_TARGETS = 10, 3
SPEED_GOAL, MEMORY_GOAL = 1.4, 2.0


def write_features(folder: Path, n_rows: int) -> int:
    """Writes embeddings of few latent causes, and counts that depend on them; returns the bytes of the features."""
    import numpy as np

    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n_rows, 24)).astype(np.float32)
    size = 0
    for name, width in WIDTHS.items():
        mixing = rng.normal(size=(24, width)).astype(np.float32)
        features = np.tanh(causes @ mixing / 5) + rng.normal(0, 0.5, (n_rows, width)).astype(np.float32)
        np.save(folder / f"{name}_features.npy", features.astype(np.float32))
        size += n_rows * width * 4
    signal = causes[:, :N_TARGETS] + causes[:, 3:6] * causes[:, 6:9]
    counts = 8 + signal + rng.normal(0, 2, (n_rows, N_TARGETS))
    np.save(folder / "popularity_counts.npy", counts.astype(np.float32))
    return size


def load(folder: Path, epochs: int):
    """Returns inputs, splits and the published parameters with a fixed number of epochs."""
    import yaml

    from vidpop_pipelines.datasets.npy import NpyFolderDataset
    from vidpop_pipelines.pipelines.mofa_lite.inputs import validate_inputs
    from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters
    from vidpop_pipelines.pipelines.mofa_lite.protocol import assign_splits

    published = yaml.safe_load((ROOT / "conf/paper/parameters/mofa_lite.yml").read_text())["mofa_lite"]
    published["training"] |= {"epochs": epochs, "patience": None}
    parameters = MofaLiteParameters(**published, n_folds=N_FOLDS)
    arrays = NpyFolderDataset(str(folder), ["*.npy"]).load()
    inputs, _, _ = validate_inputs(arrays, None, parameters.targets)
    return inputs, assign_splits(inputs.video_ids, parameters, 0.9), parameters


def import_everything() -> int:
    """Imports what a process of ours imports, and returns its private memory."""
    import joblib.externals.loky
    import torch
    import tqdm
    from sklearn.preprocessing import QuantileTransformer
    from transformers import Trainer

    from vidpop_pipelines.pipelines.mofa_lite import model, nodes, training
    from vidpop_pipelines.training import trainer

    assert all((joblib, torch, tqdm, QuantileTransformer, Trainer, model, nodes, training, trainer))
    return private_memory(os.getpid())


def run_ours(folder: Path, epochs: int) -> dict:
    """Trains all folds as the pipeline does; returns seconds and Score of each fold on the rows it left out."""
    from vidpop_pipelines.evaluation.multi_target import nmse
    from vidpop_pipelines.parameters import ComputeOptions
    from vidpop_pipelines.pipelines.mofa_lite import nodes
    from vidpop_pipelines.pipelines.mofa_lite.protocol import fold_rows

    inputs, splits, parameters = load(folder, epochs)
    start, cpu_start = time.perf_counter(), cpu_seconds()
    networks, _ = nodes.train_networks(
        inputs, splits, parameters, ComputeOptions(), folder / "resume", folder / "epochs"
    )
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    scores = []
    for fold, trained in networks.items():
        rows = fold_rows(splits, fold)["validation"]
        scores.append(float(nmse(inputs.targets[rows], forecast(trained, inputs, rows)).mean()))
    return {"seconds": seconds, "cpu_seconds": cpu, "scores": scores}


def cpu_seconds() -> float:
    """Returns the processor seconds of this process and of its worker processes that live."""
    import psutil

    process = psutil.Process()
    times = [part.cpu_times() for part in (process, *process.children(recursive=True))]
    return sum(part.user + part.system for part in times)


def forecast(trained, inputs, rows):
    import torch

    with torch.inference_mode():
        return trained.network.eval()(torch.from_numpy(trained.preprocessing.transform(inputs, rows))).logits


def run_reference(folder: Path, epochs: int, folds: list[int]) -> dict:
    """The plain loop over some folds; returns seconds and Score of each fold."""
    import numpy as np
    import torch

    from vidpop_pipelines.evaluation.multi_target import nmse
    from vidpop_pipelines.pipelines.mofa_lite.protocol import fold_rows

    _, splits, parameters = load(folder, epochs)
    features = {name: np.load(folder / f"{name}_features.npy") for name in WIDTHS}
    counts = np.load(folder / "popularity_counts.npy")
    scores = []
    start, cpu_start = time.perf_counter(), cpu_seconds()
    for fold in folds:
        rows = fold_rows(splits, fold)
        torch.manual_seed(fold)
        train, validation = (torch.from_numpy(part) for part in preprocess(features, rows))
        targets, truth = counts[rows["train"]], counts[rows["validation"]]
        scores.append(train_plainly(train, torch.from_numpy(targets), validation, truth, parameters, nmse))
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    return {"seconds": seconds, "cpu_seconds": cpu, "scores": scores}


def preprocess(features: dict, rows: dict) -> list:
    """L2 and standardisation, and RankGauss of the video modality before: as published, but inside the fold."""
    import numpy as np
    from sklearn.preprocessing import QuantileTransformer, StandardScaler, normalize

    parts = {"train": [], "validation": []}
    for name, values in features.items():
        both = {role: values[rows[role]] for role in parts}
        if name == "video":
            gauss = QuantileTransformer(n_quantiles=1000, output_distribution="normal").fit(both["train"])
            both = {role: gauss.transform(part) for role, part in both.items()}
        both = {role: normalize(part) for role, part in both.items()}
        scaler = StandardScaler().fit(both["train"])
        for role, part in both.items():
            parts[role].append(scaler.transform(part).astype(np.float32))
    return [np.concatenate(part, axis=1) for part in parts.values()]


def train_plainly(train, targets, validation, truth, parameters, nmse) -> float:
    """Trains one network; returns the lowest validation Score."""
    import torch

    from vidpop_pipelines.pipelines.mofa_lite.model import MofaConfig, MofaNetwork

    options = parameters.training
    network = MofaNetwork(
        MofaConfig(
            modality_sizes=list(WIDTHS.values()),
            target_mean=targets.mean(dim=0).tolist(),
            target_scale=targets.std(dim=0).tolist(),
        )
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=options.plateau_factor, patience=options.plateau_patience
    )
    best = float("inf")
    for _ in range(options.epochs):
        network.train()
        for batch in torch.randperm(len(train)).split(options.batch_size):
            optimizer.zero_grad()
            network(train[batch], labels=targets[batch]).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.max_gradient_norm)
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            score = float(nmse(truth, network(validation).logits.numpy()).mean())
        scheduler.step(score)
        best = min(best, score)
    return best


def private_memory(pid: int) -> int:
    """Returns the RssAnon of a process in bytes; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)


class MemoryWatch:
    """Watches a process and its children: the sum of their private memory above that of an importing process."""

    def __init__(self, pid: int, importing: int):
        self._pid, self._importing = pid, importing
        self.peak, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        import psutil

        while not self._stopped.wait(0.1):
            try:
                children = psutil.Process(self._pid).children(recursive=True)
            except psutil.NoSuchProcess:
                return
            pids = [self._pid, *(child.pid for child in children)]
            self.peak = max(self.peak, sum(max(0, private_memory(pid) - self._importing) for pid in pids))


def run_part(part: str, arguments: argparse.Namespace, folder: str, importing: int | None = None) -> dict:
    """Runs a part in a fresh process; with `importing` its memory is watched."""
    command = [
        sys.executable,
        __file__,
        "--part",
        part,
        "--folder",
        folder,
        "--epochs",
        str(arguments.epochs),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watch = None if importing is None else MemoryWatch(process.pid, importing)
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{part} failed")
    result = json.loads(output.splitlines()[-1])
    return result if watch is None else result | {"memory_growth": watch.stop()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--part", help=argparse.SUPPRESS)  # what the fresh process does
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        parts = {
            "imports": import_everything,
            "ours": lambda: run_ours(arguments.folder, arguments.epochs),
            "before": lambda: run_reference(arguments.folder, arguments.epochs, [0, 1, 2, 3, 4]),
            "after": lambda: run_reference(arguments.folder, arguments.epochs, [5, 6, 7, 8, 9]),
        }
        print(json.dumps(parts[arguments.part]()))
        return

    with TemporaryDirectory() as folder:
        size = write_features(Path(folder), arguments.rows)
        importing = run_part("imports", arguments, folder)
        before = run_part("before", arguments, folder)
        ours = run_part("ours", arguments, folder, importing)
        after = run_part("after", arguments, folder)
    reference = {name: before[name] + after[name] for name in before}
    report(arguments, size, ours, reference)


def report(arguments: argparse.Namespace, size: int, ours: dict, reference: dict) -> None:
    """Prints the table and writes the JSON."""
    import numpy as np

    n_epochs = N_FOLDS * arguments.epochs
    ratio, cpu_ratio = (reference[name] / ours[name] for name in ("seconds", "cpu_seconds"))
    growth = ours["memory_growth"] / size
    differences = np.subtract(ours["scores"], reference["scores"])
    noise = float(differences.std(ddof=1) / np.sqrt(N_FOLDS))
    difference = float(differences.mean())
    print(f"\n{arguments.rows} videos, {N_FOLDS} folds of {arguments.epochs} epochs, {os.cpu_count()} cores")
    print(f"{'':26}{'seconds':>9}{'per epoch':>11}{'CPU seconds':>13}{'out-of-fold Score':>19}")
    for name, run in (("one fold after the other", reference), ("here", ours)):
        per_epoch, score = run["seconds"] / n_epochs, np.mean(run["scores"])
        print(f"{name:26}{run['seconds']:9.1f}{per_epoch:11.3f}{run['cpu_seconds']:13.1f}{score:19.4f}")
    verdicts = {True: "reached", False: "MISSED"}
    faster = f"{ratio:.2f} times faster ({cpu_ratio:.2f} in processor time)"
    print(f"{faster}, goal {SPEED_GOAL}: {verdicts[ratio >= SPEED_GOAL]}")
    same = abs(difference) <= 2.26 * noise  # 95 % of Student's t with 9 degrees of freedom
    print(f"Scores differ by {difference:+.4f}, standard error over folds {noise:.4f}: {verdicts[same]}")
    print(
        f"private memory grows by {ours['memory_growth'] / 1e6:.0f} MB, {growth:.2f} times the features "
        f"({size / 1e6:.0f} MB), goal under {MEMORY_GOAL:.0f}: {verdicts[growth < MEMORY_GOAL]}"
    )
    results = {
        "cores": os.cpu_count(),
        "rows": arguments.rows,
        "epochs": arguments.epochs,
        "reference": reference,
        "here": ours,
        "ratio": ratio,
        "cpu_ratio": cpu_ratio,
        "score_difference": difference,
        "score_standard_error": noise,
        "feature_bytes": size,
    }
    path = ROOT / "benchmarks" / "results" / "mofa_folds.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
