"""Fixtures for all tests."""

import pytest
from tests_project import Project, create_project

pytest_plugins = ["tiny_encoders"]


@pytest.fixture
def project(tmp_path) -> Project:
    """A project whose data folder and MLflow store start empty, with the committed sample."""
    return create_project(tmp_path / "project")
