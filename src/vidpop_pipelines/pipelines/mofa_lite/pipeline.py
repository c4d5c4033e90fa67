"""The MoFA-Lite pipelines: training and evaluation, forecasts of new videos, analysis of the features."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.mofa_lite import analysis, nodes, registration, reporting
from vidpop_pipelines.pipelines.named_node import named_node

_PARAMETERS = {name: name for name in ("params:mofa_lite", "params:interval", "params:compute")}


def _report_data() -> Node:
    return named_node(reporting.report_data, ["folder_summary", "inputs", "folder_problems"], "data_report")


def _training() -> list[Node]:
    return [
        named_node(
            nodes.validate_training_folder,
            ["folder", "params:mofa_lite"],
            ["inputs", "folder_problems", "folder_summary"],
        ),
        _report_data(),
        named_node(nodes.split_videos, ["inputs", "params:mofa_lite", "params:interval"], "splits"),
        named_node(
            nodes.train_networks,
            ["inputs", "splits", "params:mofa_lite", "params:compute", "resume_folder", "epochs_folder"],
            ["networks", "history"],
        ),
        named_node(
            nodes.train_baselines,
            ["inputs", "splits", "networks", "params:mofa_lite", "params:compute", "resume_folder"],
            "baselines",
        ),
        named_node(
            nodes.blend_and_calibrate,
            ["inputs", "splits", "networks", "baselines", "params:mofa_lite", "params:interval"],
            "model",
        ),
        named_node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = ["scores_figure", "forecasts_figure", "attention_figure", "history_figure"]
    tables = ["metrics", "comparison", "fold_scores", "attention", "data_report"]
    return [
        named_node(
            reporting.predict_held_out, ["model", "inputs", "splits"], ["predictions", "attention_weights"]
        ),
        named_node(reporting.evaluate, "predictions", "metrics"),
        named_node(reporting.compare_with_baselines, ["predictions", "params:mofa_lite"], "comparison"),
        named_node(
            reporting.score_folds, ["model", "inputs", "splits", "predictions", "networks"], "fold_scores"
        ),
        named_node(reporting.summarise_attention, "attention_weights", "attention"),
        named_node(reporting.draw_scores, "comparison", "scores_figure"),
        named_node(reporting.draw_forecasts, "predictions", "forecasts_figure"),
        named_node(reporting.draw_attention, "attention", "attention_figure"),
        named_node(reporting.draw_history, "history", "history_figure"),
        named_node(
            reporting.build_report,
            [*tables, *figures, "params:mofa_lite", "params:interval"],
            "report",
        ),
    ]


def create_pipeline() -> Pipeline:
    """Creates the pipeline that trains and evaluates."""
    return Pipeline(
        [*_training(), *_evaluation()],
        namespace="mofa_lite",
        inputs={"folder": "mofa.train"},
        parameters=_PARAMETERS,
    )


def create_predict_pipeline() -> Pipeline:
    """Creates the pipeline that forecasts a folder of features with a trained model."""
    return Pipeline(
        [
            named_node(
                nodes.validate_forecast_folder,
                ["folder", "model"],
                ["inputs", "folder_problems", "folder_summary"],
            ),
            _report_data(),
            named_node(reporting.forecast_new_videos, ["model", "inputs"], ["forecast", "predictions_array"]),
        ],
        namespace="mofa_lite_predict",
        inputs={"folder": "mofa.test", "model": "mofa_lite.model"},
        outputs={"forecast": "mofa_lite.forecast", "predictions_array": "mofa_lite.predictions_array"},
    )


def create_analysis_pipeline() -> Pipeline:
    """Creates the pipeline that describes features and targets, and how the test folder differs."""
    figures = ["targets", "norms", "columns", "outliers", "correlations", "relevance", "projection", "drift"]
    sampled = "sampled"
    return Pipeline(
        [
            named_node(
                analysis.sample_folders,
                ["train_folder", "test_folder", "params:mofa_lite"],
                [sampled, "folder_problems"],
            ),
            named_node(analysis.describe_modalities, sampled, "modalities"),
            named_node(analysis.describe_targets, sampled, "targets"),
            *(
                Node(getattr(analysis, f"draw_{name}"), sampled, f"{name}_figure", name=f"draw_{name}")
                for name in figures
            ),
            named_node(
                analysis.build_report,
                ["modalities", "targets", "folder_problems", *(f"{name}_figure" for name in figures)],
                "report",
            ),
        ],
        namespace="mofa_lite_analysis",
        inputs={"train_folder": "mofa.train", "test_folder": "mofa.test"},
        parameters={"params:mofa_lite": "params:mofa_lite"},
    )
