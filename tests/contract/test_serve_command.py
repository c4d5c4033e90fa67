"""`kedro serve`, which `make serve` calls: the champion by default; documented requests; many at once."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from families import FAMILIES
from mlflow import MlflowClient
from servers import served
from tests_project import ROOT

DOCUMENTED = re.compile(r"<!-- (\S+): (\w+) -->\n```json\n(.*?)\n```", re.DOTALL)


def documented_requests(family: str) -> dict[str, list[dict]]:
    """Returns name to videos of the requests that docs/serving.md shows for a family."""
    found = DOCUMENTED.findall((ROOT / "docs/serving.md").read_text())
    return {name: json.loads(text)["dataframe_records"] for name, of, text in found if of == family}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ensemble", "smtpd_ep"])
def test_champion_is_served_once_there_is_one(name, run_once):
    run = run_once(name)
    nothing = run.project.kedro("serve", f"--family={name}", check=False)
    assert nothing.returncode and "Traceback" not in nothing.stderr
    for expected in (f"promote.family={name}", f"make serve FAMILY={name} VERSION=latest"):
        assert expected in nothing.stderr
    absent = run.project.kedro("serve", f"--family={name}", "--version=77", check=False)
    assert absent.returncode and "no version 77" in absent.stderr

    run.project.run("promote", promote__family=name)
    requests = documented_requests(name)
    with served(run.project, ["-m", "kedro", "serve", f"--family={name}"]) as ask:
        log = max(run.project.path.glob("server.*.log"), key=lambda path: path.stat().st_mtime)
        # Other tests of this process may have run the family again: the newest version is promoted.
        client = MlflowClient(f"sqlite:///{run.project.path / 'mlflow.db'}")
        number = client.get_model_version_by_alias(name, "champion").version
        assert f"Version {number} of {name} (champion)" in log.read_text()
        status, single = ask(requests["single"])
        assert status == 200, single
        status, batch = ask(requests["batch"])
        per_video = len(single["predictions"])
        assert status == 200 and len(batch["predictions"]) == per_video * len(requests["batch"])
        status, refused = ask(requests["refused"])
        assert status == 400 and "Video 0, field '" in refused["message"]
        _ask_at_once(ask, FAMILIES[name])


def _ask_at_once(ask, family) -> None:
    """Twenty requests by eight clients: every one gets its own answer, and a bad one harms no other."""
    _, forecast, _ = family.serving.interval
    changes, _ = family.serving.refused[-1]
    requests = [family.serving.example | {"video_id": f"v{number}"} for number in range(20)]
    requests[7] |= {
        key: value for key, value in changes.items() if isinstance(value, int | float | str | list)
    }
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda video: ask([video]), requests))
    assert [status for status, _ in answers] == [400 if number == 7 else 200 for number in range(20)]
    rows = [answer["predictions"] for number, (_, answer) in enumerate(answers) if number != 7]
    ids = [row[0]["video_id"] for row in rows]
    assert ids == [f"v{number}" for number in range(20) if number != 7]
    for row in rows:
        assert row[-1][forecast] == pytest.approx(rows[0][-1][forecast], rel=1e-4)
