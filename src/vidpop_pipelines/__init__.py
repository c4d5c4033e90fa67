"""Predict how popular an online video becomes."""

# The module imports nothing heavy: the command line comes by here at every start.
from vidpop_pipelines.pipelines.tabular.predict import predict_performance

__all__ = ["predict_performance"]
