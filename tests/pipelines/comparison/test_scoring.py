"""Planted predictions: who is better is known, and so is what cannot be told."""

import numpy as np
import pandas as pd
import planted
import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.comparison import nodes
from vidpop_pipelines.pipelines.comparison.family_run import read_run
from vidpop_pipelines.pipelines.comparison.parameters import ComparisonParameters

PARAMETERS = ComparisonParameters(n_resamples=500)


def compare(**predictions):
    """Returns the leaderboard and the differences of planted families, indexed for reading."""
    runs = [
        read_run(name, table, planted.metrics_of(table), None, None) for name, table in predictions.items()
    ]
    shared, differences = nodes.score_shared_videos(runs, PARAMETERS)
    leaderboard = nodes.build_leaderboard(runs, nodes.score_own_videos(runs), shared)
    return (
        leaderboard.set_index(["view", "task", "family"]).sort_index(),
        differences.set_index(["task", "score"]).sort_index(),
        shared.notes,
    )


def test_winner_leads_and_the_interval_excludes_zero():
    leaderboard, differences, notes = compare(
        worse=planted.views_table(planted.noise(1, 1.0)),
        better=planted.views_table(planted.noise(2, 0.2), units="log1p"),
        middle=planted.curve_table(planted.noise(3, 0.6)),
    )
    views = leaderboard.loc[("shared test videos", "views")]
    assert views["rank"].to_dict() == {"better": 1, "middle": 2, "worse": 3}
    assert views.loc["better", "log_mae"] == pytest.approx(0.2)
    assert views.loc["worse", "behind_best"] == pytest.approx(0.8)
    assert 0 < views.loc["worse", "behind_best_lower"] < 0.8 < views.loc["worse", "behind_best_upper"]
    assert np.isnan(views.loc["better", "behind_best"])
    pairs = differences.loc[("views", "log_mae")]
    assert pairs["told_apart"].all() and (pairs["upper"] < 0).all()
    assert set(zip(pairs["better"], pairs["worse"], strict=True)) == {
        ("better", "worse"),
        ("better", "middle"),
        ("middle", "worse"),
    }
    assert notes == []


def test_tie_has_an_interval_that_contains_zero():
    error = planted.noise(1, 0.5)
    _, same, _ = compare(one=planted.views_table(error), two=planted.curve_table(error))
    for score in ("log_mae", "1 - srcc"):
        row = same.loc[("views", score)]
        assert row["difference"] == pytest.approx(0, abs=1e-9) and row["lower"] <= 0 <= row["upper"] + 1e-9
        assert not row["told_apart"]
    # As large errors of other videos: equally good, though never the same.
    _, alike, _ = compare(one=planted.views_table(error), two=planted.views_table(-error[::-1]))
    row = alike.loc[("views", "log_mae")]
    assert row["lower"] < 0 < row["upper"] and not row["told_apart"]


def test_classifiers_take_part_in_the_ranking_only():
    leaderboard, differences, _ = compare(
        forecast=planted.views_table(planted.noise(1, 0.2)),
        sharp=planted.classifier_table(2, 3.0),
        blunt=planted.classifier_table(3, 0.1),
    )
    ranking = leaderboard.loc[("shared test videos", "ranking by views")]
    assert ranking["rank"].to_dict() == {"forecast": 1, "sharp": 2, "blunt": 3}
    assert ranking.loc["forecast", "srcc"] > ranking.loc["sharp", "srcc"] > ranking.loc["blunt", "srcc"]
    assert ("shared test videos", "views") not in leaderboard.index.droplevel("family")
    popular = leaderboard.loc[("shared test videos", "popular")]
    assert popular["rank"].to_dict() == {"sharp": 1, "blunt": 2}
    assert differences.loc[("popular", "error_rate"), "told_apart"]


def test_curves_are_compared_on_the_days_that_both_forecast():
    leaderboard, differences, _ = compare(
        early=planted.curve_table(planted.noise(1, 0.2), first_day=2),
        late=planted.curve_table(planted.noise(2, 0.8), first_day=1),
    )
    curves = leaderboard.loc[("shared test videos", "popularity")]
    assert curves["rank"].to_dict() == {"early": 1, "late": 2}
    own = planted.metrics_of(planted.curve_table(planted.noise(2, 0.8)))
    assert curves.loc["late", "amae"] == pytest.approx(own["amae_2_4"])
    assert differences.loc[("popularity", "amae"), "told_apart"]


