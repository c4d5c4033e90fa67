"""Rules of docs/architecture.md that hold for the whole source."""

import pytest
from tests_project import ROOT

PACKAGE = ROOT / "src/vidpop_pipelines"


@pytest.mark.parametrize("room", ["features", "training", "evaluation", "datasets"])
def test_shared_rooms_import_no_family(room):
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    assert not [file.name for file in files if "vidpop_pipelines.pipelines" in file.read_text()]
