"""Where the metrics of each fold go in MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from vidpop_pipelines.training.metric_logger import MetricLogger, MlflowMetricLogger, NoMetricLogger


@contextmanager
def fold_logger(name: str, n_folds: int) -> Iterator[MetricLogger]:
    """Opens the logger of one fold: the active MLflow run, or a child run of it where there are several folds.

    Args:
        name: Name of the child run.
        n_folds: Number of folds of the training.

    Yields:
        The logger; one that forgets where MLflow tracks nothing.
    """
    import mlflow

    if mlflow.active_run() is None:
        yield NoMetricLogger()
    elif n_folds == 1:
        yield MlflowMetricLogger()
    else:
        with mlflow.start_run(run_name=name, nested=True, tags={"fold": name}):
            yield MlflowMetricLogger()
