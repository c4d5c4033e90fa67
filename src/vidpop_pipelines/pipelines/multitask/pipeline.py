"""The multitask pipelines: one transformer for views, like ratio and life cycle of a table of videos."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.pipelines.multitask import nodes, registration, reporting
from vidpop_pipelines.pipelines.tabular import nodes as tabular
from vidpop_pipelines.pipelines.tabular import reporting as views

_PARAMETERS = {
    name: name for name in ("params:tabular", "params:multitask", "params:interval", "params:compute")
}


def _node(function: Callable, inputs: str | list[str], outputs: str | list[str]) -> Node:
    return Node(function, inputs, outputs, name=function.__name__)


def _targets() -> list[Node]:
    return [
        _node(tabular.split_videos, ["videos", "given_splits", "params:tabular"], "splits"),
        _node(nodes.assign_roles, ["videos", "splits", "params:multitask"], "roles"),
        _node(nodes.choose_targets, ["videos", "roles"], ["targets", "masked_targets"]),
        _node(
            nodes.report_data,
            ["table_summary", "videos", "table_problems", "targets", "masked_targets"],
            "data_report",
        ),
    ]


def _training() -> list[Node]:
    options = [f"params:{name}" for name in ("multitask", "tabular", "compute")]
    folders = ["resume_folder", "epochs_folder"]
    return [
        _node(
            nodes.train_on_older_videos,
            ["videos", "targets", "roles", *options, *folders],
            ["older_members", "budget", "history"],
        ),
        _node(
            nodes.train_on_all_videos,
            ["videos", "targets", "roles", "budget", *options, *folders],
            "members",
        ),
        _node(
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
        _node(registration.register_model, "model", "registered_model"),
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
        _node(
            nodes.predict_held_out,
            ["model", "older_members", "videos", "targets", "splits", "roles"],
            "predictions",
        ),
        _node(reporting.evaluate, "predictions", "metrics"),
        _node(reporting.select_views, "predictions", "views_predictions"),
        _node(views.evaluate_views, "views_predictions", "views_metrics"),
        _node(
            views.compare_with_baselines,
            ["views_predictions", "views_metrics", "params:tabular"],
            "comparison",
        ),
        _node(reporting.compare_targets, "metrics", "comparison_by_target"),
        _node(views.compare_by_age, ["views_predictions", "videos"], "comparison_by_age"),
        _node(views.draw_members, "comparison", "members_figure"),
        _node(reporting.draw_targets, "comparison_by_target", "targets_figure"),
        _node(views.draw_predicted_against_true, "views_predictions", "predicted_figure"),
        _node(views.draw_residuals, "views_predictions", "residuals_figure"),
        _node(views.draw_ages, "comparison_by_age", "ages_figure"),
        _node(reporting.draw_history, "history", "history_figure"),
        _node(
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
    validation = _node(
        tabular.validate_training_table,
        ["table", "params:tabular"],
        ["videos", "table_problems", "table_summary"],
    )
    return Pipeline(
        [validation, *_targets(), *_training(), *_evaluation()],
        namespace="multitask",
        inputs={"table": "tabular.csv", "given_splits": "tabular.given_splits"},
        parameters=_PARAMETERS,
    )


def create_predict_pipeline() -> Pipeline:
    """Creates the pipeline that forecasts a table with the trained multitask model."""
    validation = _node(
        tabular.validate_forecast_table,
        ["table", "params:tabular"],
        ["videos", "table_problems", "table_summary"],
    )
    report = _node(build_data_report, ["table_summary", "videos", "table_problems"], "data_report")
    return Pipeline(
        [validation, report, _node(nodes.forecast_new_videos, ["model", "videos"], "forecast")],
        namespace="multitask_predict",
        inputs={"table": "tabular.csv", "model": "multitask.model"},
        outputs={"forecast": "multitask.forecast"},
        parameters={"params:tabular": "params:tabular"},
    )
