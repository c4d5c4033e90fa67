"""Nodes of the ensemble's own figures and its report; the others are shared with `multitask`."""

from typing import Any

import pandas as pd

from vidpop_pipelines.evaluation.report import html_report
from vidpop_pipelines.pipelines.ensemble.parameters import EnsembleParameters
from vidpop_pipelines.pipelines.tabular.nodes import held_out_rows
from vidpop_pipelines.pipelines.tabular.parameters import TabularParameters
from vidpop_pipelines.pipelines.tabular.reporting import by_age_wide, data_notes


def explain_forecasts(
    model: Any, videos: pd.DataFrame, splits: pd.DataFrame, tabular: TabularParameters
) -> pd.DataFrame:
    """Computes SHAP values of test videos, at most `explanation.MAX_VIDEOS` of them."""
    from vidpop_pipelines.pipelines.ensemble.explanation import MAX_VIDEOS, explain

    test = videos.iloc[held_out_rows(splits)]
    return explain(model, test.sample(min(MAX_VIDEOS, len(test)), random_state=tabular.seed))


def draw_importance(explanation: pd.DataFrame) -> Any:
    """Draws which features matter most."""
    from vidpop_pipelines.evaluation.explanation_figures import feature_importance
    from vidpop_pipelines.pipelines.ensemble.explanation import importance

    return feature_importance(
        importance(explanation),
        quantity="mean |SHAP value| (log views), test videos",
        title="What the forecast depends on",
    )


def draw_shap_summary(explanation: pd.DataFrame) -> Any:
    """Draws how single features move the forecast."""
    from vidpop_pipelines.evaluation.explanation_figures import shap_summary
    from vidpop_pipelines.pipelines.ensemble.explanation import as_matrices

    shap_values, values, names = as_matrices(explanation)
    return shap_summary(shap_values, values, names, title="How each feature moves the forecast")


def build_report(
    metrics: dict[str, float],
    comparison: pd.DataFrame,
    by_age: pd.DataFrame,
    data_report: dict[str, Any],
    model: Any,
    n_trees: dict[str, int],
    members: Any,
    predicted: Any,
    residuals: Any,
    ages: Any,
    importance: Any,
    shap_summary: Any,
    parameters: EnsembleParameters,
) -> str:
    """Renders the HTML report of a run."""
    weights = ", ".join(
        f"{name} {weight:.2f} ({n_trees[name]} trees)" for name, weight in model.weights.items()
    )
    notes = [
        "The newest videos are the test set; they were used for nothing but these figures. The forecast is the"
        f" weighted sum of the learners (preset {parameters.preset}): {weights}.",
        *data_notes(data_report),
    ]
    if "coverage" in metrics:
        notes.append(
            f"Prediction intervals cover {metrics['coverage']:.1%} of the test videos; mean width"
            f" {metrics['log_interval_width']:.2f} log units."
        )
    else:
        notes.append("There are no prediction intervals: too few rows were left for calibration.")
    return html_report(
        "Ensemble: views",
        notes,
        {
            "Forecast, members, baselines (log MAE above the forecast's, 95 % bootstrap interval)": comparison,
            "RMSE of log(1 + views) by age of the video when its views were read": by_age_wide(by_age),
        },
        [members, predicted, residuals, ages, importance, shap_summary],
    )
