"""The promotion pipeline."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.promote import nodes


def create_pipeline() -> Pipeline:
    """Creates the pipeline that makes a version of a registered model champion, if it deserves it."""
    return Pipeline(
        [
            Node(nodes.read_versions, "params:promote", "versions", name="read_versions"),
            Node(nodes.decide_promotion, ["versions", "params:promote"], "decision", name="decide_promotion"),
            Node(nodes.move_champion, "decision", "promotion", name="move_champion"),
        ],
        namespace="promote",
        parameters={"params:promote": "params:promote"},
    )
