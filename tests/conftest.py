"""Fixtures for all tests."""

import pytest
from tests_project import Project, create_project

pytest_plugins = ["tiny_encoders"]


@pytest.fixture
def project(tmp_path) -> Project:
    """A project whose data folder and MLflow store start empty, with the committed sample."""
    return create_project(tmp_path / "project")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items):
    """With several test processes, keeps together what shares fixtures: a module, or a family's contract tests."""
    for item in items:
        family = getattr(item, "callspec", None) and item.callspec.params.get("run")
        group = f"contract of {family}" if family else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
