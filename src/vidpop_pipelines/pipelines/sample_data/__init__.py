"""Sample data: a generated universe of videos that every family can use."""

from vidpop_pipelines.pipelines.sample_data.pipeline import create_pipeline

__all__ = ["create_pipeline"]
