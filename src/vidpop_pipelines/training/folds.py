"""Where the metrics of each fold go in MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from vidpop_pipelines.training.metric_logger import MetricLogger, MlflowMetricLogger, NoMetricLogger

# By these MLflow's runs are found and compared; the hook `Tracking` sets them.
RUN_TAGS = ("family", "protocol", "data_fingerprint", "git_commit", "environment")


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
        tags = mlflow.MlflowClient().get_run(mlflow.active_run().info.run_id).data.tags
        of_family = {key: value for key, value in tags.items() if key in RUN_TAGS}
        with mlflow.start_run(run_name=name, nested=True, tags=of_family | {"fold": name}):
            yield MlflowMetricLogger()
