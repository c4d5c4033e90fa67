"""Nodes that turn a trained forecaster into predictions, metrics, tables, figures and reports."""

from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import build_data_report
from vidpop_pipelines.evaluation.predictions import (
    build_predictions,
    to_matrix,
    validate_forecast,
    validate_predictions,
)
from vidpop_pipelines.parameters import IntervalOptions
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters
from vidpop_pipelines.pipelines.mofa_lite.protocol import HOLD_OUT, fold_rows, hold_out_rows

MEMBERS = ("network", "kernel", "lightgbm", "ridge", "mean")
# Groups of the attention table: quarters of the videos by their true first target.
_QUARTERS = ("least popular quarter", "second quarter", "third quarter", "most popular quarter")


def predict_held_out(
    forecaster: Any, inputs: MofaInputs, splits: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecasts the hold-out with the ensemble, and every other row with the fold that did not train on it.

    Returns:
        The predictions table; and the attention weights of the same forecasts: `video_id`, `split`, the true
        first target as `popularity`, and one column per modality.
    """
    parts = [(hold_out_rows(splits), None, "test", HOLD_OUT)]
    parts += [(fold_rows(splits, fold)["out_of_fold"], [fold], "val", fold) for fold in forecaster.folds]
    tables, weights = [], []
    for rows, folds, split, fold in parts:
        forecast = forecaster.forecast(inputs, rows, folds)
        tables.append(_long_table(forecaster, inputs, rows, forecast, split=split, fold=fold))
        weight = pd.DataFrame(forecast["attention"], columns=list(forecaster.widths))
        weight.insert(0, "popularity", inputs.targets[rows, 0])
        weight.insert(0, "split", split)
        weight.insert(0, "video_id", inputs.video_ids[rows])
        weights.append(weight)
    predictions = validate_predictions(pd.concat(tables, ignore_index=True))
    return predictions, pd.concat(weights, ignore_index=True)


def forecast_new_videos(forecaster: Any, inputs: MofaInputs) -> tuple[pd.DataFrame, np.ndarray]:
    """Forecasts videos without labels with the ensemble.

    Returns:
        The predictions table without `y_true`; and the same forecast as the originals write it, (N, T) float32.
    """
    rows = np.arange(len(inputs))
    forecast = forecaster.forecast(inputs, rows)
    table = _long_table(forecaster, inputs, rows, forecast, split="test", fold=HOLD_OUT)
    return validate_forecast(table), forecast["y_pred"].astype(np.float32)


def _long_table(
    forecaster: Any,
    inputs: MofaInputs,
    rows: np.ndarray,
    forecast: dict[str, np.ndarray],
    *,
    split: str,
    fold: int,
) -> pd.DataFrame:
    """Returns one row per target and video; without targets in the inputs, without `y_true`."""

    def table(column: int, target: str) -> pd.DataFrame:
        def one(values: np.ndarray) -> np.ndarray:
            return values[:, [column]]

        return build_predictions(
            inputs.video_ids[rows],
            one(forecast["y_pred"]),
            target=target,
            steps=[0],
            split=split,
            fold=fold,
            y_true=None if inputs.targets is None else one(inputs.targets[rows]),
            lower=one(forecast["lower"]),
            upper=one(forecast["upper"]),
            members={name: one(forecast[name]) for name in MEMBERS if name in forecast},
        )

    return pd.concat(
        [table(column, target) for column, target in enumerate(forecaster.targets)], ignore_index=True
    )


def evaluate(predictions: pd.DataFrame) -> dict[str, float]:
    """Computes all metrics from the predictions table alone."""
    from vidpop_pipelines.evaluation.multi_target import multi_target_metrics

    return multi_target_metrics(predictions)


def compare_with_baselines(predictions: pd.DataFrame, parameters: MofaLiteParameters) -> pd.DataFrame:
    """Sets the forecast beside its members and baselines, with paired bootstrap intervals against LightGBM.

    Returns:
        One row per forecast, on the hold-out and out of fold: `rows`, `forecast`, `nmse_<target>`, `score`, and on
        the hold-out the difference of the Score to LightGBM with its 95 % interval (below zero: better).
    """
    from vidpop_pipelines.evaluation.comparison import paired_bootstrap
    from vidpop_pipelines.evaluation.multi_target import score_forecasts

    test = predictions[predictions["split"] == "test"]
    errors = _squared_errors(test)
    table = score_forecasts(test).reset_index().assign(rows="hold-out")
    for position, name in enumerate(table["forecast"]):
        if name == "lightgbm":
            continue
        difference = paired_bootstrap(errors[name], errors["lightgbm"], seed=parameters.seed)
        table.loc[position, "difference_to_lightgbm"] = difference.difference
        table.loc[position, "difference_lower"] = difference.lower
        table.loc[position, "difference_upper"] = difference.upper
    out_of_fold = score_forecasts(predictions[predictions["split"] == "val"])
    joined = pd.concat([table, out_of_fold.reset_index().assign(rows="out of fold")], ignore_index=True)
    return joined[["rows", *(name for name in joined if name != "rows")]]


def _squared_errors(test: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns (N, T) squared errors in units of each target's variance, whose mean is the Score, by forecast."""
    columns: dict[str, list[np.ndarray]] = {}
    for target in test["target"].unique():
        matrix = to_matrix(test, target=target)
        truth = matrix.columns["y_true"].astype(np.float64)
        for name, values in ({"forecast": matrix.columns["y_pred"]} | matrix.members()).items():
            spread = np.var(truth) or np.nan
            columns.setdefault(name, []).append(np.square(values - truth) / spread)
    return {name: np.concatenate(parts, axis=1) for name, parts in columns.items()}


def score_folds(
    forecaster: Any, inputs: MofaInputs, splits: pd.DataFrame, predictions: pd.DataFrame, networks: dict
) -> pd.DataFrame:
    """Scores the forecasts of each fold on the part that it left out and on the hold-out, beside the ensemble's.

    Returns:
        For each fold, and for all of them as `ensemble`, one row per forecast on either rows: `fold`, `best_epoch`
        of its network, `rows`, `forecast`, `nmse_<target>`, `score`.
    """
    from vidpop_pipelines.evaluation.multi_target import score_forecasts

    tests, held_out = (predictions[predictions["split"] == split] for split in ("test", "val"))
    parts = {"ensemble": (held_out, tests)}
    for fold in forecaster.folds:
        forecast = forecaster.forecast(inputs, hold_out_rows(splits), [fold])
        table = _long_table(forecaster, inputs, hold_out_rows(splits), forecast, split="test", fold=HOLD_OUT)
        parts[str(fold)] = (held_out[held_out["fold"] == fold], table)
    scores = [
        score_forecasts(table).reset_index().assign(fold=fold, rows=rows)
        for fold, tables in parts.items()
        for rows, table in zip(("out of fold", "hold-out"), tables, strict=True)
    ]
    joined = pd.concat(scores, ignore_index=True)
    epochs = {str(fold): trained.best_epoch for fold, trained in networks.items()}
    joined["best_epoch"] = joined["fold"].map(epochs).astype("Int64")
    first = ["fold", "best_epoch", "rows", "forecast"]
    return joined[[*first, *(name for name in joined if name not in first)]]


def _network_scores(fold_scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the Scores of the networks, one row per fold."""
    networks = fold_scores[fold_scores["forecast"] == "network"]
    table = networks.pivot(index="fold", columns="rows", values="score")[["out of fold", "hold-out"]]
    epochs = networks.groupby("fold")["best_epoch"].first()
    # As text: a column of whole numbers with a gap would get decimals.
    table.insert(0, "best epoch", [f"{epoch:.0f}" if pd.notna(epoch) else "–" for epoch in epochs])
    order = sorted(table.index, key=lambda fold: (not fold.isdigit(), int(fold) if fold.isdigit() else 0))
    return table.loc[order].rename_axis(None, axis=1).reset_index()


def summarise_attention(attention: pd.DataFrame) -> pd.DataFrame:
    """Averages the out-of-fold attention weights, over all videos and by quarter of true popularity.

    Returns:
        Columns `videos` (group), `n_videos` and one per modality; weights of a row add up to 1.
    """
    rows = attention[attention["split"] == "val"]
    modalities = list(attention.columns[3:])
    rank = rows["popularity"].rank(method="first", pct=True)
    quarter = np.minimum((rank * 4).apply(np.ceil).astype(int) - 1, 3)
    table = [{"videos": "all", "n_videos": len(rows), **rows[modalities].mean()}]
    for index, name in enumerate(_QUARTERS):
        part = rows[quarter == index]
        if len(part):
            table.append({"videos": name, "n_videos": len(part), **part[modalities].mean()})
    return pd.DataFrame(table)


def report_data(summary: dict[str, Any], inputs: MofaInputs, problems: pd.DataFrame) -> dict[str, Any]:
    """Says what was read, used, left out and imputed; see `build_data_report`."""
    return build_data_report(summary, pd.DataFrame({"video_id": inputs.video_ids}), problems)


def draw_scores(comparison: pd.DataFrame) -> Any:
    """Draws the Score of all forecasts on the hold-out."""
    from vidpop_pipelines.evaluation.figures import leaderboard_bars

    return leaderboard_bars(
        comparison[comparison["rows"] == "hold-out"],
        label="forecast",
        metric="score",
        metric_name="Score (mean NMSE of the targets)",
        title="Forecast, members and baselines on the hold-out",
    )


def draw_forecasts(predictions: pd.DataFrame) -> Any:
    """Draws forecasts against the truth of the hold-out, with intervals."""
    from vidpop_pipelines.pipelines.mofa_lite.figures import forecasts_against_truth

    return forecasts_against_truth(predictions[predictions["split"] == "test"])


def draw_attention(attention_summary: pd.DataFrame) -> Any:
    """Draws the attention weights by popularity."""
    from vidpop_pipelines.pipelines.mofa_lite.figures import attention_bars

    return attention_bars(attention_summary)


def draw_history(history: pd.DataFrame) -> Any:
    """Draws the learning curves of all folds."""
    from vidpop_pipelines.pipelines.mofa_lite.figures import learning_curves

    return learning_curves(history)


def build_report(
    metrics: dict[str, float],
    comparison: pd.DataFrame,
    fold_scores: pd.DataFrame,
    attention: pd.DataFrame,
    data_report: dict[str, Any],
    scores: Any,
    forecasts: Any,
    attention_figure: Any,
    history: Any,
    parameters: MofaLiteParameters,
    interval: IntervalOptions,
) -> str:
    """Renders the HTML report of a run."""
    from vidpop_pipelines.evaluation.report import html_report

    left_out = sum(entry["count"] for entry in data_report["left_out"])
    missing = "; ".join(
        f"{entry['column']}, {entry['reason']}: {entry['count']}" for entry in data_report["missing"]
    )
    notes = [
        f"{parameters.hold_out:.0%} of the videos are held out; no fold was trained, stopped or blended on them. "
        f"{parameters.n_folds} folds share the rest. Out-of-fold figures are slightly too good: the rows of a fold "
        "also chose its best epoch, as published.",
        f"{data_report['rows_used']} of {data_report['rows_read']} rows were used, {left_out} left out. "
        f"Imputed: {missing or 'nothing'}.",
    ]
    if "coverage" in metrics:
        notes.append(
            f"Intervals for {interval.coverage:.0%} cover {metrics['coverage']:.1%} of the hold-out values; mean "
            f"width {metrics['interval_width']:.2f}."
        )
    else:
        notes.append("There are no prediction intervals: no rows were left for calibration.")
    return html_report(
        "MoFA-Lite",
        notes,
        {
            "Hold-out: NMSE and Score, difference of the Score to LightGBM with 95 % bootstrap interval": comparison[
                comparison["rows"] == "hold-out"
            ].drop(columns="rows"),
            "Out of fold: NMSE and Score": comparison[comparison["rows"] == "out of fold"]
            .drop(columns="rows")
            .dropna(axis=1, how="all"),
            "Score of the networks of the folds": _network_scores(fold_scores),
            "Attention weights, out of fold": attention,
        },
        [scores, forecasts, attention_figure, history],
    )
