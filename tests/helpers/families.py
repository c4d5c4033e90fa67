"""What the contract tests know about each family; a new family adds one entry to `FAMILIES`."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from plain_metrics import (
    class_scores,
    count_scores,
    curve_scores,
    joined,
    normalised_scores,
    number_scores,
    two_class_scores,
)
from tests_project import ROOT

ABSENT = object()
"""In place of a value: the field is left out of the request."""


@dataclass(frozen=True)
class Serving:
    """How a served model is asked, and what it must answer.

    Attributes:
        example: A request for one video.
        answers: Names of the columns of an answer.
        keys: Columns that tell the rows of one video's answer apart, and their values.
        interval: Columns of lower end, forecast and upper end.
        alike: Pairs of changes of the example that must be answered alike, given the project's folder.
        different: Changes of the example that must change the forecast, given the project's folder.
        refused: Changes that must be answered with status 400, and the field that the message must name.
    """

    example: dict[str, Any]
    answers: set[str]
    keys: dict[str, list]
    interval: tuple[str, str, str]
    alike: Callable[[Path], list[tuple[dict, dict]]]
    different: Callable[[Path], list[dict]]
    refused: list[tuple[dict, str]]


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        parameters: Runtime parameters (with __ for the dot) that make its run small.
        recompute: Computes all metrics from the predictions table, without the project's metric code.
        strong: Columns of the forecast's members and strong baselines.
        trivial: Columns of trivial baselines, at least one of which must be there.
        logged: Some parameters of the MLflow run.
        artifacts: Some artifacts of the MLflow run, beside those of every family.
        serving: How the served model is asked.
        history: A metric that is logged after every epoch (in a run of its own for each of several folds), and the
            number of epochs; None if nothing has epochs.
        rows_read: Rows of the input, used or not.
        forecast_parameters: Runtime parameters with which the predict pipeline forecasts the training videos.
        rtol: Relative tolerance between two forecasts of a video among different other ones.
        resume_state: What appears in the folder of the resume state in the middle of a training.
        longer: Runtime parameters with which there is time to kill it there.
        resumes: What the next run says.
        second: Another instance of a template that an earlier family is of; only `make test-all` runs it.
    """

    parameters: dict[str, Any]
    recompute: Callable[[pd.DataFrame], dict[str, float]]
    strong: set[str]
    trivial: set[str]
    logged: set[str]
    artifacts: set[str]
    serving: Serving
    history: tuple[str, int] | None = None
    rows_read: int = 150
    forecast_parameters: dict[str, Any] = field(default_factory=dict)
    rtol: float = 0.0
    resume_state: str = "**/checkpoint-*/complete"
    longer: dict[str, Any] = field(default_factory=dict)
    resumes: str = "resumed after epoch"
    second: bool = False


def _thumbnail(project: Path) -> Path:
    return next((project / "data/01_raw/sample/thumbnails").glob("sample_0000[1-3].jpg"))


def _encoded(project: Path) -> str:
    return base64.b64encode(_thumbnail(project).read_bytes()).decode()


def _smtpd(early_popularity: bool) -> Family:
    example: dict[str, Any] = {"title": "How to bake bread", "category": "Howto & Style", "duration": 300}
    refused: list[tuple[dict, str]] = [
        ({"thumbnail": "no picture!"}, "thumbnail"),
        ({"thumbnail": base64.b64encode(b"no picture").decode()}, "thumbnail"),
        ({"duration": "long"}, "duration"),
    ]
    if early_popularity:
        example["day_1"] = 10.5
        refused += [({"day_1": ABSENT}, "day_1"), ({"day_1": -3}, "day_1"), ({"day_1": 123456}, "day_1")]
    return Family(
        parameters={"smtpd__training__epochs": 2, "smtpd__catboost__iterations": 20},
        recompute=curve_scores,
        strong={"y_pred_network", "y_pred_catboost"},
        trivial={"y_pred_persistence", "y_pred_median"},
        logged={"smtpd.training.epochs", "sha256.smtpd.csv", "runtime.smtpd.training.epochs"},
        artifacts={"forecasts.plotly.json"},
        serving=Serving(
            example=example,
            answers={"video_id", "day", "y_pred", "lower", "upper"},
            keys={"day": list(range(2 if early_popularity else 1, 31))},
            interval=("lower", "y_pred", "upper"),
            alike=lambda project: [
                ({"thumbnail": _encoded(project)}, {"thumbnail": str(_thumbnail(project))})
            ],
            different=lambda project: [{"thumbnail": _encoded(project)}],
            refused=refused,
        ),
        history=("validation_amae", 2),
        longer={"smtpd__training__epochs": 30},
        second=not early_popularity,
    )


def _tabular_serving(targets: set[str]) -> Serving:
    return Serving(
        example={
            "title": "Amazing makeup tutorial for beginners",
            "tags": ["makeup", "tutorial"],
            "categories": ["Howto & Style"],
            "duration_seconds": 600,
            "channel_avg_views": 50_000,
            "channel_video_count": 25,
            "published_at": "2024-06-24T07:26:00+00:00",
        },
        answers={"video_id", "predicted_views", "lower", "upper"} | targets,
        keys={},
        interval=("lower", "predicted_views", "upper"),
        alike=lambda project: [
            ({"tags": ["makeup", "tutorial"]}, {"tags": "makeup|tutorial"}),
            ({"published_at": "2024-06-24T09:26:00+02:00"}, {"published_at": "2024-06-24 07:26"}),
            ({"age_hours": None}, {"age_hours": 720}),
        ],
        different=lambda project: [{"channel_avg_views": 5_000_000}, {"duration_seconds": 10}],
        refused=[
            ({"duration_seconds": -600}, "duration_seconds"),
            ({"duration_seconds": "long"}, "duration_seconds"),
            ({"published_at": "24/06/2024"}, "published_at"),
            ({"tags": [1, 2]}, "tags"),
            ({"categories": 10}, "categories"),
        ],
    )


