"""The multitask model behind MLflow's model server (models from code: MLflow runs this file)."""

from mlflow.models import set_model

from vidpop_pipelines.pipelines.multitask.model import MultitaskModel
from vidpop_pipelines.pipelines.tabular.service import TabularService

set_model(TabularService(MultitaskModel))
