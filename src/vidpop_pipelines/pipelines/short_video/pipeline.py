"""The short-video pipelines: one template, two instances that differ in their backbone."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.named_node import named_node
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


def _features(options: str) -> list[Node]:
    """From a table to frames; `options` names what says which frames: parameters, or a trained model."""
    return [
        named_node(
            frames.decode_frames,
            ["listed", "frame_cache", options, "params:short_video", "params:compute"],
            ["videos", "frames", "frame_problems"],
        ),
        named_node(statistics.frame_statistics, "frames", "statistics"),
        named_node(
            reporting.report_data,
            ["table_summary", "videos", "table_problems", "frame_problems"],
            "data_report",
        ),
    ]


def _training() -> list[Node]:
    common = ["params:short_video", "params:instance"]
    return [
        named_node(labels.split_videos, ["videos", "given_splits", "params:short_video"], "splits"),
        named_node(labels.label_videos, ["videos", "splits", "params:short_video"], ["labels", "thresholds"]),
        named_node(nodes.prepare_backbone, [*common, "backbones_folder"], "backbone"),
        named_node(
            nodes.train_network,
            ["frames", "labels", "backbone", *common, "resume_folder", "epochs_folder"],
            ["network", "history"],
        ),
        named_node(nodes.train_boosting, ["statistics", "labels", "params:short_video"], "boosting"),
        named_node(
            nodes.calibrate_classifier,
            ["network", "boosting", "frames", "labels", "thresholds", *common, "params:interval"],
            "model",
        ),
        named_node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = ["confusion_figure", "calibration_figure", "ranking_figure", "history_figure"]
    return [
        named_node(
            reporting.predict_held_out,
            ["model", "frames", "statistics", "labels", "params:short_video"],
            "predictions",
        ),
        named_node(reporting.evaluate, "predictions", "metrics"),
        named_node(
            reporting.compare_with_baselines, ["predictions", "metrics", "params:short_video"], "comparison"
        ),
        named_node(reporting.draw_confusion, "predictions", "confusion_figure"),
        named_node(reporting.draw_calibration, "predictions", "calibration_figure"),
        named_node(reporting.draw_ranking, ["predictions", "thresholds", "table_summary"], "ranking_figure"),
        named_node(reporting.draw_history, "history", "history_figure"),
        named_node(
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
    validation = named_node(
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
            "params:compute": "params:compute",
            "params:instance": f"params:{name}",
        },
    )


def create_predict_pipeline(name: str) -> Pipeline:
    """Creates the pipeline that scores the videos of a table with a trained model.

    Args:
        name: The instance whose model is used.
    """
    validation = named_node(
        table.validate_forecast_table,
        ["table", "videos_folder", "params:short_video"],
        ["listed", "table_problems", "table_summary"],
    )
    forecast = named_node(
        reporting.forecast_new_videos, ["model", "videos", "frames", "statistics"], "forecast"
    )
    return Pipeline(
        [validation, *_features("model"), forecast],
        namespace=f"{name}_predict",
        inputs=_SHARED | {"model": f"{name}.model"},
        outputs={"forecast": f"{name}.forecast"},
        parameters={name: name for name in ("params:short_video", "params:compute")},
    )
