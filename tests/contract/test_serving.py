"""The registered model of each family behind MLflow's own server, asked over HTTP."""

import json

import pytest
from families import ABSENT
from servers import served


def test_served_model_answers_forecasts_and_refuses_bad_requests(run):
    serving = run.family.serving
    lower, forecast, upper = serving.interval
    model = ["-m", "mlflow", "models", "serve", "-m", f"models:/{run.name}/1", "--env-manager", "local"]
    with served(run.project, model) as ask:

        def ask_changed(changes: dict) -> tuple[int, dict]:
            request = serving.example | changes
            return ask([{name: value for name, value in request.items() if value is not ABSENT}])

        status, single = ask_changed({"video_id": "a"})
        assert status == 200, single
        rows = single["predictions"]
        assert all(row.keys() == serving.answers and row["video_id"] == "a" for row in rows)
        for column, values in serving.keys.items():
            assert [row[column] for row in rows] == values
        assert all(row[lower] <= row[forecast] <= row[upper] for row in rows)

        for changes, same in serving.alike(run.project.path):
            status, answer = ask_changed(changes)
            assert status == 200 and (status, answer) == ask_changed(same), changes
        for changes in serving.different(run.project.path):
            status, answer = ask_changed(changes)
            assert status == 200 and answer["predictions"][0][forecast] != rows[0][forecast], changes

        status, batch = ask([serving.example | {"video_id": name} for name in "ab"])
        assert status == 200 and len(batch["predictions"]) == 2 * len(rows)
        assert batch["predictions"][0][forecast] == pytest.approx(
            rows[0][forecast], rel=run.family.rtol, abs=1e-5
        )

        for changes, field in serving.refused:
            status, answer = ask_changed(changes)
            assert status == 400, answer
            assert field in json.dumps(answer)
