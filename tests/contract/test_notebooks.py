"""The notebooks, executed where a user opens them: in the folder notebooks/ of a project that has been run."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tests_project import ROOT, Project

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPLORE, COMPARE, QUESTION = NOTEBOOKS
FIGURE = "application/vnd.plotly.v1+json"


def execute(notebook: Path, project: Project, **options) -> list[dict]:
    """Runs a copy of a notebook in a project, as Jupyter does; returns the outputs of all cells."""
    folder = project.path / "notebooks"
    folder.mkdir(exist_ok=True)
    shutil.copy(notebook, folder)
    book = nbformat.read(folder / notebook.name, as_version=4)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(book, timeout=300, resources=place, **options)
    client.execute(env=project.environment())
    # Catalog and MLflow have kept to the project's own folders.
    assert {path.suffix for path in folder.iterdir()} == {".ipynb"}
    return [output for cell in book.cells for output in cell.get("outputs", [])]


def titles(outputs: list[dict]) -> list[str]:
    figures = [output["data"][FIGURE] for output in outputs if FIGURE in output.get("data", {})]
    assert all(figure["data"] for figure in figures)
    return [figure["layout"]["title"]["text"] for figure in figures]


def tables(outputs: list[dict]) -> str:
    return "\n".join(output["data"].get("text/html", "") for output in outputs if "data" in output)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebook_is_short_valid_and_without_output(notebook):
    book = nbformat.read(notebook, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert 4 <= len(code) <= 12
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert book.cells[0].cell_type == "markdown" and "run" in book.cells[0].source


@pytest.mark.slow
def test_data_is_explored_without_any_run(project):
    outputs = execute(EXPLORE, project)
    assert len(titles(outputs)) == 4
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    assert printed.startswith("400 of 400 rows can be used.")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", [COMPARE, QUESTION], ids=lambda path: path.stem)
def test_missing_run_is_said_in_words(notebook, project):
    outputs = execute(notebook, project, allow_errors=True)
    first = next(output for output in outputs if output["output_type"] == "error")
    (message,) = first["traceback"]
    assert message.startswith("InputError: ") and "`kedro run --pipeline=ensemble`" in message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ensemble"])
def test_runs_are_compared_on_shared_videos(name, run_once):
    project = run_once(name).project
    run_once("smtpd_ep")
    # As `kedro jupyter lab` starts it: Kedro is there before the notebook leaves its folder.
    outputs = execute(COMPARE, project, extra_arguments=["--ext", "kedro.ipython"])
    assert titles(outputs) == ["How far behind the best"]
    for family in (name, "smtpd_ep"):
        assert family in tables(outputs)
    assert "log_mae" in tables(outputs) and "behind_best_lower" in tables(outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ensemble"])
def test_forecast_is_questioned(name, run_once):
    project = run_once(name).project
    run_once("smtpd_ep")
    outputs = execute(QUESTION, project)
    assert len(titles(outputs)) == 6
    assert "predicted_views" in tables(outputs) and "times_off" in tables(outputs)
