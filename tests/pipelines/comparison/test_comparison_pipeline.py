"""The comparison from the command line, on planted runs."""

import json

import pandas as pd
import planted
import pytest
from families import FAMILIES
from tests_project import Project, create_project


@pytest.fixture
def bare_project(tmp_path) -> Project:
    return create_project(tmp_path / "project", share_sample=False)


def test_planted_runs_become_one_leaderboard(bare_project):
    data = bare_project.path / "data"
    planted.write_run(data, "ensemble", planted.views_table(planted.noise(1, 0.2)), model_bytes=2_000_000)
    planted.write_run(data, "smtpd_ep", planted.curve_table(planted.noise(2, 0.9)))
    result = bare_project.run("comparison")
    assert "Replacing dataset" not in result.stderr

    folder = data / "08_reporting/comparison"
    leaderboard = pd.read_csv(folder / "leaderboard.csv")
    best = leaderboard.query("view == 'shared test videos' and task == 'views' and rank == 1").iloc[0]
    assert best["family"] == "ensemble" and best["log_mae"] == pytest.approx(0.2)
    assert best["model_megabytes"] == 2 and best["training_seconds"] == 12.5
    assert pd.read_csv(folder / "differences.csv")["told_apart"].all()
    figures = [json.loads(path.read_text()) for path in folder.glob("*.plotly.json")]
    assert len(figures) == 4 and all(figure["data"] and figure["layout"]["title"] for figure in figures)

    report, markdown = (folder / "report.html").read_text(), (folder / "leaderboard.md").read_text()
    assert "<script src=" not in report and "plotly" in report
    absent = ", ".join(name for name in FAMILIES if name not in ("ensemble", "smtpd_ep"))
    for text in (report, markdown):
        assert f"Not run, and left out: {absent}" in text
        assert "kedro run --pipeline=multitask" in text
    assert "| 1 | ensemble | 60 | 0.2000 |" in markdown


def test_without_any_run_it_says_what_to_run(bare_project):
    nothing = bare_project.run("comparison", check=False)
    assert nothing.returncode and "no family has been run" in nothing.stderr
    assert "Traceback" not in nothing.stderr
