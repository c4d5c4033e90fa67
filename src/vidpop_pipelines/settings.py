"""Kedro settings: configuration loading and hooks."""

import logging
import warnings
from pathlib import Path, PurePath

from kedro.config import OmegaConfigLoader
from kedro.utils import find_kedro_project
from omegaconf.resolvers import oc

from vidpop_pipelines.errors import WithoutTraceback
from vidpop_pipelines.hooks import (
    ArtifactsInProject,
    FurtherProcesses,
    InputCheck,
    OptionalInputs,
    ParameterCheck,
    PlainErrors,
    ResumeCleanup,
    Tracking,
)

# About calls inside Kedro, which users can do nothing about.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")
# About calls inside PEFT and transformers.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
# Kedro reserves the dot for namespaces; here it also sets off family and run: smtpd.csv, smtpd_ep.model.
warnings.filterwarnings("ignore", message="One or more dataset names contain")

# Kedro loads logging from conf/logging.yml before this, and allows no class of ours there.
for handler in logging.getLogger().handlers:
    handler.addFilter(WithoutTraceback())

HOOKS = (
    ArtifactsInProject(),
    ParameterCheck(),
    InputCheck(),
    OptionalInputs(),
    FurtherProcesses(),
    Tracking(),
    ResumeCleanup(),
    PlainErrors(),
)

CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment states only what it changes; the rest of the tree comes from base.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "custom_resolvers": {
        # conf/base/mlflow.yml reads MLFLOW_TRACKING_URI.
        "oc.env": oc.env,
        # A file of the project, wherever in it Kedro was started: a notebook's folder, for example.
        "in_project": lambda name: ((find_kedro_project(Path.cwd()) or Path.cwd()) / name).as_posix(),
        # ${sibling:/data/videos.csv,splits.csv} is /data/splits.csv
        "sibling": lambda path, name: str(PurePath(path).with_name(name)),
    },
}
