"""How long `predict_performance` takes, cold and warm, against a bare read of the video's features.

Both models are trained on the sample, into a temporary folder. For each a fresh process answers once (cold: imports,
reading the model, the answer), then many times in turn with the reference, which only makes the features that
every answer needs; so a machine that slows down slows down both. The goal for a warm answer is 50 ms.

    python benchmarks/predict.py [--calls 100] [--preset fast]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
GOAL_SECONDS = 0.05
VIDEO = {
    "title": "Amazing makeup tutorial for beginners",
    "tags": ["makeup", "tutorial"],
    "categories": ["Lifestyle", "Fashion"],
    "duration_seconds": 600,
    "channel_avg_views": 50_000,
    "channel_video_count": 25,
}
PIPELINES = {"ensemble": "ensemble", "deep_learning": "multitask"}


def train(folder: Path, preset: str) -> Path:
    """Trains both models in a project of their own, without reports; returns the folder of the models."""
    # Laid out as for tests: MLflow writes beside the project, and the user's one stays as it is.
    sys.path.append(str(ROOT / "tests" / "helpers"))
    from tests_project import create_project

    project = create_project(folder / "project")
    outputs = ",".join(f"{name}.model" for name in PIPELINES.values())
    pipelines = f"--pipelines={','.join(PIPELINES.values())}"
    project.kedro("run", pipelines, f"--to-outputs={outputs}", f"--params=ensemble.preset={preset}")
    return project.path / "data" / "06_models"


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """Returns the wall-clock and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(model_type: str, folder: Path, calls: int) -> dict[str, float]:
    """Measures in this process, which must be a fresh one."""

    def answer() -> None:
        from vidpop_pipelines import predict_performance

        predict_performance(**VIDEO, model_type=model_type, model=folder)

    cold, _ = seconds(answer)
    from vidpop_pipelines.pipelines.tabular.features import TableFeatures
    from vidpop_pipelines.pipelines.tabular.requests import read_requests

    features = TableFeatures.load(folder)

    def read() -> None:
        features.transform(read_requests([VIDEO]))

    read()
    pairs = [(seconds(answer), seconds(read)) for _ in range(calls)]
    warm, processor, reference = (
        statistics.median(values) for values in zip(*((*a, b[0]) for a, b in pairs), strict=True)
    )
    return {
        "cold_seconds": cold,
        "warm_seconds": warm,
        "warm_processor_seconds": processor,
        "features_seconds": reference,
        "ratio": statistics.median(a[0] / b[0] for a, b in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--preset", default="fast", help="of the ensemble")
    parser.add_argument("--measure", nargs=2, metavar=("MODEL_TYPE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        model_type, folder = arguments.measure
        print(json.dumps(measure(model_type, Path(folder), arguments.calls)))
        return
    results = {"calls": arguments.calls, "preset": arguments.preset, "goal_seconds": GOAL_SECONDS}
    with TemporaryDirectory() as folder:
        models = train(Path(folder), arguments.preset)
        for model_type, pipeline in PIPELINES.items():
            command = [sys.executable, __file__, "--calls", str(arguments.calls), "--measure", model_type]
            command += [str(models / pipeline)]
            process = subprocess.run(command, check=True, capture_output=True, text=True)
            found = results[model_type] = json.loads(process.stdout)
            print(
                f"{model_type}: cold {found['cold_seconds']:.1f} s; warm {1000 * found['warm_seconds']:.1f} ms"
                f" (goal: under {1000 * GOAL_SECONDS:.0f}), {found['ratio']:.2f} times its features alone"
            )
    path = ROOT / "benchmarks" / "results" / "predict.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
