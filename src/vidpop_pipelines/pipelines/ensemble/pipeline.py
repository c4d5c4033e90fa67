"""The ensemble pipelines: stacked gradient boosting for the views of a table of videos."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.ensemble import nodes, registration, reporting
from vidpop_pipelines.pipelines.named_node import named_node
from vidpop_pipelines.pipelines.tabular import nodes as tabular
from vidpop_pipelines.pipelines.tabular import pipeline as shared
from vidpop_pipelines.pipelines.tabular import reporting as views

_PARAMETERS = {
    name: name for name in ("params:tabular", "params:ensemble", "params:interval", "params:compute")
}


def _training() -> list[Node]:
    options = ["params:ensemble", "params:tabular", "params:compute", "resume_folder"]
    return [
        named_node(tabular.split_videos, ["videos", "given_splits", "params:tabular"], "splits"),
        named_node(nodes.train_folds, ["videos", "splits", *options], ["n_trees", "unstacked"]),
        named_node(nodes.train_final, ["videos", "splits", "n_trees", *options], "members"),
        named_node(
            nodes.stack_and_calibrate,
            ["members", "unstacked", "videos", "params:ensemble", "params:interval"],
            ["model", "out_of_fold"],
        ),
        named_node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = [
        "members_figure",
        "predicted_figure",
        "residuals_figure",
        "ages_figure",
        "importance_figure",
        "shap_figure",
    ]
    return [
        named_node(nodes.predict_held_out, ["model", "out_of_fold", "videos", "splits"], "predictions"),
        named_node(views.evaluate_views, "predictions", "metrics"),
        named_node(views.compare_with_baselines, ["predictions", "metrics", "params:tabular"], "comparison"),
        named_node(views.compare_by_age, ["predictions", "videos"], "comparison_by_age"),
        named_node(views.draw_members, "comparison", "members_figure"),
        named_node(views.draw_predicted_against_true, "predictions", "predicted_figure"),
        named_node(views.draw_residuals, "predictions", "residuals_figure"),
        named_node(views.draw_ages, "comparison_by_age", "ages_figure"),
        named_node(
            reporting.explain_forecasts, ["model", "videos", "splits", "params:tabular"], "explanation"
        ),
        named_node(reporting.draw_importance, "explanation", "importance_figure"),
        named_node(reporting.draw_shap_summary, "explanation", "shap_figure"),
        named_node(
            reporting.build_report,
            [
                "metrics",
                "comparison",
                "comparison_by_age",
                "data_report",
                "model",
                "n_trees",
                *figures,
                "params:ensemble",
            ],
            "report",
        ),
    ]


def create_pipeline() -> Pipeline:
    """Creates the pipeline that trains and evaluates the ensemble."""
    return Pipeline(
        [
            shared.validate(tabular.validate_training_table),
            shared.report_data(),
            *_training(),
            *_evaluation(),
        ],
        namespace="ensemble",
        inputs={"table": "tabular.csv", "given_splits": "tabular.given_splits"},
        parameters=_PARAMETERS,
    )


def create_predict_pipeline() -> Pipeline:
    """Creates the pipeline that forecasts a table with the trained ensemble."""
    return shared.create_predict_pipeline("ensemble", nodes.forecast_new_videos)
