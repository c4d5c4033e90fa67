"""Where the metrics of a training go: a protocol, nothing at all, or MLflow."""

from typing import Protocol

import pandas as pd


class MetricLogger(Protocol):
    """Receives the metrics of a training as it runs."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Records `metrics` at `step` (the epoch, from 1)."""


class NoMetricLogger:
    """Forgets what it is told; for tests and for worker processes, whose parent logs the history."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Does nothing."""


class MlflowMetricLogger:
    """Logs to the MLflow run that is active when the logger is made.

    The run is fixed at that moment: MLflow would otherwise open a run of its own in any thread or process
    that has none. Metrics are sent in the background (0.9 ms per call where waiting costs 14 ms).

    Raises:
        RuntimeError: If no run is active.
    """

    def __init__(self) -> None:
        import mlflow

        run = mlflow.active_run()
        if run is None:
            raise RuntimeError(
                "MlflowMetricLogger needs an active MLflow run: open one with mlflow.start_run()"
            )
        self._run_id = run.info.run_id

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Sends `metrics` at `step` to the run."""
        import mlflow

        mlflow.log_metrics(metrics, step=step, synchronous=False, run_id=self._run_id)


def log_history(history: pd.DataFrame, logger: MetricLogger) -> None:
    """Logs every epoch of a history (index: epoch), for example one that a worker process brought back."""
    for epoch, metrics in history.iterrows():
        logger.log_metrics({name: float(value) for name, value in metrics.items()}, step=int(epoch))
