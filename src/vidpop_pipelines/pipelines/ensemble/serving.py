"""The ensemble behind MLflow's model server (models from code: MLflow runs this file)."""

from mlflow.models import set_model

from vidpop_pipelines.pipelines.ensemble.model import EnsembleModel
from vidpop_pipelines.pipelines.tabular.service import TabularService

set_model(TabularService(EnsembleModel))
