"""Training on older and on all videos, saving, and the tables that come out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tabular_videos import make_videos

from vidpop_pipelines.parameters import ComputeOptions, IntervalOptions
from vidpop_pipelines.pipelines.multitask import nodes, reporting, training
from vidpop_pipelines.pipelines.multitask.model import MultitaskModel
from vidpop_pipelines.pipelines.multitask.parameters import MultitaskParameters
from vidpop_pipelines.pipelines.multitask.preparation import Preparation
from vidpop_pipelines.pipelines.multitask.targets import STAGE, TARGETS
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters

TABULAR = TabularParameters(csv="videos.csv")
SERIAL = ComputeOptions(backend="threading", n_jobs=1)
N_VIDEOS = 160


def parameters(epochs: int = 2) -> MultitaskParameters:
    return MultitaskParameters(
        text_components=2,
        validation_share=0.15,
        calibration_share=0.2,
        huber_delta=1.5,
        network={
            "token_size": 8,
            "n_layers": 1,
            "n_heads": 2,
            "hidden_size": 16,
            "read_size": 4,
            "readout_size": 16,
            "dropout": 0.1,
            "token_dropout": 0.1,
            "n_networks": 2,
        },
        catboost={"iterations": 10},
        training={
            "epochs": epochs,
            "batch_size": 32,
            "optimizer": "adamw",
            "learning_rate": 0.003,
            "weight_decay": 0.05,
            "scheduler": "cosine",
            "warmup_fraction": 0.1,
            "max_gradient_norm": 1.0,
            "precision": "fp32",
            "n_threads": 1,
            "keep_epochs": "none",
        },
    )


def make_targets(videos: pd.DataFrame) -> tuple[dict[str, np.ndarray], pd.DataFrame, dict[str, str]]:
    splits = pd.DataFrame(
        {"video_id": videos["video_id"], "fold": (videos.index < len(videos) - 30).astype(int)}
    )
    roles = nodes.assign_roles(videos, splits, parameters())
    return roles, *nodes.choose_targets(videos, roles)


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    videos = make_videos(N_VIDEOS, n_days=20)
    # A third still grows, so that there is a stage to tell.
    growing = videos.index % 3 == 0
    for day in range(1, 21):
        videos.loc[growing, f"views_day_{day}"] = 100.0 * day
    return videos


def run(videos: pd.DataFrame, folder: Path) -> tuple[MultitaskModel, pd.DataFrame]:
    """Runs the nodes from table to predictions."""
    splits = pd.DataFrame(
        {"video_id": videos["video_id"], "fold": (videos.index < len(videos) - 30).astype(int)}
    )
    roles, targets, masked = make_targets(videos)
    options = (parameters(), TABULAR, SERIAL, folder / "resume", folder / "epochs")
    older, budget, history = nodes.train_on_older_videos(videos, targets, roles, *options)
    assert 1 <= budget["epochs"] <= 2 and len(history) == 2
    members = nodes.train_on_all_videos(videos, targets, roles, budget, *options)
    model = nodes.calibrate(members, older, videos, targets, masked, roles, IntervalOptions(coverage=0.9))
    return model, nodes.predict_held_out(model, older, videos, targets, splits, roles)


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory) -> tuple[MultitaskModel, pd.DataFrame]:
    return run(videos, tmp_path_factory.mktemp("multitask"))


def test_roles_are_in_the_order_of_time():
    roles, _, _ = make_targets(make_videos(N_VIDEOS).sample(frac=1, random_state=0).reset_index(drop=True))
    assert {name: len(rows) for name, rows in roles.items()} == {
        "train": 84,
        "validation": 20,
        "calibration": 26,
    }
    videos = make_videos(N_VIDEOS).sample(frac=1, random_state=0).reset_index(drop=True)
    times = [videos["published_at"].iloc[rows] for rows in roles.values()]
    assert times[0].max() <= times[1].min() and times[1].max() <= times[2].min()


def test_predictions_have_every_target_with_baselines(trained):
    _, predictions = trained
    names = {"views", "like_ratio", "time_to_peak_days", "decay_rate"}
    names |= {f"lifecycle_stage={stage}" for stage in ("growth", "peak", "decay")}
    assert set(predictions["target"]) == names
    stages = predictions[predictions["target"].str.startswith(STAGE)]
    sums = stages.groupby("video_id")[["y_pred", "y_pred_catboost", "y_pred_prior"]].sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-6)
    metrics = reporting.evaluate(predictions)
    assert {
        "log_rmse",
        "log_rmse.catboost",
        "lifecycle_stage_accuracy.prior",
        "decay_rate_mae.median",
    } <= set(metrics)
    table = reporting.compare_targets(metrics)
    assert set(table["target"]) == set(TARGETS)


def test_saved_model_forecasts_the_same_and_is_no_pickle(trained, videos, tmp_path):
    model, _ = trained
    model.save(tmp_path)
    again = MultitaskModel.load(tmp_path)
    before, after = model.predict(videos), again.predict(videos)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    pd.testing.assert_frame_equal(model.answer(videos), again.answer(videos))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {
        ".json",
        ".safetensors",
        ".cbm",
        ".skops",
    }


def test_a_table_with_views_only_trains_on_views_only(tmp_path):
    model, predictions = run(make_videos(N_VIDEOS), tmp_path)
    assert model.targets == ["views"] and set(predictions["target"]) == {"views"}
    assert set(model.masked_targets) == set(TARGETS[1:])
    answer = model.answer(make_videos(3))
    assert answer["like_ratio"].isna().all() and answer["lifecycle_stage"].isna().all()
    assert (answer["predicted_views"] >= 0).all()


def test_nothing_is_fitted_on_videos_to_stop_on(videos):
    """Other views of the held-out videos: the same features, trend, units and centres."""
    _, targets, _ = make_targets(videos)
    held_out = np.arange(len(videos)) >= 100
    changed = targets.copy()
    changed.loc[held_out, "views"] += 5.0

    def fit(values: pd.DataFrame) -> Preparation:
        training_videos = training.TrainingVideos(videos, values, held_out)
        rows = ~held_out
        return Preparation.fit(
            videos[rows],
            values[rows],
            training_videos.weights(TABULAR)[rows],
            text_components=2,
            tabular=TABULAR,
        )

    first, second = fit(targets), fit(changed)
    assert first.centres == second.centres and first.scales == second.scales
    np.testing.assert_array_equal(first.input_mean, second.input_mean)


def test_loss_of_a_target_by_hand():
    """Errors of 1, 2 and 4 scales with delta 2: 0.5, 2 and 2 * (4 - 1) = 6; their mean is 2.8333."""
    truth = np.array([0.0, 0.0, 0.0])
    forecast = np.array([[0.5], [1.0], [-2.0]])
    assert training.target_loss("views", truth, forecast, 0.5, 2.0) == pytest.approx(8.5 / 3)
    probabilities = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    assert training.target_loss(STAGE, np.array([0.0, 2.0]), probabilities, 1.0, 2.0) == pytest.approx(
        -np.log([0.5, 0.8]).mean()
    )


def test_token_size_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="no multiple of n_heads"):
        parameters().network.model_validate(parameters().network.model_dump() | {"n_heads": 3})


def test_too_few_calibration_videos_mean_no_intervals(videos, caplog):
    targets = pd.DataFrame({"views": [1.0, 2.0]})
    forecasts = {"views": {"network": np.array([1.0, 2.0])}}
    assert training.fit_intervals(targets, forecasts, 0.9) == {"views": None}
    assert "No intervals of views: 2 calibration videos know it, 9 are needed" in caplog.text
