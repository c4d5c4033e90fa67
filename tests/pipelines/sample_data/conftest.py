"""Runs the pipeline on the project's real configuration, into a folder of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

from vidpop_pipelines.pipelines.sample_data import create_pipeline
from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters

PROJECT = Path(__file__).parents[3]


def _generate(output: Path, tags: tuple[str, ...] = (), **sample: int) -> Path:
    loader = OmegaConfigLoader(
        conf_source=str(PROJECT / "conf"),
        base_env="base",
        default_run_env="base",
        runtime_params={"output": str(output)},
        # Only this pipeline's files: those of the others need the project's own resolvers.
        config_patterns={
            "catalog": ["catalog/sample_data.yml"],
            "parameters": ["parameters/sample_data.yml"],
        },
    )
    defaults = SampleDataParameters.model_validate(loader["parameters"]["sample"])
    catalog = DataCatalog.from_config(loader["catalog"])
    catalog["params:sample"] = defaults.model_copy(update=sample)
    pipeline = create_pipeline()
    SequentialRunner().run(pipeline.only_nodes_with_tags(*tags) if tags else pipeline, catalog)
    return output / "01_raw" / "sample"


@pytest.fixture(scope="session")
def generate() -> Callable[..., Path]:
    """Returns a function that generates a sample under a folder and returns the folder with its files."""
    return _generate


@pytest.fixture(scope="session")
def committed() -> Path:
    """Returns the sample that is part of the project."""
    return PROJECT / "data" / "01_raw" / "sample"


@pytest.fixture(scope="session")
def default_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the tables of a newly generated sample of the default size."""
    return _generate(tmp_path_factory.mktemp("default"), tags=("tables",))
