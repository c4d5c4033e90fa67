"""A project folder of its own for tests that run Kedro: real configuration and code, everything else new."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def hear_hangups() -> None:
    """Makes a process end at SIGHUP (`preexec_fn`), also where the tests were started to ignore it, as by nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@dataclass(frozen=True)
class Project:
    """A copy of the project whose data folder and MLflow store start empty."""

    path: Path

    def command(self, *arguments: str) -> list[str]:
        """Returns the command line of a Kedro call."""
        return [sys.executable, "-m", "kedro", *arguments]

    def environment(self) -> dict[str, str]:
        """Returns the environment of a user who has set nothing."""
        return {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "KEDRO_"))}

    def kedro(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Runs Kedro in the project; fails with its output."""
        result = subprocess.run(
            self.command(*arguments),
            cwd=self.path,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            pytest.fail(f"kedro {' '.join(arguments)}\n{result.stdout}\n{result.stderr}")
        return result

    def run(
        self, pipeline: str, check: bool = True, env: str | None = None, **parameters
    ) -> subprocess.CompletedProcess:
        """Runs a pipeline; parameters are dotted, with __ for the dot."""
        given = ",".join(f"{key.replace('__', '.')}={value}" for key, value in parameters.items())
        arguments = ["run", f"--pipeline={pipeline}"]
        arguments += [f"--params={given}"] if given else []
        arguments += [f"--env={env}"] if env else []
        return self.kedro(*arguments, check=check)


def create_project(path: Path, share_sample: bool = True) -> Project:
    """Lays out a project that shares the code of this checkout, and its sample if wanted."""
    path.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", path)
    shutil.copy(ROOT / ".telemetry", path)
    # Kedro wants the folder; the package itself is installed.
    (path / "src").mkdir()
    (path / "data" / "01_raw").mkdir(parents=True)
    if share_sample:
        (path / "data" / "01_raw" / "sample").symlink_to(ROOT / "data" / "01_raw" / "sample")
    return Project(path)
