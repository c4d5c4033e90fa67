"""How the pipelines of all families create their nodes."""

from collections.abc import Callable

from kedro.pipeline import Node


def named_node(function: Callable, inputs: str | list[str], outputs: str | list[str]) -> Node:
    """Creates a node that is named after its function."""
    return Node(function, inputs, outputs, name=function.__name__)
