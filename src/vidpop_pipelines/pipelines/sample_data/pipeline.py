"""The pipeline `sample_data`: one universe of videos, written as the raw files of every family."""

from kedro.pipeline import Pipeline, node

from vidpop_pipelines.pipelines.sample_data import nodes
from vidpop_pipelines.pipelines.sample_data.dirt import draw_dirt
from vidpop_pipelines.pipelines.sample_data.texts import compose_texts
from vidpop_pipelines.pipelines.sample_data.universe import draw_daily_views, draw_reactions, draw_videos

PARAMS = "params:sample"
VIDEOS, TEXTS, DIRT = "sample_videos", "sample_texts", "sample_dirt"
DAILY_VIEWS, REACTIONS, SPLITS = "sample_daily_views", "sample_reactions", "sample_splits"


def create_pipeline() -> Pipeline:
    """Creates the pipeline.

    Returns:
        Twelve nodes; ``--tags=tables`` leaves out thumbnails and clips, which take most of the time.
    """
    universe = Pipeline(
        [
            node(draw_videos, PARAMS, VIDEOS, name="draw_videos"),
            node(draw_daily_views, [VIDEOS, PARAMS], DAILY_VIEWS, name="draw_daily_views"),
            node(draw_reactions, [VIDEOS, DAILY_VIEWS, PARAMS], REACTIONS, name="draw_reactions"),
            node(compose_texts, [VIDEOS, PARAMS], TEXTS, name="compose_texts"),
            node(draw_dirt, PARAMS, DIRT, name="draw_dirt"),
        ],
        tags=["tables", "media"],
    )
    tables = Pipeline(
        [
            node(nodes.make_splits, VIDEOS, SPLITS, name="make_splits"),
            node(
                nodes.make_smtpd_table,
                [VIDEOS, TEXTS, DAILY_VIEWS, DIRT, PARAMS],
                "sample_smtpd",
                name="make_smtpd_table",
            ),
            node(
                nodes.make_tabular_table,
                [VIDEOS, TEXTS, DAILY_VIEWS, REACTIONS, DIRT, PARAMS],
                "sample_tabular",
                name="make_tabular_table",
            ),
            node(
                nodes.make_short_video_table,
                [VIDEOS, TEXTS, REACTIONS, DIRT],
                "sample_short_video",
                name="make_short_video_table",
            ),
            node(
                nodes.make_mofa_files,
                [VIDEOS, REACTIONS, SPLITS, DIRT, PARAMS],
                "sample_mofa",
                name="make_mofa_files",
            ),
        ],
        tags="tables",
    )
    media = Pipeline(
        [
            node(nodes.draw_thumbnails, [VIDEOS, DIRT, PARAMS], "sample_thumbnails", name="draw_thumbnails"),
            node(nodes.draw_clips, [VIDEOS, DIRT, PARAMS], "sample_clips", name="draw_clips"),
        ],
        tags="media",
    )
    return universe + tables + media
