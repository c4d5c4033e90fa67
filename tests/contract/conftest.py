"""Every family is run once on a small generated sample; the contract tests read what the runs left."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from tests_project import Project, create_project

# A family adds one line: pipeline, and the runtime parameters that make it small.
FAMILIES = {
    "smtpd_ep": {"smtpd__training__epochs": 2, "smtpd__catboost__iterations": 20},
    "smtpd_no_ep": {"smtpd__training__epochs": 2, "smtpd__catboost__iterations": 20},
}


@dataclass(frozen=True)
class Run:
    """What one family's run left behind."""

    family: str
    project: Project
    output: str

    def read_json(self, name: str) -> dict:
        return json.loads((self.project.path / "data/08_reporting" / self.family / name).read_text())

    @property
    def predictions(self) -> pd.DataFrame:
        return pd.read_parquet(
            self.project.path / "data/07_model_output" / self.family / "predictions.parquet"
        )

    @property
    def model_folder(self) -> Path:
        return self.project.path / "data/06_models" / self.family


@pytest.fixture(scope="session")
def sample_project(tmp_path_factory) -> Project:
    """A project with a sample of 150 videos, enough for intervals in every fold."""
    project = create_project(tmp_path_factory.mktemp("contract") / "project", share_sample=False)
    project.run("sample_data", sample__videos=150)
    return project


@pytest.fixture(scope="session")
def runs(sample_project) -> dict[str, Run]:
    """One run per family."""
    for family, parameters in FAMILIES.items():
        sample_project.run(family, **parameters)
    return {family: Run(family, sample_project, "data") for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def run(request, runs) -> Run:
    """Each family's run in turn."""
    return runs[request.param]
