"""What `kedro lineage` shows: families as boxes, data in layers, previews of results."""

from itertools import product

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from tests_project import ROOT

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.lineage import build_site
from vidpop_pipelines.pipeline_registry import register_pipelines
from vidpop_pipelines.settings import CONFIG_LOADER_ARGS

PIPELINES = register_pipelines()
LAYERS = (
    "raw",
    "intermediate",
    "primary",
    "feature",
    "model_input",
    "models",
    "model_output",
    "reporting",
)
# No family: a namespace would give it a record of training and a run.json.
WITHOUT_NAMESPACE = {"sample_data"}
# To Kedro they are inputs, though a run fills them late: a layer would come after those of its family's outputs.
FILLED_BY_THE_RUN = {"resume_folder", "epochs_folder", "backbones_folder", "run"}
# HTML of megabytes, and Markdown, which kedro-viz doesn't render.
WITHOUT_PREVIEW = {"report", "model_card", "markdown"}


@pytest.fixture(scope="module")
def datasets() -> dict:
    """Every dataset of every pipeline that is kept, parameters aside."""
    settings = CONFIG_LOADER_ARGS | {"default_run_env": "base"}
    loader = OmegaConfigLoader(conf_source=str(ROOT / "conf"), **settings)
    catalog = DataCatalog.from_config(loader["catalog"])
    names = {name for pipeline in PIPELINES.values() for name in pipeline.datasets()}
    found = {name: catalog.get(name) for name in names if not name.startswith("params:")}
    return {name: one for name, one in found.items() if one is not None}


def layer(dataset) -> str | None:
    return ((getattr(dataset, "metadata", None) or {}).get("kedro-viz") or {}).get("layer")


@pytest.mark.parametrize("name", sorted(set(PIPELINES) - {"__default__"}))
def test_every_pipeline_is_one_box(name):
    expected = {None} if name in WITHOUT_NAMESPACE else {name}
    assert {node.namespace for node in PIPELINES[name].nodes} == expected


def test_run_of_everything_is_a_box_per_family():
    assert {node.namespace for node in PIPELINES["__default__"].nodes} < set(PIPELINES)


def test_every_dataset_that_is_kept_has_a_layer(datasets):
    kept = {name: one for name, one in datasets.items() if not isinstance(one, MemoryDataset)}
    without = {name for name, one in kept.items() if layer(one) is None}
    assert {name.rpartition(".")[2] for name in without} == FILLED_BY_THE_RUN
    assert {layer(one) for one in datasets.values()} - {None} < set(LAYERS)


def test_no_layer_comes_before_one_that_it_is_made_from(datasets):
    """Where two layers come after each other, kedro-viz shows none; a family is one step, too."""
    everything = PIPELINES["__default__"]
    steps = [(node.inputs, node.outputs) for node in everything.nodes]
    for name in {node.namespace for node in everything.nodes}:
        family = everything.only_nodes_with_namespaces([name])
        used_by_others = (everything - family).inputs() & family.all_outputs()
        steps.append((family.inputs(), family.outputs() | used_by_others))
    checked = 0
    for inputs, outputs in steps:
        for source, made in product(inputs, outputs):
            before, after = layer(datasets.get(source)), layer(datasets.get(made))
            if before and after:
                assert LAYERS.index(before) <= LAYERS.index(after), (source, made)
                checked += 1
    assert checked > 100


def test_results_have_previews(datasets):
    results = {name: one for name, one in datasets.items() if layer(one) == "reporting"}
    without = {name for name, one in results.items() if not hasattr(one, "preview")}
    assert {name.rpartition(".")[2] for name in without} == WITHOUT_PREVIEW
    shown = [
        "smtpd.csv",
        "tabular.csv",
        "short_video.csv",
        "mofa.train",
        "ensemble.model",
        "ensemble.predictions",
    ]
    assert all(hasattr(datasets[name], "preview") for name in shown)


def test_failed_build_is_an_error(tmp_path):
    """`kedro viz build` itself ends well where it fails."""
    with pytest.raises(InputError, match="kedro viz build"):
        build_site(tmp_path)
