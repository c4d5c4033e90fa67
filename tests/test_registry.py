"""What a registered model says it needs."""

from importlib.metadata import version

from vidpop_pipelines.registry import pinned_requirements


def test_requirements_are_everything_that_the_package_needs_and_no_tool_of_tests():
    """Each family loads other libraries in a serving process; one that is missing shows only on another machine."""
    pins = dict(requirement.split("==") for requirement in pinned_requirements())
    loaded = {
        "xgboost",
        "lightgbm",
        "catboost",
        "skops",
        "safetensors",
        "peft",
        "bitsandbytes",
        "av",
        "mlflow",
    }
    assert loaded <= pins.keys()
    assert pins["xgboost"] == version("xgboost")
    assert not {"pytest", "hypothesis", "ruff", "locust", "playwright", "streamlit"} & pins.keys()
