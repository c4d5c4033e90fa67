"""How long the command line takes to answer: `kedro registry list` against an empty project with kedro-mlflow.

Heavy imports (torch, transformers, catboost, scikit-learn) live inside functions, so the goal is a ratio of at
most 1.3. Runs of both projects alternate, so that a machine that slows down slows down both.

    python benchmarks/cli.py [--runs 7]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]

EMPTY_PROJECT = {
    "pyproject.toml": '[tool.kedro]\npackage_name = "empty"\nproject_name = "empty"\nkedro_init_version = "1.7.0"\n',
    "src/empty/__init__.py": "",
    "src/empty/settings.py": "",
    "src/empty/pipeline_registry.py": (
        'from kedro.pipeline import Pipeline\n\n\ndef register_pipelines():\n    return {"__default__": Pipeline([])}\n'
    ),
    "conf/base/catalog.yml": "",
    "conf/base/mlflow.yml": "server:\n  mlflow_tracking_uri: sqlite:///mlflow.db\n",
}


def seconds(project: Path) -> float:
    """Returns the wall-clock seconds of one call."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kedro", "registry", "list"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with TemporaryDirectory() as folder:
        for name, content in EMPTY_PROJECT.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        seconds(Path(folder)), seconds(ROOT)  # warm the file cache
        pairs = [(seconds(ROOT), seconds(Path(folder))) for _ in range(runs)]
    ours, empty = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"this project {ours:.2f} s, empty project {empty:.2f} s, ratio {ratio:.2f} (goal: at most 1.3)")
    results = ROOT / "benchmarks" / "results" / "cli.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(
        json.dumps({"seconds": ours, "empty_seconds": empty, "ratio": ratio, "runs": runs}, indent=2)
    )


if __name__ == "__main__":
    main()
