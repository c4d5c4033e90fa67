"""The comparison pipeline: one leaderboard of all families that have been run."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.comparison import nodes, reporting
from vidpop_pipelines.pipelines.named_node import named_node

# What is read of each family, under the names of its own datasets: Kedro then runs the comparison after whatever
# families are in the same run. The hook `OptionalInputs` makes those that do not exist None.
_FILES = ("predictions", "metrics", "data_report", "run", "splits", "forecast")
_FORECAST_FILES = ("data_report", "run")


def _files(family: str) -> list[str]:
    forecast = [f"{family}_predict.{name}" for name in _FORECAST_FILES]
    return [f"{family}.{name}" for name in _FILES] + forecast


def _read(family: str) -> Node:
    def read_run(*files):
        from vidpop_pipelines.pipelines.comparison.family_run import read_run

        run = read_run(family, *files)
        # Kedro passes on no None.
        return [] if run is None else [run]

    return Node(
        read_run, _files(family), f"{family}_checked", name=f"check_{family}", tags=["inputs_may_be_absent"]
    )


def _collect(families: Sequence[str]) -> Node:
    def collect_runs(*runs):
        return nodes.collect_runs(dict(zip(families, runs, strict=True)))

    return Node(
        collect_runs, [f"{name}_checked" for name in families], ["runs", "absent"], name="collect_runs"
    )


def create_pipeline(families: Sequence[str]) -> Pipeline:
    """Creates the pipeline.

    Args:
        families: Names of the pipelines that are compared, as registered.
    """
    figures = ["shared_views_figure", "ranking_figure", "costs_figure", "leaderboard_figure"]
    tables = ["leaderboard", "differences", "shared", "absent", "params:comparison"]
    return Pipeline(
        [
            *(_read(name) for name in families),
            _collect(families),
            named_node(nodes.score_own_videos, "runs", "own"),
            named_node(nodes.score_shared_videos, ["runs", "params:comparison"], ["shared", "differences"]),
            named_node(nodes.build_leaderboard, ["runs", "own", "shared"], "leaderboard"),
            named_node(
                reporting.draw_shared_views, ["leaderboard", "params:comparison"], "shared_views_figure"
            ),
            named_node(reporting.draw_ranking, "leaderboard", "ranking_figure"),
            named_node(reporting.draw_costs, "leaderboard", "costs_figure"),
            named_node(reporting.draw_leaderboard, "leaderboard", "leaderboard_figure"),
            named_node(reporting.write_markdown, tables, "markdown"),
            named_node(reporting.build_report, [*tables, *figures], "report"),
        ],
        namespace="comparison",
        inputs={file for name in families for file in _files(name)},
        parameters={"params:comparison": "params:comparison"},
    )
