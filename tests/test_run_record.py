import pytest
from kedro.pipeline import Node, Pipeline

from vidpop_pipelines.run_record import RunRecord


def identity(value):
    return value


@pytest.fixture
def record() -> RunRecord:
    nodes = [
        Node(identity, "raw", "features", name="prepare"),
        Node(identity, "features", "model", name="train"),
        Node(identity, "model", "registered_model", name="register"),
        Node(identity, "model", "predictions", name="predict"),
        Node(identity, "predictions", "metrics", name="evaluate"),
    ]
    record = RunRecord("toy")
    record.find_nodes(Pipeline(nodes, namespace="toy", inputs="raw"))
    return record


def test_training_ends_with_the_model_and_prediction_begins_there(record):
    assert record.training == {"prepare", "train"} and record.prediction == {"predict"}
    record.seconds = {"prepare": 1.0, "train": 2.0, "register": 4.0}
    summary = record.summary()
    # The prediction has not run: its time is unknown, not zero.
    assert (summary["training_seconds"], summary["prediction_seconds"]) == (3.0, None)
    record.seconds["predict"] = 0.5
    assert record.summary()["prediction_seconds"] == 0.5 and record.summary()["total_seconds"] == 7.5


def test_fingerprint_is_that_of_all_inputs(record):
    assert record.data_fingerprint is None
    record.inputs = {"a": "1", "b": "2"}
    first = record.data_fingerprint
    record.inputs = {"b": "2", "a": "1"}
    assert record.data_fingerprint == first
    record.inputs = {"a": "2", "b": "1"}
    assert record.data_fingerprint != first
