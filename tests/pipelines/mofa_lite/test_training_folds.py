"""Folds: parallel as serial, killed and resumed; members, blend and the saved ensemble."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mofa_folders import make_inputs, small_parameters

from vidpop_pipelines.evaluation.multi_target import nmse
from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.mofa_lite import baselines, nodes, reporting
from vidpop_pipelines.pipelines.mofa_lite.baselines import RidgeRegression
from vidpop_pipelines.pipelines.mofa_lite.forecaster import MofaForecaster
from vidpop_pipelines.pipelines.mofa_lite.protocol import assign_splits, fold_rows, hold_out_rows
from vidpop_pipelines.pipelines.mofa_lite.training import blend_weights, train_network

SERIAL = ComputeOptions(n_jobs=1)
BLEND = {"blend": ["lightgbm", "kernel"], "lightgbm": {"max_rounds": 20}}


def train_all(folder, compute=SERIAL, parameters=None, inputs=None):
    inputs, parameters = inputs or make_inputs(), parameters or small_parameters(**BLEND)
    splits = assign_splits(inputs.video_ids, parameters, 0.9)
    networks, history = nodes.train_networks(
        inputs, splits, parameters, compute, folder / "resume", folder / "epochs"
    )
    others = nodes.train_baselines(inputs, splits, networks, parameters, compute, folder / "resume")
    forecaster = nodes.blend_and_calibrate(inputs, splits, networks, others, parameters, IntervalOptions())
    return inputs, splits, forecaster, networks, history


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_all(tmp_path_factory.mktemp("trained"))


def assert_same_forecasts(first, second, inputs):
    rows = np.arange(len(inputs))
    left, right = first.forecast(inputs, rows), second.forecast(inputs, rows)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_parallel_folds_equal_serial_ones(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_WORTH_A_PROCESS", 0)
    inputs, _, forecaster, _, history = trained
    _, _, parallel, _, again = train_all(tmp_path, ComputeOptions(backend="loky", n_jobs=2))
    assert_same_forecasts(forecaster, parallel, inputs)
    pd.testing.assert_frame_equal(history, again)


def test_baselines_that_were_trained_are_not_trained_again(trained, tmp_path, monkeypatch):
    inputs, splits, _, networks, _ = trained
    parameters = small_parameters(**BLEND)

    def train(parameters):
        return nodes.train_baselines(inputs, splits, networks, parameters, SERIAL, tmp_path)

    first = train(parameters)

    def forbidden(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(baselines, "_fit_lightgbm", forbidden)
    np.testing.assert_array_equal(first[1].ridge.coefficients, train(parameters)[1].ridge.coefficients)
    with pytest.raises(AssertionError, match="trained again"):
        train(parameters.model_copy(update={"seed": 1}))


def test_ensemble_survives_saving_without_pickle(trained, tmp_path):
    inputs, _, forecaster, _, _ = trained
    forecaster.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".txt"}
    assert_same_forecasts(forecaster, MofaForecaster.load(tmp_path), inputs)


def test_forecast_is_the_blend_of_the_mean_of_the_folds(trained):
    inputs, splits, forecaster, _, _ = trained
    rows = hold_out_rows(splits)
    forecast = forecaster.forecast(inputs, rows)
    each = [models.forecast(inputs, rows) for models in forecaster.folds.values()]
    for name in ("network", "lightgbm", "kernel", "ridge", "mean", "attention"):
        np.testing.assert_allclose(forecast[name], np.mean([one[name] for one in each], axis=0), atol=1e-5)
    assert sum(forecaster.shares.values()) == pytest.approx(1)
    blend = sum(share * forecast[name] for name, share in forecaster.shares.items())
    np.testing.assert_allclose(forecast["y_pred"], blend)
    np.testing.assert_allclose(forecast["attention"].sum(axis=1), 1, atol=1e-5)
    assert (forecast["lower"] < forecast["y_pred"]).all() and (forecast["lower"] >= 0).all()


def test_networks_of_the_folds_differ_and_report_their_best_epoch(trained):
    _, _, _, networks, history = trained
    scores = history.pivot(index="epoch", columns="fold", values="validation_score")
    for fold, result in networks.items():
        assert result.best_epoch == scores[fold].idxmin()
    first, second = (networks[fold].network.scorer[0].weight for fold in (0, 1))
    assert not (first == second).all()


def test_out_of_fold_forecasts_come_from_the_fold_that_did_not_train_on_the_row(trained):
    inputs, splits, forecaster, _, _ = trained
    predictions, attention = reporting.predict_held_out(forecaster, inputs, splits)
    assert len(predictions) == 3 * len(inputs) and not predictions.duplicated(["video_id", "target"]).any()
    test = predictions[predictions["split"] == "test"]
    assert set(test["fold"]) == {-1} and test["video_id"].nunique() == len(hold_out_rows(splits))
    folds = splits.set_index("video_id")["fold"]
    assert (predictions["fold"].to_numpy() == folds.loc[predictions["video_id"]].to_numpy()).all()
    row = fold_rows(splits, 1)["out_of_fold"][0]
    own = forecaster.folds[1].forecast(inputs, np.array([row]))["network"][0]
    kept = predictions[predictions["video_id"] == inputs.video_ids[row]]
    np.testing.assert_allclose(kept["y_pred_network"], own, rtol=1e-6)
    summary = reporting.summarise_attention(attention)
    np.testing.assert_allclose(summary[["audio", "image", "text"]].sum(axis=1), 1, atol=1e-5)
    assert summary["n_videos"].iloc[1:].sum() == summary["n_videos"].iloc[0] == 72


def test_changing_held_out_targets_changes_no_model(trained, tmp_path):
    inputs, splits, forecaster, _, _ = trained
    poisoned = make_inputs()
    poisoned.targets[hold_out_rows(splits)] += 100
    _, _, other, _, _ = train_all(tmp_path, inputs=poisoned)
    assert forecaster.shares == other.shares
    assert_same_forecasts(forecaster, other, inputs)


def test_without_a_blend_the_forecast_is_the_network_and_no_kernel_is_trained(tmp_path):
    inputs, splits, forecaster, _, _ = train_all(
        tmp_path, parameters=small_parameters(calibration=0.0, lightgbm={"max_rounds": 5})
    )
    forecast = forecaster.forecast(inputs, hold_out_rows(splits))
    np.testing.assert_array_equal(forecast["y_pred"], forecast["network"])
    assert "kernel" not in forecast and np.isnan(forecast["lower"]).all()


def test_comparison_names_the_difference_to_lightgbm(trained):
    inputs, splits, forecaster, networks, _ = trained
    predictions, _ = reporting.predict_held_out(forecaster, inputs, splits)
    table = reporting.compare_with_baselines(predictions, small_parameters()).set_index(["rows", "forecast"])
    score = table["score"]["hold-out"]
    difference = table.loc[("hold-out", "network"), "difference_to_lightgbm"]
    assert difference == pytest.approx(score["network"] - score["lightgbm"])


def test_each_fold_is_scored_beside_the_ensemble(trained):
    inputs, splits, forecaster, networks, _ = trained
    predictions, _ = reporting.predict_held_out(forecaster, inputs, splits)
    table = reporting.score_folds(forecaster, inputs, splits, predictions, networks)
    scores = table.set_index(["fold", "rows", "forecast"])
    assert len(scores) == 4 * 2 * 6
    for where, rows in (
        ("out of fold", fold_rows(splits, 2)["out_of_fold"]),
        ("hold-out", hold_out_rows(splits)),
    ):
        for name in ("network", "ridge"):
            own = forecaster.folds[2].forecast(inputs, rows)[name]
            expected = nmse(inputs.targets[rows], own)
            np.testing.assert_allclose(
                scores.loc[("2", where, name)].iloc[1:4].astype(float), expected, atol=1e-5
            )
            assert scores.at[("2", where, name), "score"] == pytest.approx(expected.mean(), abs=1e-5)
    assert scores.at[("2", "hold-out", "network"), "best_epoch"] == networks[2].best_epoch
    whole = reporting.compare_with_baselines(predictions, small_parameters()).set_index(["rows", "forecast"])
    assert (
        scores.at[("ensemble", "hold-out", "forecast"), "score"]
        == whole.at[("hold-out", "forecast"), "score"]
    )
    shown = reporting._network_scores(table)
    assert shown["fold"].tolist() == ["0", "1", "2", "ensemble"] and shown["best epoch"].iloc[3] == "–"


def test_blend_weights_find_the_best_mixture():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 2))
    noise = rng.normal(size=(3, 4000, 2))
    # Independent errors of variances 1, 4 and 4 are weighed by their inverses.
    members = {"a": truth + noise[0], "b": truth + 2 * noise[1], "c": truth + 2 * noise[2]}
    shares = blend_weights(truth, members)
    assert list(shares.values()) == pytest.approx([4 / 6, 1 / 6, 1 / 6], abs=0.03)
    # A member that only adds noise to another one gets nothing, and never a negative share.
    shares = blend_weights(truth, {"a": truth + noise[0], "b": truth + noise[0] + noise[1]})
    assert shares == pytest.approx({"a": 1.0, "b": 0.0}, abs=1e-3)


def test_ridge_forecasts_raw_features_with_holes():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 4)) * [1, 10, 100, 0]).astype(np.float32)
    targets = features @ np.array([[1.0], [0.1], [0.01], [0]]) + 5
    model = RidgeRegression.fit(features, targets)
    np.testing.assert_allclose(model.forecast(features), targets, atol=0.1)
    hole = features.copy()
    hole[:, 2] = np.nan
    np.testing.assert_allclose(
        model.forecast(hole), model.forecast(np.where(np.isnan(hole), np.median(features, axis=0), hole))
    )


CHILD = """
import sys
from pathlib import Path
import torch
from mofa_folders import make_inputs, small_parameters
from vidpop_pipelines.pipelines.mofa_lite.protocol import assign_splits, fold_rows
from vidpop_pipelines.pipelines.mofa_lite.training import train_network
torch.set_num_threads(1)
inputs, parameters = make_inputs(), small_parameters(training=eval(sys.argv[2]))
rows = fold_rows(assign_splits(inputs.video_ids, parameters, 0.9), 1)
train_network(inputs, rows, parameters, 1, Path(sys.argv[1]), Path(sys.argv[1]) / "epochs", "same")
"""


@pytest.mark.slow
def test_a_fold_that_was_killed_goes_on_and_ends_the_same(tmp_path):
    training = small_parameters().training.model_dump() | {"epochs": 60}
    inputs, parameters = make_inputs(), small_parameters(training=training)
    rows = fold_rows(assign_splits(inputs.video_ids, parameters, 0.9), 1)

    def train(folder: Path):
        return train_network(inputs, rows, parameters, 1, folder, folder / "epochs", "same")

    whole = train(tmp_path / "whole")
    killed = tmp_path / "killed"
    path = os.pathsep.join([str(Path(__file__).parents[2] / "helpers"), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(killed), repr(training)], env=os.environ | {"PYTHONPATH": path}
    )
    while not list(killed.glob("training/checkpoint-*/complete")):
        assert child.poll() is None, "the fold ended before it could be killed"
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (checkpoint,) = killed.glob("training/checkpoint-*/complete")
    assert int(checkpoint.parent.name.removeprefix("checkpoint-")) < 60 * 3
    resumed = train(killed)
    pd.testing.assert_frame_equal(whole.history, resumed.history)
    for name, value in whole.network.state_dict().items():
        assert (value == resumed.network.state_dict()[name]).all(), name
    assert not list(killed.glob("features_*"))
