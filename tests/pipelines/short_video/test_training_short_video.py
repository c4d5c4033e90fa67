"""Fine-tuning on a pattern that can be learnt: loss, F1, calibration, resuming, saving."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from short_video_inputs import (
    ARCHITECTURES,
    frame_options,
    make_frames,
    make_instance,
    make_labels,
    make_parameters,
)
from sklearn.metrics import f1_score

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.intervals import ConformalIntervals
from vidpop_pipelines.pipelines.short_video import training
from vidpop_pipelines.pipelines.short_video.classifier import (
    ShortVideoClassifier,
    TrainedNetwork,
    interval_bounds,
    resolve_local,
)
from vidpop_pipelines.training.metric_logger import NoMetricLogger

N_VIDEOS = 96


@pytest.fixture(scope="module")
def labels():
    return make_labels(N_VIDEOS)


@pytest.fixture(scope="module")
def frames(labels):
    return make_frames(labels["label"].to_numpy())


@pytest.fixture(scope="module")
def train(labels, frames, tiny_backbones, tmp_path_factory):
    """Returns a function that trains an architecture in a new folder, or in the given one."""

    def run(architecture, folder=None, logger=None, **options):
        folder = folder or tmp_path_factory.mktemp("training")
        return training.train_network(
            frames,
            labels,
            str(tiny_backbones[architecture]),
            make_parameters(),
            make_instance(architecture, **options),
            folder / "resume",
            folder / "epochs",
            logger or NoMetricLogger(),
        )

    return run


@pytest.fixture(scope="module")
def trained(train):
    """Returns the network and history of each architecture, trained once."""
    results = {}

    def result(architecture):
        if architecture not in results:
            results[architecture] = train(architecture, epochs=6)
        return results[architecture]

    return result


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_falls_in_four_bits_and_test_f1_beats_the_majority_class(architecture, trained, labels, frames):
    network, history = trained(architecture)
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]
    rows = training.labelled_rows(labels)["test"]
    truth = labels["label"].to_numpy()[rows]
    predicted = network.logits(frames, rows) > 0
    majority = f1_score(truth, np.zeros(len(truth)), average="weighted")
    assert f1_score(truth, predicted, average="weighted") > majority + 0.2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_classifier_scores_as_the_trained_one(architecture, trained, labels, frames, tmp_path):
    network, _ = trained(architecture)
    scaling, intervals = training.calibrate(network, frames, labels, 0.9, seed=0)
    statistics = _statistics(labels)
    classifier = ShortVideoClassifier(
        name=architecture,
        network=network,
        frames=frame_options(architecture),
        scaling=scaling,
        intervals=intervals,
        boosting=training.train_boosting(statistics, labels, make_parameters().boosting, 0),
        popular_share=0.5,
        thresholds={"low": 0.2, "high": 0.8},
        protocol="honest",
        data_fingerprint="0",
    )
    rows = np.arange(8)
    before = classifier.probabilities(frames, rows) | classifier.baselines(statistics.iloc[rows])
    classifier.save(tmp_path)
    again = ShortVideoClassifier.load(tmp_path)
    after = again.probabilities(frames, rows) | again.baselines(statistics.iloc[rows])
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-6, err_msg=name)
    assert (before["lower"] <= before["y_pred"]).all() and (before["y_pred"] <= before["upper"]).all()
    # The tiny backbone travels with the model; a folder moved as a whole still loads.
    moved = tmp_path.with_name(tmp_path.name + "_moved")
    shutil.move(tmp_path, moved)
    np.testing.assert_allclose(
        ShortVideoClassifier.load(moved).network.logits(frames, rows), network.logits(frames, rows), atol=1e-5
    )
    assert json.loads((moved / "config.json").read_text())["backbone"]["quantization"] == "nf4"


def _statistics(labels):
    rng = np.random.default_rng(0)
    signal = labels["label"] + rng.normal(0, 0.3, len(labels))
    return pd.DataFrame({"brightness": signal, "duration": rng.random(len(labels))})


def test_boosting_learns_and_stops_on_validation_rows(labels):
    statistics = _statistics(labels)
    model = training.train_boosting(statistics, labels, make_parameters().boosting, 0)
    rows = training.labelled_rows(labels)["test"]
    predicted = model.predict(statistics.to_numpy()[rows]) >= 0.5
    assert (predicted == labels["label"].to_numpy()[rows]).mean() > 0.8
    # Rows of other roles say nothing: without their labels the model is the same.
    fewer = labels.copy()
    fewer.loc[fewer["test"] | fewer["calibration"], "label"] = np.nan
    again = training.train_boosting(statistics, fewer, make_parameters().boosting, 0)
    assert again.model_to_string() == model.model_to_string()


def test_training_sees_labelled_training_and_validation_rows_alone(labels, frames, train, monkeypatch):
    seen = []
    read = training.LabelledBatches.__call__
    monkeypatch.setattr(
        training.LabelledBatches, "__call__", lambda self, rows: seen.extend(rows) or read(self, rows)
    )
    train("timesformer", epochs=1)
    known = training.labelled_rows(labels)
    assert set(seen) == set(known["train"]) | set(known["validation"])


def test_class_weights_by_hand():
    # Three of class 0, one of class 1: 4 / (2 * 3) and 4 / (2 * 1); the mean over the rows is 1.
    np.testing.assert_allclose(training.class_weights(np.array([0, 0, 0, 1])), [2 / 3, 2])


def test_calibration_uses_labelled_calibration_rows_alone(labels):
    class Fixed:
        """A network whose logits say the label, but for one video."""

        def logits(self, frames, rows):
            asked.append(rows)
            truth = np.nan_to_num(labels["label"].to_numpy()[rows])
            return np.where(rows == wrong, -1, 1) * np.where(truth == 1, 2.0, -2.0)

    asked = []
    known = training.labelled_rows(labels)["calibration"]
    wrong = known[0]
    scaling, intervals = training.calibrate(Fixed(), None, labels, 0.9, seed=0)
    assert [rows.tolist() for rows in asked] == [known.tolist()]
    assert scaling.temperature > 0.5 and intervals.coverage == 0.9
    few = labels.copy()
    few.loc[known[5:], "label"] = np.nan
    scaling, intervals = training.calibrate(Fixed(), None, few, 0.9, seed=0)
    assert scaling is not None and intervals is None
    few.loc[known, "label"] = np.nan
    assert training.calibrate(Fixed(), None, few, 0.9, seed=0) == (None, None)


def test_intervals_of_a_label_are_its_conformal_set():
    intervals = ConformalIntervals(0.9, (0,), np.array([0.3]), scaled=False)
    lower, upper = interval_bounds(intervals, np.array([0.9, 0.5, 0.2]))
    np.testing.assert_allclose(lower, [0.6, 0.2, 0.0])
    np.testing.assert_allclose(upper, [1.0, 0.8, 0.5])
    lower, upper = interval_bounds(None, np.array([0.9]))
    assert np.isnan([lower, upper]).all()


def test_a_stopped_training_goes_on_to_the_same_weights(train, tmp_path):
    class Stopping:
        def log_metrics(self, metrics, step):
            if step == 2:
                raise KeyboardInterrupt

    whole, history = train("timesformer", tmp_path / "whole", epochs=4, keep_epochs="all")
    with pytest.raises(KeyboardInterrupt):
        train("timesformer", tmp_path / "stopped", Stopping(), epochs=4, keep_epochs="all")
    assert len(list((tmp_path / "stopped/resume").glob("checkpoint-*"))) == 1
    resumed, again = train("timesformer", tmp_path / "stopped", epochs=4, keep_epochs="all")
    pd.testing.assert_frame_equal(again[history.columns], history)
    for epoch in range(1, 5):
        files = [tmp_path / run / f"epochs/epoch_{epoch:02d}.safetensors" for run in ("whole", "stopped")]
        assert files[0].read_bytes() == files[1].read_bytes()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_folders_are_found_again_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert resolve_local("models") == str(tmp_path / "models")
    assert resolve_local("facebook/timesformer-base-finetuned-k400").startswith("facebook/")
    with pytest.raises(InputError, match="no such folder"):
        resolve_local("./absent")


def test_logits_do_not_depend_on_the_batch(trained, frames):
    network, _ = trained("smolvlm2")
    one_by_one = TrainedNetwork(**{**network.__dict__, "batch_size": 1})
    rows = np.arange(5)
    np.testing.assert_allclose(network.logits(frames, rows), one_by_one.logits(frames, rows), atol=1e-5)
