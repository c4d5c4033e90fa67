import numpy as np
import planted
import pytest

from vidpop_pipelines.pipelines.model_card.nodes import score_table, write_card
from vidpop_pipelines.registry import _shorten

RUN = {
    "inputs": {"tabular.csv": "a" * 64},
    "data_fingerprint": "b" * 64,
    "test_fingerprint": "c" * 64,
    "protocol": "honest",
    "environment": "base",
    "git_commit": "e" * 40,
}
REPORT = {
    "rows_read": 100,
    "rows_used": 90,
    "left_out": [{"count": 10}],
    "crawl_time_features": ["subscribers"],
}


def with_baselines(error: np.ndarray):
    table = planted.views_table(error)
    return table.assign(
        y_pred_median=planted.views_table(planted.noise(2, 1.0))["y_pred"],
        y_pred_partial=table["y_pred"].where(table.index > 5),
    )


def test_scores_stand_beside_baselines_with_intervals():
    table = with_baselines(planted.noise(1, 0.3))
    scores = score_table(table, planted.metrics_of(table)).set_index("forecast")
    # The baseline that skips videos is left out.
    assert list(scores.index) == ["forecast", "median"]
    assert scores.loc["forecast", "error"] == pytest.approx(0.3)
    assert scores.loc["median", "above forecast"] == pytest.approx(0.7)
    lower, upper = map(float, scores.loc["forecast", "error interval"].split(" to "))
    assert lower < 0.3 < upper
    lower, upper = map(float, scores.loc["median", "interval"].split(" to "))
    assert 0 < lower < 0.7 < upper


def test_card_says_what_it_was_trained_on_how_good_it_is_and_its_limits():
    table = with_baselines(planted.noise(1, 0.3))
    metrics = planted.metrics_of(table) | {"coverage": 0.91}
    card = write_card({"name": "ensemble", "version": "3"}, table, metrics, REPORT, RUN)
    for expected in (
        "# ensemble, version 3",
        "Forecasts views",
        f"tabular.csv ({'a' * 12})",
        "90 of 100 rows",
        f"data {'b' * 12}, test set {'c' * 12}",
        "Protocol honest",
        "60 test videos",
        "| views | forecast | 60 | log_mae | 0.3000 |",
        "held 91.0% of the true values",
        "test set is small",
        "subscribers",
        "10 rows could not be used",
    ):
        assert expected in card
    published = write_card(
        {"name": "ensemble", "version": "3"}, table, {}, REPORT, RUN | {"protocol": "published"}
    )
    assert "too good for new videos" in published and "no prediction intervals" in published


@pytest.mark.parametrize(
    ("table", "task"),
    [
        (planted.curve_table(planted.noise(1, 0.2)), "popularity"),
        (planted.classifier_table(1, 1.0), "popular"),
        (planted.views_table(planted.noise(1, 0.2), units="log1p"), "views"),
    ],
)
def test_every_kind_of_family_has_scores(table, task):
    assert task in set(score_table(table, planted.metrics_of(table))["task"])


def test_long_description_is_cut_at_a_line():
    assert _shorten("short") == "short"
    card = "\n".join(f"line {number}" for number in range(1000))
    short = _shorten(card)
    assert len(short) <= 5000 and "model_card.md" in short
    assert short.splitlines()[-3].startswith("line ")