def test_families_without_shared_videos_keep_their_own_figures():
    other = np.array([f"w{number}" for number in range(60)], dtype=object)
    leaderboard, differences, notes = compare(
        one=planted.views_table(planted.noise(1, 0.5)),
        two=planted.views_table(planted.noise(2, 0.1), ids=other),
    )
    assert set(leaderboard.index.get_level_values("view")) == {"own test videos"}
    assert leaderboard["rank"].isna().all() and differences.empty
    assert len(notes) == 1 and "one, two could not be compared with each other" in notes[0]


def test_forecasts_of_unseen_videos_are_scored_with_the_truth_of_others():
    other = np.array([f"w{number}" for number in range(60)], dtype=object)
    elsewhere = planted.views_table(planted.noise(1, 0.1), ids=other, units="log1p")
    here = planted.views_table(planted.noise(2, 0.5))
    forecast = planted.views_table(planted.noise(3, 0.2), units="log1p").query("split == 'test'")
    forecast = forecast.drop(columns="y_true")

    def shared(splits: pd.DataFrame | None) -> tuple[pd.DataFrame, list[str]]:
        metrics = planted.metrics_of(elsewhere)
        runs = [
            read_run("moved", elsewhere, metrics, None, None, splits, forecast),
            read_run("local", here, planted.metrics_of(here), None, None),
        ]
        found, _ = nodes.score_shared_videos(runs, PARAMETERS)
        return found.scores, found.notes

    scores, notes = shared(pd.DataFrame({"video_id": other}))
    errors = scores.set_index("family")["log_mae"]
    assert errors.to_dict() == pytest.approx({"moved": 0.2, "local": 0.5}) and set(scores["n_videos"]) == {60}
    assert "60 videos of its forecast.parquet" in notes[0]
    # Not with videos that it may have been trained on.
    for splits in (None, pd.DataFrame({"video_id": [*other, *planted.IDS]})):
        assert shared(splits)[0].empty


def test_same_video_with_another_truth_is_not_shared():
    table = planted.views_table(planted.noise(1, 0.5))
    moved = table.assign(y_true=table["y_true"].where(table.index >= 30, table["y_true"] * 1.5))
    leaderboard, _, _ = compare(one=table, two=moved)
    assert set(leaderboard.loc["shared test videos", "n_videos"]) == {30}


def test_mismatch_names_family_metric_and_both_values():
    table = planted.views_table(planted.noise(1, 0.5))
    metrics = planted.metrics_of(table)
    changed = metrics | {"log_mae": 0.4}
    with pytest.raises(InputError) as error:
        read_run("ensemble", table, changed, None, None)
    for expected in ("ensemble", "log_mae: 0.4", repr(metrics["log_mae"])):
        assert expected in str(error.value)
    with pytest.raises(InputError, match=r"no metrics\.json"):
        read_run("ensemble", table, None, None, None)


def test_costs_by_hand():
    table = planted.views_table(planted.noise(1, 0.5))
    run = {"training_seconds": 9.0, "prediction_seconds": 3.0, "model_bytes": 2_500_000, "protocol": "honest"}
    forecast = ({"rows_used": 50}, {"total_seconds": 10.0})
    costs = read_run(
        "one", table, planted.metrics_of(table), {"rows_used": 7}, run, None, None, *forecast
    ).costs
    assert costs["prediction_seconds_per_1000"] == pytest.approx(1000 * 3 / 60)
    assert costs["forecast_seconds_per_1000"] == pytest.approx(200)
    assert (costs["model_megabytes"], costs["training_seconds"], costs["rows_used"]) == (2.5, 9.0, 7)
    unknown = read_run("one", table, planted.metrics_of(table), None, None).costs
    assert np.isnan(unknown["prediction_seconds_per_1000"]) and unknown["protocol"] is None
    assert unknown["test_fingerprint"] == costs["test_fingerprint"]


def test_without_any_run_the_error_says_what_to_run():
    with pytest.raises(InputError, match="kedro run --pipeline=smtpd_ep"):
        nodes.collect_runs({"smtpd_ep": [], "ensemble": []})
