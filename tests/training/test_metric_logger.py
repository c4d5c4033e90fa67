import mlflow
import pandas as pd
import pytest

from vidpop_pipelines.training.metric_logger import MlflowMetricLogger, NoMetricLogger, log_history

HISTORY = pd.DataFrame({"train_loss": [0.5, 0.4], "validation_amae": [1.2, 1.1]}, index=[1, 2])


@pytest.fixture
def store(tmp_path):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield
    mlflow.set_tracking_uri(before)


def test_metrics_go_to_the_run_that_was_active(store):
    with mlflow.start_run() as run:
        logger = MlflowMetricLogger()
        with mlflow.start_run(nested=True) as child:
            log_history(HISTORY, logger)
    mlflow.flush_async_logging()
    client = mlflow.MlflowClient()
    logged = client.get_metric_history(run.info.run_id, "validation_amae")
    assert [(metric.step, metric.value) for metric in logged] == [(1, 1.2), (2, 1.1)]
    assert client.get_run(child.info.run_id).data.metrics == {}


def test_without_an_active_run_there_is_no_logger():
    with pytest.raises(RuntimeError, match="start_run"):
        MlflowMetricLogger()


def test_no_metric_logger_opens_no_run(store):
    log_history(HISTORY, NoMetricLogger())
    assert mlflow.active_run() is None
    assert mlflow.search_runs(search_all_experiments=True).empty
