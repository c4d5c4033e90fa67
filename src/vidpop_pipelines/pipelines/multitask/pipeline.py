"""The multitask pipelines: one transformer for views, like ratio and life cycle of a table of videos."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.multitask import nodes, registration, reporting
from vidpop_pipelines.pipelines.named_node import named_node
from vidpop_pipelines.pipelines.tabular import nodes as tabular
from vidpop_pipelines.pipelines.tabular import pipeline as shared
from vidpop_pipelines.pipelines.tabular import reporting as views

_PARAMETERS = {
    name: name for name in ("params:tabular", "params:multitask", "params:interval", "params:compute")
}


def _targets() -> list[Node]:
    return [
        named_node(tabular.split_videos, ["videos", "given_splits", "params:tabular"], "splits"),
        named_node(nodes.assign_roles, ["videos", "splits", "params:multitask"], "roles"),
        named_node(nodes.choose_targets, ["videos", "roles"], ["targets", "masked_targets"]),
        named_node(
            nodes.report_data,
            ["table_summary", "videos", "table_problems", "targets", "masked_targets"],
            "data_report",
        ),
    ]


def _training() -> list[Node]:
    options = [f"params:{name}" for name in ("multitask", "tabular", "compute")]
    folders = ["resume_folder", "epochs_folder"]
    return [
        named_node(
            nodes.train_on_older_videos,
            ["videos", "targets", "roles", *options, *folders],
            ["older_members", "budget", "history"],
        ),
        named_node(
            nodes.train_on_all_videos,
            ["videos", "targets", "roles", "budget", *options, *folders],
            "members",
        ),
        named_node(
            nodes.calibrate,
            [
                "members",
                "older_members",
                "videos",
                "targets",
                "masked_targets",
                "roles",
                "params:interval",
            ],
            "model",
        ),
        named_node(registration.register_model, "model", "registered_model"),
    ]


def _evaluation() -> list[Node]:
    figures = [
        "members_figure",
        "targets_figure",
        "predicted_figure",
        "residuals_figure",
        "ages_figure",
        "history_figure",
    ]
    return [
        named_node(
            nodes.predict_held_out,
            ["model", "older_members", "videos", "targets", "splits", "roles"],
            "predictions",
        ),
        named_node(reporting.evaluate, "predictions", "metrics"),
        named_node(reporting.select_views, "predictions", "views_predictions"),
        named_node(views.evaluate_views, "views_predictions", "views_metrics"),
        named_node(
            views.compare_with_baselines,
            ["views_predictions", "views_metrics", "params:tabular"],
            "comparison",
        ),
        named_node(reporting.compare_targets, "metrics", "comparison_by_target"),
        named_node(views.compare_by_age, ["views_predictions", "videos"], "comparison_by_age"),
        named_node(views.draw_members, "comparison", "members_figure"),
        named_node(reporting.draw_targets, "comparison_by_target", "targets_figure"),
        named_node(views.draw_predicted_against_true, "views_predictions", "predicted_figure"),
        named_node(views.draw_residuals, "views_predictions", "residuals_figure"),
        named_node(views.draw_ages, "comparison_by_age", "ages_figure"),
        named_node(reporting.draw_history, "history", "history_figure"),
        named_node(
            reporting.build_report,
            [
                "metrics",
                "comparison",
                "comparison_by_target",
                "comparison_by_age",
                "data_report",
                "budget",
                *figures,
            ],
            "report",
        ),
    ]


def create_pipeline() -> Pipeline:
    """Creates the pipeline that trains and evaluates the multitask model."""
    return Pipeline(
        [shared.validate(tabular.validate_training_table), *_targets(), *_training(), *_evaluation()],
        namespace="multitask",
        inputs={"table": "tabular.csv", "given_splits": "tabular.given_splits"},
        parameters=_PARAMETERS,
    )


def create_predict_pipeline() -> Pipeline:
    """Creates the pipeline that forecasts a table with the trained multitask model."""
    return shared.create_predict_pipeline("multitask", nodes.forecast_new_videos)
