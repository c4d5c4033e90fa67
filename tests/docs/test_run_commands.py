"""docs/run_commands.py, on two documents whose commands no other test runs; `make docs` runs all of them."""

import subprocess
import sys

import pytest
from tests_project import ROOT


@pytest.mark.slow
def test_documented_commands_run():
    documents = ["sample_data/README.md", "mofa_lite/README.md"]
    only = [argument for document in documents for argument in ("--only", document)]
    result = subprocess.run(
        [sys.executable, "docs/run_commands.py", *only], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("\nok") >= 8 and "0 failed" in result.stdout
