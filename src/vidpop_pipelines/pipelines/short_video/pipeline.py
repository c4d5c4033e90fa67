"""The short-video pipelines: one template, two instances that differ in their backbone."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.short_video import (
    frames,
    labels,
    nodes,
    registration,
    reporting,
    statistics,
    table,
)

INSTANCES = ("timesformer", "smolvlm2")

# Raw data and the frame cache are the same for both instances; their catalog names carry the family's name.
_SHARED = {
    "table": "short_video.csv",
    "videos_folder": "short_video.videos",
    "frame_cache": "short_video.frame_cache",
}


def _node(function: Callable, inputs: str | list[str], outputs: str | list[str]) -> Node:
    return Node(function, inputs, outputs, name=function.__name__)


def _features(options: str) -> list[Node]:
    """From a table to frames; `options` names what says which frames: parameters, or a trained model."""
    return [
        _node(
            frames.decode_frames,
            ["listed", "frame_cache", options, "params:short_video"],
            ["videos", "frames", "frame_problems"],
        ),
        _node(statistics.frame_statistics, "frames", "statistics"),
        _node(
            reporting.report_data,
            ["table_summary", "videos", "table_problems", "frame_problems"],
            "data_report",
        ),
    ]


def _training() -> list[Node]:
    common = ["params:short_video", "params:instance"]
    return [
        _node(labels.split_videos, ["videos", "given_splits", "params:short_video"], "splits"),
        _node(labels.label_videos, ["videos", "splits", "params:short_video"], ["labels", "thresholds"]),
        _node(nodes.prepare_backbone, [*common, "backbones_folder"], "backbone"),
        _node(
            nodes.train_network,
            ["frames", "labels", "backbone", *common, "resume_folder", "epochs_folder"],
            ["network", "history"],
        ),
        _node(nodes.train_boosting, ["statistics", "labels", "params:short_video"], "boosting"),
        _node(
            nodes.calibrate_classifier,
            ["network", "boosting", "frames", "labels", "thresholds", *common, "params:interval"],
            "model",
        ),
        _node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = ["confusion_figure", "calibration_figure", "ranking_figure", "history_figure"]
    return [
        _node(
            reporting.predict_held_out,
            ["model", "frames", "statistics", "labels", "params:short_video"],
            "predictions",
        ),
        _node(reporting.evaluate, "predictions", "metrics"),
        _node(
            reporting.compare_with_baselines, ["predictions", "metrics", "params:short_video"], "comparison"
        ),
        _node(reporting.draw_confusion, "predictions", "confusion_figure"),
        _node(reporting.draw_calibration, "predictions", "calibration_figure"),
        _node(reporting.draw_ranking, ["predictions", "thresholds", "table_summary"], "ranking_figure"),
        _node(reporting.draw_history, "history", "history_figure"),
        _node(
            reporting.build_report,
            [
                *("metrics", "comparison", "data_report", "labels", "thresholds"),
                *figures,
                *("params:short_video", "params:instance"),
            ],
            "report",
        ),
    ]


def create_pipeline(name: str) -> Pipeline:
    """Creates one instance of the template.

    Args:
        name: `timesformer` or `smolvlm2`.
    """
    validation = _node(
        table.validate_training_table,
        ["table", "videos_folder", "params:short_video"],
        ["listed", "table_problems", "table_summary"],
    )
    return Pipeline(
        [validation, *_features("params:instance"), *_training(), *_evaluation()],
        namespace=name,
        inputs=_SHARED
        | {
            "given_splits": "short_video.given_splits",
            "backbones_folder": "short_video.backbones_folder",
        },
        parameters={
            "params:short_video": "params:short_video",
            "params:interval": "params:interval",
            "params:instance": f"params:{name}",
        },
    )


def create_predict_pipeline(name: str) -> Pipeline:
    """Creates the pipeline that scores the videos of a table with a trained model.

    Args:
        name: The instance whose model is used.
    """
    validation = _node(
        table.validate_forecast_table,
        ["table", "videos_folder", "params:short_video"],
        ["listed", "table_problems", "table_summary"],
    )
    forecast = _node(reporting.forecast_new_videos, ["model", "videos", "frames", "statistics"], "forecast")
    return Pipeline(
        [validation, *_features("model"), forecast],
        namespace=f"{name}_predict",
        inputs=_SHARED | {"model": f"{name}.model"},
        outputs={"forecast": f"{name}.forecast"},
        parameters={"params:short_video": "params:short_video"},
    )
