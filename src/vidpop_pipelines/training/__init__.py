"""The one way a torch model is trained in this project: see `vidpop_pipelines.training.trainer`."""
