"""What every family with a registered model gets: a model card on that version."""

from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.pipelines.model_card import nodes


def add_model_card(pipeline: Pipeline, name: str) -> Pipeline:
    """Adds the nodes that write and attach the card, where the pipeline registers a model.

    Args:
        pipeline: A family's pipeline.
        name: Its name, which is its namespace.
    """
    if f"{name}.registered_model" not in pipeline.all_outputs():
        return pipeline
    inputs = [
        f"{name}.{part}" for part in ("registered_model", "predictions", "metrics", "data_report", "run")
    ]
    write = Node(
        nodes.write_card,
        inputs,
        f"{name}.model_card",
        name="write_card",
        namespace=name,
        # The times of the run are written beside it, by a hook.
        tags=["inputs_may_be_absent"],
    )
    attach = Node(
        nodes.attach_card,
        [f"{name}.{part}" for part in ("registered_model", "model_card", "run")],
        f"{name}.described_model",
        name="attach_card",
        namespace=name,
        tags=["inputs_may_be_absent"],
    )
    return pipeline + Pipeline([write, attach])
