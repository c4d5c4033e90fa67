"""The ensemble pipelines: stacked gradient boosting for the views of a table of videos."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.pipelines.ensemble import nodes, registration, reporting
from vidpop_pipelines.pipelines.tabular import nodes as tabular
from vidpop_pipelines.pipelines.tabular import reporting as views

_PARAMETERS = {
    name: name for name in ("params:tabular", "params:ensemble", "params:interval", "params:compute")
}


def _node(function: Callable, inputs: str | list[str], outputs: str | list[str]) -> Node:
    return Node(function, inputs, outputs, name=function.__name__)


def _data_report() -> Node:
    return _node(build_data_report, ["table_summary", "videos", "table_problems"], "data_report")


def _training() -> list[Node]:
    options = ["params:ensemble", "params:tabular", "params:compute", "resume_folder"]
    return [
        _node(tabular.split_videos, ["videos", "given_splits", "params:tabular"], "splits"),
        _node(nodes.train_folds, ["videos", "splits", *options], ["n_trees", "unstacked"]),
        _node(nodes.train_final, ["videos", "splits", "n_trees", *options], "members"),
        _node(
            nodes.stack_and_calibrate,
            ["members", "unstacked", "videos", "params:ensemble", "params:interval"],
            ["model", "out_of_fold"],
        ),
        _node(registration.register_model, "model", "registered_model"),
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
        _node(nodes.predict_held_out, ["model", "out_of_fold", "videos", "splits"], "predictions"),
        _node(views.evaluate_views, "predictions", "metrics"),
        _node(views.compare_with_baselines, ["predictions", "metrics", "params:tabular"], "comparison"),
        _node(views.compare_by_age, ["predictions", "videos"], "comparison_by_age"),
        _node(views.draw_members, "comparison", "members_figure"),
        _node(views.draw_predicted_against_true, "predictions", "predicted_figure"),
        _node(views.draw_residuals, "predictions", "residuals_figure"),
        _node(views.draw_ages, "comparison_by_age", "ages_figure"),
        _node(reporting.explain_forecasts, ["model", "videos", "splits", "params:tabular"], "explanation"),
        _node(reporting.draw_importance, "explanation", "importance_figure"),
        _node(reporting.draw_shap_summary, "explanation", "shap_figure"),
        _node(
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
    validation = _node(
        tabular.validate_training_table,
        ["table", "params:tabular"],
        ["videos", "table_problems", "table_summary"],
    )
    return Pipeline(
        [validation, _data_report(), *_training(), *_evaluation()],
        namespace="ensemble",
        inputs={"table": "tabular.csv", "given_splits": "tabular.given_splits"},
        parameters=_PARAMETERS,
    )


def create_predict_pipeline() -> Pipeline:
    """Creates the pipeline that forecasts a table with the trained ensemble."""
    validation = _node(
        tabular.validate_forecast_table,
        ["table", "params:tabular"],
        ["videos", "table_problems", "table_summary"],
    )
    return Pipeline(
        [validation, _data_report(), _node(nodes.forecast_new_videos, ["model", "videos"], "forecast")],
        namespace="ensemble_predict",
        inputs={"table": "tabular.csv", "model": "ensemble.model"},
        outputs={"forecast": "ensemble.forecast"},
        parameters={"params:tabular": "params:tabular"},
    )
