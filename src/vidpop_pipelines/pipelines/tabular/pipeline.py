"""The parts of a pipeline that `ensemble` and `multitask` share."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.pipelines.named_node import named_node
from vidpop_pipelines.pipelines.tabular import nodes


def validate(function: Callable) -> Node:
    """Creates the node that validates the raw table."""
    return named_node(function, ["table", "params:tabular"], ["videos", "table_problems", "table_summary"])


def report_data() -> Node:
    """Creates the node that writes the data report."""
    return named_node(build_data_report, ["table_summary", "videos", "table_problems"], "data_report")


def create_predict_pipeline(family: str, forecast_new_videos: Callable) -> Pipeline:
    """Creates the pipeline that forecasts a table with a trained model.

    Args:
        family: Name of the pipeline that trained it.
        forecast_new_videos: Node function from model and videos to the forecast table.
    """
    return Pipeline(
        [
            validate(nodes.validate_forecast_table),
            report_data(),
            named_node(forecast_new_videos, ["model", "videos"], "forecast"),
        ],
        namespace=f"{family}_predict",
        inputs={"table": "tabular.csv", "model": f"{family}.model"},
        outputs={"forecast": f"{family}.forecast"},
        parameters={"params:tabular": "params:tabular"},
    )
