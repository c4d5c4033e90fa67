"""Fixtures for all tests."""

import pytest
from hypothesis import settings
from tests_project import Project, create_project

pytest_plugins = ["tiny_encoders"]

# No test is timed: an example may be slow because the machine is busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def project(tmp_path) -> Project:
    """A project whose data folder and MLflow store start empty, with the committed sample."""
    return create_project(tmp_path / "project")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several test processes, keeps together what shares fixtures: a module, or a family's contract tests."""
    from xdist.scheduler import LoadScopeScheduling

    class SharedFixtures(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module, _, test = nodeid.partition("::")
            family = test.partition("[")[2]
            return f"contract of {family}" if family and module.startswith("tests/contract/") else module

    return SharedFixtures(config, log)
