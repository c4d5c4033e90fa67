"""What is noted about one family's part of a run, and written to its `run.json`."""

import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

_PACKAGES = ("vidpop_pipelines", "kedro", "mlflow", "torch", "transformers", "catboost", "scikit-learn")


@dataclass
class RunRecord:
    """One family in one run.

    Attributes:
        family: Name of the pipeline.
        run_id: Its MLflow run; None without MLflow.
        protocol: `honest`, or the `protocol` parameter of the family.
        inputs: Raw input to the hash of its content.
        training: Short names of the nodes that lead from the raw inputs to the model.
        prediction: Short names of the nodes that lead from the model to the predictions.
        seconds: Short name of each node to its seconds, without loading and saving.
        model_bytes: Size of the model's files on disk.
        test_fingerprint: `fingerprint.hash_test_set` of the predictions.
    """

    family: str
    run_id: str | None = None
    protocol: str = "honest"
    inputs: dict[str, str] = field(default_factory=dict)
    training: set[str] = field(default_factory=set)
    prediction: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)
    model_bytes: int | None = None
    test_fingerprint: str | None = None

    @property
    def data_fingerprint(self) -> str | None:
        """One digest of all raw inputs; None if there are none."""
        from vidpop_pipelines.fingerprint import combine

        return combine(sorted(self.inputs.items())) if self.inputs else None

    def find_nodes(self, pipeline: Any) -> None:
        """Finds which nodes of the pipeline train and which predict."""

        def leading_to(output: str) -> set[str]:
            name = f"{self.family}.{output}"
            if name not in pipeline.all_outputs():
                return set()
            return {node.short_name for node in pipeline.to_outputs(name).nodes}

        self.training = leading_to("model")
        self.prediction = leading_to("predictions") - self.training

    def time_of(self, nodes: set[str]) -> float | None:
        """Returns the seconds of some nodes together; None unless all of them have run."""
        if not nodes or not nodes <= self.seconds.keys():
            return None
        return round(sum(self.seconds[name] for name in nodes), 3)

    def summary(self) -> dict[str, Any]:
        """Returns the record as it stands in `run.json`."""
        return {
            "pipeline": self.family,
            "mlflow_run_id": self.run_id,
            "protocol": self.protocol,
            "data_fingerprint": self.data_fingerprint,
            "inputs": self.inputs,
            "test_fingerprint": self.test_fingerprint,
            "training_seconds": self.time_of(self.training),
            "prediction_seconds": self.time_of(self.prediction),
            "model_bytes": self.model_bytes,
            "seconds": self.seconds,
            "total_seconds": round(sum(self.seconds.values()), 3),
            "peak_memory_mb": _peak_memory_mb(),
            "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in _PACKAGES},
        }


def _peak_memory_mb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)
