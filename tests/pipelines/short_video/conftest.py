"""Fixtures: tiny backbones in folders, as the pipelines build them."""

from pathlib import Path

import pytest
from short_video_inputs import ARCHITECTURES, frame_options

from vidpop_pipelines.pipelines.short_video.tiny_models import build_tiny_model


@pytest.fixture(scope="session")
def tiny_backbones(tmp_path_factory) -> dict[str, Path]:
    """The folder of each architecture's tiny backbone."""
    folder = tmp_path_factory.mktemp("backbones")
    return {name: build_tiny_model(name, frame_options(name), 0, folder) for name in ARCHITECTURES}
