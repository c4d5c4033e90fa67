"""The one way a torch model is trained in this project: see :mod:`vidpop_pipelines.training.trainer`."""
