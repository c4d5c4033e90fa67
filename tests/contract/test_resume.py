"""A run killed in the middle of its training, run again, ends like one that was never killed."""

import os
import signal
import subprocess
import time

import pandas as pd
import pytest
from families import FAMILIES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FAMILIES)
def test_killed_run_goes_on_to_the_same_result(name, sample_project, tmp_path):
    family = FAMILIES[name]
    parameters = family.parameters | family.longer
    sample_project.run(name, output=tmp_path / "whole", **parameters)

    killed = tmp_path / "killed"
    given = {key.replace("__", "."): value for key, value in (parameters | {"output": killed}).items()}
    command = sample_project.command(
        "run", f"--pipelines={name}", "--params=" + ",".join(f"{key}={value}" for key, value in given.items())
    )
    resume = killed / "06_models/.resume" / name
    process = subprocess.Popen(
        command,
        cwd=sample_project.path,
        env=sample_project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(resume.glob(family.resume_state)):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "07_model_output").exists()

    result = sample_project.run(name, output=killed, **parameters)
    assert family.resumes in result.stdout + result.stderr
    assert not resume.exists()
    predictions = f"07_model_output/{name}/predictions.parquet"
    pd.testing.assert_frame_equal(
        pd.read_parquet(killed / predictions), pd.read_parquet(tmp_path / "whole" / predictions)
    )