def _clip(name: str) -> Path:
    return ROOT / "data/01_raw/sample/videos" / name


def _short_video(name: str) -> Family:
    clip = _clip("sample_00001.mp4")
    return Family(
        parameters={f"{name}__training__epochs": 2},
        recompute=two_class_scores,
        strong={"y_pred_boosting", "y_pred_network"},
        trivial={"y_pred_majority"},
        logged={f"{name}.training.epochs", "sha256.short_video.csv", f"runtime.{name}.training.epochs"},
        artifacts={"comparison.csv", "labels.parquet", "confusion.plotly.json", "calibration.plotly.json"},
        serving=Serving(
            example={"video": str(clip)},
            answers={"video_id", "popular", "y_pred", "lower", "upper"},
            keys={},
            interval=("lower", "y_pred", "upper"),
            alike=lambda project: [
                ({"video": base64.b64encode(clip.read_bytes()).decode()}, {"video": str(clip)})
            ],
            different=lambda project: [{"video": str(_clip("sample_00002.mp4"))}],
            refused=[
                ({"video": "absent.mp4"}, "video"),
                ({"video": base64.b64encode(b"no video").decode()}, "video"),
                ({"video": ""}, "video"),
                ({"video": ABSENT}, "video"),
            ],
        ),
        history=("validation_f1_weighted", 2),
        longer={f"{name}__training__epochs": 6},
        second=name == "smolvlm2",
    )


_STAGES = {f"lifecycle_stage={stage}" for stage in ("growth", "peak", "decay")}
_LEARNERS = ("xgboost", "lightgbm", "catboost", "hist_gradient_boosting", "random_forest")

FAMILIES: dict[str, Family] = {
    "smtpd_ep": _smtpd(early_popularity=True),
    "smtpd_no_ep": _smtpd(early_popularity=False),
    "timesformer": _short_video("timesformer"),
    "smolvlm2": _short_video("smolvlm2"),
    "ensemble": Family(
        parameters={f"ensemble__presets__fast__{name}__n_estimators": 20 for name in _LEARNERS},
        recompute=count_scores,
        strong={f"y_pred_{name}" for name in _LEARNERS},
        trivial={"y_pred_median"},
        logged={
            "ensemble.preset",
            "sha256.tabular.csv",
            "runtime.ensemble.presets.fast.xgboost.n_estimators",
        },
        artifacts={"comparison.csv", "comparison_by_age.csv", "shap.plotly.json", "importance.plotly.json"},
        serving=_tabular_serving(set()),
        # Features are float32, and sums of them depend on what else is in the table.
        rtol=1e-5,
        resume_state="folds/*.joblib",
        longer={f"ensemble__presets__fast__{name}__n_estimators": 100 for name in _LEARNERS},
        resumes="are there already",
    ),
    "multitask": Family(
        parameters={
            "multitask__training__epochs": 2,
            "multitask__network__n_networks": 2,
            "multitask__catboost__iterations": 20,
        },
        recompute=joined(
            count_scores,
            *(
                partial(number_scores, target=name)
                for name in ("like_ratio", "time_to_peak_days", "decay_rate")
            ),
            partial(class_scores, target="lifecycle_stage"),
        ),
        strong={"y_pred_catboost"},
        trivial={"y_pred_median"},
        logged={"multitask.training.epochs", "sha256.tabular.csv", "runtime.multitask.training.epochs"},
        artifacts={"comparison.csv", "comparison_by_target.csv", "comparison_by_age.csv"},
        serving=_tabular_serving(
            {"like_ratio", "time_to_peak_days", "decay_rate", "lifecycle_stage"} | _STAGES
        ),
        history=("train_loss", 2),
        longer={"multitask__training__epochs": 20},
        rtol=1e-4,
    ),
    "mofa_lite": Family(
        parameters={"mofa_lite__training__epochs": 2, "mofa_lite__n_folds": 3},
        recompute=normalised_scores,
        strong={"y_pred_network", "y_pred_kernel", "y_pred_lightgbm"},
        trivial={"y_pred_mean"},
        logged={"mofa_lite.training.epochs", "sha256.mofa.train", "runtime.mofa_lite.training.epochs"},
        artifacts={"comparison.csv", "fold_scores.csv", "attention.csv", "attention.plotly.json"},
        serving=Serving(
            example={"text": [0.5] * 64, "image": [0.1] * 64, "video": [-0.2] * 48},
            answers={"video_id", "target", "y_pred", "lower", "upper"},
            keys={"target": ["views", "likes", "comments"]},
            interval=("lower", "y_pred", "upper"),
            alike=lambda project: [({"video": ABSENT}, {"video": None})],
            different=lambda project: [{"text": [-2.0] * 64}, {"video": ABSENT}],
            refused=[({"text": [0.5] * 3}, "text"), ({"image": "a picture"}, "image")],
        ),
        history=("validation_score", 2),
        resume_state="**/*.joblib",
        longer={"mofa_lite__training__epochs": 6},
        resumes="are there already",
        # The others are in its folder for testing.
        rows_read=120,
        forecast_parameters={"mofa__test": "data/01_raw/sample/mofa/train"},
    ),
}
