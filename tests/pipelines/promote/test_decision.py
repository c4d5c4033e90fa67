import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.promote.decision import decide, is_lower_better, main_metric
from vidpop_pipelines.pipelines.promote.parameters import PromoteParameters
from vidpop_pipelines.registry import Version

SAME = {"data_fingerprint": "d" * 64, "test_fingerprint": "t" * 64, "protocol": "honest"}


def version(number: int, tags: dict | None = None, **metrics) -> Version:
    return Version(str(number), f"run {number}", metrics, SAME | (tags or {}))


def promoted(candidate: Version, champion: Version | None, **rule) -> bool:
    return decide(candidate, champion, PromoteParameters(family="ensemble", **rule))["promoted"]


def test_first_version_becomes_champion_and_stays_it():
    decision = decide(version(1, log_mae=0.5), None, PromoteParameters(family="ensemble"))
    assert decision["promoted"] and "there was none" in decision["reason"]
    assert not promoted(version(1, log_mae=0.5), version(1, log_mae=0.5))


@pytest.mark.parametrize(
    ("candidate", "champion", "rule", "expected"),
    [
        ({"log_mae": 0.4}, {"log_mae": 0.5}, {}, True),
        ({"log_mae": 0.6}, {"log_mae": 0.5}, {}, False),
        ({"log_mae": 0.5}, {"log_mae": 0.5}, {}, False),
        ({"log_mae": 0.4}, {"log_mae": 0.5}, {"minimal_improvement": 0.2}, False),
        ({"log_mae": 0.25}, {"log_mae": 0.5}, {"minimal_improvement": 0.25}, True),
        ({"f1_weighted": 0.6}, {"f1_weighted": 0.5}, {}, True),
        ({"f1_weighted": 0.4}, {"f1_weighted": 0.5}, {}, False),
        ({"log_mae": 0.4, "srcc": 0.1}, {"log_mae": 0.5, "srcc": 0.9}, {"metric": "srcc"}, False),
        ({"new": 2.0}, {"new": 1.0}, {"metric": "new", "lower_is_better": False}, True),
    ],
)
def test_rule(candidate, champion, rule, expected):
    assert promoted(version(2, **candidate), version(1, **champion), **rule) is expected


def test_decision_says_what_was_compared():
    decision = decide(version(2, log_mae=0.4), version(1, log_mae=0.5), PromoteParameters(family="ensemble"))
    for expected in ("version 2 of ensemble (log_mae 0.4)", "version 1", "0.5", "improvement of 0.1"):
        assert expected in decision["reason"]
    assert decision["champion"]["log_mae"] == 0.5 and decision["improvement"] == pytest.approx(0.1)


@pytest.mark.parametrize("tag", sorted(SAME))
def test_other_data_is_refused_unless_asked_for(tag):
    candidate, champion = version(2, {tag: "x" * 64}, log_mae=0.1), version(1, log_mae=0.5)
    with pytest.raises(InputError, match=tag) as error:
        promoted(candidate, champion)
    assert "x" * 12 in str(error.value) and "x" * 13 not in str(error.value)
    worse = version(2, {tag: "x" * 64}, log_mae=0.9)
    decision = decide(worse, champion, PromoteParameters(family="ensemble", across_data=True))
    assert decision["promoted"] and "without a comparison" in decision["reason"]
    assert decision["improvement"] is None


def test_unknown_data_is_not_the_same_data():
    bare = Version("2", "run", {"log_mae": 0.1}, {})
    with pytest.raises(InputError, match="unknown"):
        promoted(bare, Version("1", "run", {"log_mae": 0.5}, {}))


def test_absent_metric_names_those_that_are_there():
    with pytest.raises(InputError, match="no metric mase") as error:
        promoted(version(1, log_mae=0.5, rmse=3.0), None, metric="mase")
    assert "log_mae, rmse" in str(error.value)
    with pytest.raises(InputError, match="did not end"):
        promoted(version(1), None)


def test_main_metric_and_direction_of_every_family():
    assert main_metric({"amae_1_30": 1, "amae_2_30": 1, "amae_2_7": 1, "mae_day_2": 1}) == "amae_1_30"
    assert main_metric({"nmse_views": 1, "score": 1}) == "score"
    assert main_metric({"accuracy": 1, "f1_weighted": 1}) == "f1_weighted"
    assert main_metric({"rmse": 1, "log_mae": 1}) == "log_mae"
    assert main_metric({"other": 1}) is None
    lower = ("amae_2_30", "mae_day_7", "log_mae.catboost", "nmse_likes", "oof_score", "like_ratio_mae", "ece")
    higher = ("asrc_2_30", "src_day_7", "r2_log", "srcc.median", "lifecycle_stage_accuracy", "roc_auc")
    assert [is_lower_better(name) for name in lower + higher] == [True] * len(lower) + [False] * len(higher)
    with pytest.raises(InputError, match="coverage"):
        is_lower_better("coverage")
