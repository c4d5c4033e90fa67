"""Folds in the order of time, numbers of trees, resuming."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tabular_videos import make_videos

from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.ensemble import training
from vidpop_pipelines.pipelines.ensemble.model import EnsembleModel
from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

TABULAR = TabularParameters(csv="videos.csv")
THREADS = ComputeOptions(backend="threading", n_jobs=2)


def parameters(learners: str = "xgboost+random_forest", **changes) -> EnsembleParameters:
    boosting = {"n_estimators": 50, "learning_rate": 0.1, "n_seeds": 2}
    names = ["xgboost", "lightgbm", "catboost", "hist_gradient_boosting"]
    preset = {
        "n_folds": 4,
        "first_share": 0.5,
        "text_components": 2,
        "random_forest": {"n_estimators": 10},
    } | dict.fromkeys(names, boosting)
    return EnsembleParameters(preset="fast", learners=learners, presets={"fast": preset | changes})


def train(videos, options, compute, folder: Path) -> tuple[dict[str, int], pd.DataFrame]:
    return training.train_folds(videos, options, TABULAR, compute, folder, "fingerprint")


def test_folds_expand_and_predict_only_later_rows():
    folds = training.time_folds(100, parameters())
    assert [(len(train), held_out[0], held_out[-1]) for train, held_out in folds] == [
        (52, 52, 63),
        (64, 64, 75),
        (76, 76, 87),
        (88, 88, 99),
    ]
    assert all((train == np.arange(held_out[0])).all() for train, held_out in folds)


def test_calibration_takes_at_least_one_fold_and_leaves_one():
    assert training.calibration_folds(parameters()) == 1
    assert training.calibration_folds(parameters(n_folds=2)) == 1
    most = parameters(n_folds=10).model_copy(update={"calibration_share": 0.99})
    assert training.calibration_folds(most) == 9


def test_calibration_videos_do_not_choose_the_number_of_trees(tmp_path):
    videos = make_videos(160)
    options = parameters()
    n_trees, _ = train(videos, options, THREADS, tmp_path / "a")
    newest = training.time_folds(160, options)[-1][1]
    changed = videos.copy()
    changed.loc[newest, "views"] = 1.0
    again, _ = train(changed, options, THREADS, tmp_path / "b")
    assert n_trees == again
    assert 1 <= n_trees["xgboost"] <= 50 and n_trees["random_forest"] == 10


def test_parallel_folds_equal_folds_one_after_the_other(tmp_path):
    videos, options = make_videos(160), parameters("lightgbm+catboost+hist_gradient_boosting")
    _, parallel = train(videos, options, ComputeOptions(n_jobs=2), tmp_path / "a")
    _, serial = train(videos, options, ComputeOptions(backend="threading", n_jobs=1), tmp_path / "b")
    pd.testing.assert_frame_equal(parallel, serial)


def test_finished_folds_are_not_fitted_again(tmp_path, monkeypatch):
    videos, options = make_videos(160), parameters("xgboost")
    whole = train(videos, options, THREADS, tmp_path)
    kept = sorted((tmp_path / "folds").iterdir())
    assert len(kept) == 4
    kept[1].unlink()
    fitted = []
    original = training.Base.fit
    monkeypatch.setattr(
        training.Base, "fit", lambda *arguments: fitted.append(len(arguments[0])) or original(*arguments)
    )
    resumed = train(videos, options, THREADS, tmp_path)
    assert fitted == [100]  # the rows before the second fold
    assert resumed[0] == whole[0]
    pd.testing.assert_frame_equal(resumed[1], whole[1])


def test_too_few_rows_give_no_intervals(caplog):
    assert training.fit_intervals(np.zeros(8), np.zeros(8), 0.9) is None
    assert "9 are needed" in caplog.text
    found = training.fit_intervals(np.arange(9.0), np.zeros(9), 0.9)
    assert found.half_widths.tolist() == [8.0]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> tuple[EnsembleModel, pd.DataFrame]:
    videos, options = (
        make_videos(160),
        parameters("xgboost+lightgbm+catboost+hist_gradient_boosting+random_forest"),
    )
    folder = tmp_path_factory.mktemp("resume")
    n_trees, _ = train(videos, options, THREADS, folder)
    members = training.fit_final(videos, n_trees, options, TABULAR, THREADS, folder, "fingerprint")
    weights = dict.fromkeys(options.learners, 0.2)
    intervals = training.fit_intervals(np.arange(20.0) / 10, np.zeros(20), 0.9)
    return EnsembleModel(members, weights, intervals, "fingerprint"), videos


def test_saving_and_loading_the_model_gives_equal_forecasts_without_pickle(model, tmp_path):
    trained, videos = model
    trained.save(tmp_path)
    again = EnsembleModel.load(tmp_path).predict(videos)
    for name, values in trained.predict(videos).items():
        np.testing.assert_allclose(again[name], values, rtol=1e-6, err_msg=name)
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes == {".json", ".safetensors", ".skops", ".ubj", ".txt", ".cbm"}
    assert not [path for path in tmp_path.iterdir() if path.read_bytes()[:1] == b"\x80"]


def test_the_forecast_is_the_weighted_sum_in_log_views(model):
    trained, videos = model
    forecast = trained.predict(videos)
    logs = [np.log1p(forecast[name]) for name in trained.weights]
    np.testing.assert_allclose(np.log1p(forecast["y_pred"]), np.mean(logs, axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.log1p(forecast["upper"]) - np.log1p(forecast["y_pred"]), 1.8)
    assert (forecast["lower"] >= 0).all()


def test_shap_values_of_the_stack_add_up_to_its_forecast(model):
    from vidpop_pipelines.pipelines.ensemble.explanation import as_matrices, explain, importance

    trained, videos = model
    explanation = explain(trained, videos.iloc[:30])
    shap_values, _, names = as_matrices(explanation)
    forecast = np.log1p(trained.predict(videos.iloc[:30])["y_pred"])
    base = forecast - shap_values.sum(axis=1)
    np.testing.assert_allclose(base, base[0], atol=1e-4)
    assert names == trained.members.base.features.names
    # The components of a text are one bar.
    assert (
        "title_words" in importance(explanation).index
        and "title_words_0" not in importance(explanation).index
    )
    assert importance(explanation).is_monotonic_decreasing
