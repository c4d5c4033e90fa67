"""Every family is run once on a small generated sample; the contract tests read what the runs left."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from families import FAMILIES, Family
from tests_project import Project, create_project


@dataclass(frozen=True)
class Run:
    """What one family's run left behind.

    Attributes:
        name: Name of the pipeline.
        family: What is known about it.
        project: Where it ran.
    """

    name: str
    family: Family
    project: Project

    def read_json(self, name: str) -> dict:
        return json.loads((self.reporting / name).read_text())

    @property
    def reporting(self) -> Path:
        return self.project.path / "data/08_reporting" / self.name

    @property
    def predictions(self) -> pd.DataFrame:
        return pd.read_parquet(self.project.path / "data/07_model_output" / self.name / "predictions.parquet")

    @property
    def model_folder(self) -> Path:
        return self.project.path / "data/06_models" / self.name


@pytest.fixture(scope="session")
def sample_project(tmp_path_factory) -> Project:
    """A project with a sample of 150 videos, enough for intervals in every fold."""
    project = create_project(tmp_path_factory.mktemp("contract") / "project", share_sample=False)
    project.run("sample_data", sample__videos=150)
    return project


@pytest.fixture(scope="session")
def run_once(sample_project) -> Callable[[str], Run]:
    """Returns a function that runs a family the first time it is asked for."""
    runs: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in runs:
            sample_project.run(name, **FAMILIES[name].parameters)
            runs[name] = Run(name, FAMILIES[name], sample_project)
        return runs[name]

    return run


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if family.second else [])
        for name, family in FAMILIES.items()
    ]
)
def run(request, run_once) -> Run:
    """Each family's run in turn."""
    return run_once(request.param)
