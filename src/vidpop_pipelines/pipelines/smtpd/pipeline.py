"""The SMTPD pipelines: one template, two instances (with and without early popularity)."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.named_node import named_node
from vidpop_pipelines.pipelines.smtpd import leaderboard, nodes, registration, reporting

INSTANCES = ("smtpd_ep", "smtpd_no_ep")

# Raw data and embedding caches are the same for both instances; their catalog names carry the family's name.
_SHARED = {
    "table": "smtpd.csv",
    "thumbnails": "smtpd.images",
    "visual_cache": "smtpd.visual_cache",
    "text_cache": "smtpd.text_cache",
}
_PARAMETERS = {name: name for name in ("params:smtpd", "params:interval", "params:compute")}


def _features(encoders: str) -> list[Node]:
    """From videos to inputs; `encoders` names what says how to encode: parameters, or a trained model."""
    return [
        named_node(
            nodes.encode_thumbnails,
            ["videos", "thumbnails", "visual_cache", encoders, "params:compute"],
            ["visual", "thumbnail_problems"],
        ),
        named_node(nodes.encode_descriptions, ["videos", "text_cache", encoders, "params:compute"], "text"),
        named_node(nodes.detect_title_languages, "videos", "languages"),
        named_node(nodes.assemble_inputs, ["videos", "languages", "visual", "text"], "inputs"),
        named_node(
            reporting.report_data,
            ["table_summary", "videos", "table_problems", "thumbnail_problems"],
            "data_report",
        ),
    ]


def _training() -> list[Node]:
    return [
        named_node(nodes.split_videos, ["videos", "given_splits", "params:smtpd"], "splits"),
        named_node(
            nodes.fit_preprocessing, ["inputs", "splits", "params:smtpd", "params:instance"], "preprocessing"
        ),
        named_node(
            nodes.train_catboost,
            ["inputs", "splits", "preprocessing", "params:smtpd", "params:compute"],
            "catboost",
        ),
        named_node(
            nodes.train_network,
            [
                *("inputs", "splits", "preprocessing", "params:smtpd", "params:compute"),
                *("resume_folder", "epochs_folder"),
            ],
            ["networks", "history"],
        ),
        named_node(
            nodes.blend_and_calibrate,
            ["inputs", "splits", "preprocessing", "networks", "catboost", "params:smtpd", "params:interval"],
            "model",
        ),
        named_node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = ["day_metrics_figure", "forecasts_figure", "calibration_figure", "history_figure"]
    return [
        named_node(reporting.predict_held_out, ["model", "inputs", "splits", "params:smtpd"], "predictions"),
        named_node(reporting.evaluate, ["predictions", "params:smtpd"], "metrics"),
        named_node(reporting.compare_with_baselines, ["predictions", "params:smtpd"], "comparison"),
        named_node(reporting.draw_day_metrics, "predictions", "day_metrics_figure"),
        named_node(reporting.draw_forecasts, "predictions", "forecasts_figure"),
        named_node(reporting.draw_calibration, ["predictions", "params:interval"], "calibration_figure"),
        named_node(reporting.draw_history, "history", "history_figure"),
        named_node(
            reporting.build_report,
            ["metrics", "comparison", "data_report", *figures, "params:smtpd", "params:instance"],
            "report",
        ),
    ]


def create_pipeline(name: str) -> Pipeline:
    """Creates one instance of the template.

    Args:
        name: `smtpd_ep` (early popularity is an input) or `smtpd_no_ep`.
    """
    validation = named_node(
        nodes.validate_training_table,
        ["table", "params:smtpd", "params:instance"],
        ["videos", "table_problems", "table_summary"],
    )
    return Pipeline(
        [validation, *_features("params:smtpd"), *_training(), *_evaluation()],
        namespace=name,
        inputs=_SHARED | {"given_splits": "smtpd.given_splits"},
        parameters=_PARAMETERS | {"params:instance": f"params:{name}"},
    )


def create_predict_pipeline(name: str) -> Pipeline:
    """Creates the pipeline that forecasts a table with a trained model.

    Args:
        name: The instance whose model is used.
    """
    validation = named_node(
        nodes.validate_forecast_table,
        ["table", "params:instance"],
        ["videos", "table_problems", "table_summary"],
    )
    forecast = named_node(reporting.forecast_new_videos, ["model", "inputs"], "forecast")
    return Pipeline(
        [validation, *_features("model"), forecast],
        namespace=f"{name}_predict",
        inputs=_SHARED | {"model": f"{name}.model"},
        outputs={"forecast": f"{name}.forecast"},
        parameters={"params:instance": f"params:{name}", "params:compute": "params:compute"},
    )


def create_leaderboard_pipeline() -> Pipeline:
    """Creates the pipeline that scores the epochs and the paper's setups of the runs that exist."""
    parts = ("model", "inputs", "splits", "epochs_folder")
    scores = [
        Node(
            leaderboard.score_epochs,
            [*(f"{name}_{part}" for part in parts), "params:smtpd"],
            f"{name}_epochs",
            name=f"score_epochs_{name}",
        )
        for name in INSTANCES
    ]
    summary = [
        named_node(leaderboard.join_epochs, [f"{name}_epochs" for name in INSTANCES], "epochs"),
        named_node(leaderboard.compare_setups, [f"{name}_predictions" for name in INSTANCES], "setups"),
        named_node(leaderboard.draw_setups, "setups", "setups_figure"),
        named_node(leaderboard.draw_epochs, "epochs", "epochs_figure"),
    ]
    return Pipeline(
        scores + summary,
        namespace="smtpd_leaderboard",
        # Absent parts are loaded as None.
        inputs={
            f"{name}_{part}": f"if_present.{name}.{part}"
            for name in INSTANCES
            for part in (*parts, "predictions")
        },
        parameters={"params:smtpd": "params:smtpd"},
    )
