import numpy as np
import pandas as pd
import planted
import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.predictions import build_predictions
from vidpop_pipelines.evaluation.recompute import check_metrics, kind_of, recompute_metrics


@pytest.mark.parametrize(
    ("predictions", "metrics", "kind"),
    [
        (planted.curve_table(planted.noise(1, 0.1)), {"amae_1_4": 0.0}, "curve"),
        (planted.classifier_table(1, 1.0), {"accuracy": 0.0}, "classifier"),
        (planted.views_table(planted.noise(1, 0.1), units="log1p"), {"nmse_views": 0.0}, "log_counts"),
        (planted.views_table(planted.noise(1, 0.1)), {"log_mae": 0.0}, "table"),
    ],
)
def test_kind_follows_from_predictions_and_names_of_metrics(predictions, metrics, kind):
    assert kind_of(predictions, metrics) == kind


def test_errors_of_each_kind_are_the_planted_ones():
    error = planted.noise(1, 0.25)
    assert recompute_metrics(planted.views_table(error), {})["log_mae"] == pytest.approx(0.25)
    curve = recompute_metrics(planted.curve_table(np.full(60, 0.5)), {"amae_2_4": 0.0})
    # ln(views + 1) is half a unit too high: log2(views / d + 1) by 0.5 / ln 2, nearly, since views are many.
    assert curve["amae_2_4"] == pytest.approx(0.5 / np.log(2), rel=0.02) and "amae_1_4" not in curve
    log_counts = recompute_metrics(planted.views_table(error, units="log1p"), {"nmse_views": 0.0})
    spread = np.var(planted.LOG_VIEWS)
    assert log_counts["nmse_views"] == pytest.approx(np.mean(error**2) / spread)
    classifier = recompute_metrics(planted.classifier_table(1, 50.0), {})
    assert classifier["roc_auc"] > 0.95 and classifier["srcc"] > 0.9


def test_targets_beside_views_are_named_and_classes_are_one_target():
    views = planted.views_table(planted.noise(1, 0.1))
    common = {"steps": [0], "split": "test", "fold": -1}
    ratio = build_predictions(planted.IDS[:4], [[0.1]] * 4, target="like_ratio", y_true=[[0.3]] * 4, **common)
    growth, decay = (
        build_predictions(
            planted.IDS[:4], [[probability]] * 4, target=f"stage={name}", y_true=[[truth]] * 4, **common
        )
        for name, probability, truth in (("growth", 0.8, 1.0), ("decay", 0.2, 0.0))
    )
    metrics = recompute_metrics(pd.concat([views, ratio, growth, decay], ignore_index=True), {})
    assert metrics["like_ratio_mae"] == pytest.approx(0.2)
    assert metrics["stage_accuracy"] == 1.0
    assert metrics["stage_log_loss"] == pytest.approx(-np.log(0.8))
    assert metrics["log_mae"] == pytest.approx(0.1)


def test_members_that_never_forecast_a_target_have_no_metrics_of_it():
    views = planted.views_table(planted.noise(1, 0.1))
    other = views.assign(target="decay_rate", y_pred_line=views["y_true"])
    metrics = recompute_metrics(pd.concat([views, other], ignore_index=True), {})
    assert "decay_rate_mae.line" in metrics and "mae.line" not in metrics


def test_every_metric_that_does_not_follow_is_named_with_both_values():
    predictions = planted.views_table(planted.noise(1, 0.1))
    metrics = recompute_metrics(predictions, {})
    check_metrics("ensemble", predictions, metrics)
    close, far = metrics["mae"] * (1 + 5e-7), metrics["mae"] * (1 + 5e-6)
    check_metrics("ensemble", predictions, metrics | {"mae": close})
    with pytest.raises(InputError) as error:
        check_metrics("ensemble", predictions, metrics | {"mae": far, "invented": 3.0, "rmse": float("nan")})
    for expected in ("ensemble", f"mae: {far!r}", repr(metrics["mae"]), "invented: 3.0", "rmse: nan"):
        assert expected in str(error.value)
