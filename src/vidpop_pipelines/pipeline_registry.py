"""The project's pipelines, by the names under which `kedro run --pipeline=NAME` finds them."""

from kedro.pipeline import Pipeline

from vidpop_pipelines.pipelines.comparison import pipeline as comparison
from vidpop_pipelines.pipelines.ensemble import pipeline as ensemble
from vidpop_pipelines.pipelines.model_card.pipeline import add_model_card
from vidpop_pipelines.pipelines.mofa_lite import pipeline as mofa_lite
from vidpop_pipelines.pipelines.multitask import pipeline as multitask
from vidpop_pipelines.pipelines.promote import pipeline as promote
from vidpop_pipelines.pipelines.sample_data import pipeline as sample_data
from vidpop_pipelines.pipelines.short_video import pipeline as short_video
from vidpop_pipelines.pipelines.smtpd import pipeline as smtpd


def register_pipelines() -> dict[str, Pipeline]:
    """Registers every pipeline explicitly: `find_pipelines` knows only names that are folders."""
    families = {
        "smtpd_ep": smtpd.create_pipeline("smtpd_ep"),
        "smtpd_no_ep": smtpd.create_pipeline("smtpd_no_ep"),
        "timesformer": short_video.create_pipeline("timesformer"),
        "smolvlm2": short_video.create_pipeline("smolvlm2"),
        "ensemble": ensemble.create_pipeline(),
        "multitask": multitask.create_pipeline(),
        "mofa_lite": mofa_lite.create_pipeline(),
    }
    families = {name: add_model_card(pipeline, name) for name, pipeline in families.items()}
    compared = comparison.create_pipeline(list(families))
    return {
        # MoFA-Lite holds out videos of its own: with a forecast of the others, too, it shares some with every family.
        "__default__": sum(families.values(), compared) + mofa_lite.create_predict_pipeline(),
        **families,
        "comparison": compared,
        **{f"{name}_predict": smtpd.create_predict_pipeline(name) for name in smtpd.INSTANCES},
        **{f"{name}_predict": short_video.create_predict_pipeline(name) for name in short_video.INSTANCES},
        "ensemble_predict": ensemble.create_predict_pipeline(),
        "multitask_predict": multitask.create_predict_pipeline(),
        "mofa_lite_predict": mofa_lite.create_predict_pipeline(),
        "mofa_lite_analysis": mofa_lite.create_analysis_pipeline(),
        "smtpd_leaderboard": smtpd.create_leaderboard_pipeline(),
        "promote": promote.create_pipeline(),
        "sample_data": sample_data.create_pipeline(),
    }
