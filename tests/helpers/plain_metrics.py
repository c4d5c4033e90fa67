"""The metrics of the contract once more, from a predictions table and without the project's metric code."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import ConstantInputWarning, spearmanr

Scores = dict[str, float]


def curve_scores(predictions: pd.DataFrame) -> Scores:
    """Errors and rank correlations by day, and their means over days 1 to the last and 2 to the last."""
    test = predictions.query("split == 'test'")
    values = _interval_scores(test)
    for suffix, column in _forecasts(test).items():
        days = {day: _day_scores(rows["y_true"], rows[column]) for day, rows in test.groupby("step")}
        for day, (error, correlation) in days.items():
            values |= {f"mae_day_{day}{suffix}": error, f"src_day_{day}{suffix}": correlation}
        for first in {min(days), 2}:
            window = [scores for day, scores in days.items() if day >= first]
            name = f"{first}_{max(days)}{suffix}"
            values[f"amae_{name}"] = np.mean([error for error, _ in window])
            values[f"asrc_{name}"] = np.mean([correlation for _, correlation in window])
    return _defined(values)


def count_scores(predictions: pd.DataFrame, target: str = "views") -> Scores:
    """Errors of a count in its own units, in log space, and as shares."""
    test = predictions.query("split == 'test' and target == @target")
    values = _interval_scores(test)
    values["log_interval_width"] = (np.log1p(test["upper"]) - np.log1p(test["lower"])).mean()
    for suffix, column in _forecasts(test).items():
        truth, forecast = _known(test, column)
        scores = _number_scores(truth, forecast)
        logarithmic = _number_scores(np.log1p(truth), np.log1p(forecast))
        scores |= {"log_rmse": logarithmic["rmse"], "log_mae": logarithmic["mae"]}
        scores["r2_log"] = logarithmic["r2"]
        share = np.abs(forecast - truth)[truth > 0] / truth[truth > 0]
        scores |= {
            "mape": share.mean(),
            "median_ape": np.sort(share)[[(len(share) - 1) // 2, len(share) // 2]].mean(),
        }
        values |= {f"{name}{suffix}": value for name, value in scores.items()}
    return _defined(values)


def number_scores(predictions: pd.DataFrame, target: str) -> Scores:
    """Errors of any other number, named by its target."""
    test = predictions.query("split == 'test' and target == @target")
    values = _interval_scores(test)
    for suffix, column in _forecasts(test).items():
        scores = _number_scores(*_known(test, column))
        values |= {f"{name}{suffix}": value for name, value in scores.items()}
    return _defined({f"{target}_{name}": value for name, value in values.items()})


def class_scores(predictions: pd.DataFrame, target: str) -> Scores:
    """Accuracy, weighted F1 and log loss of classes that have a row with their probability each."""
    test = predictions.query("split == 'test' and target.str.startswith(@target + '=')")
    truth = test.pivot(index="video_id", columns="target", values="y_true").dropna()
    true_class = truth.to_numpy().argmax(axis=1)
    values = {}
    for suffix, column in _forecasts(test).items():
        wide = test.pivot(index="video_id", columns="target", values=column).loc[truth.index]
        probability = wide.to_numpy(np.float64) / wide.to_numpy(np.float64).sum(axis=1, keepdims=True)
        chosen = probability.argmax(axis=1)
        f1 = 0.0
        for label in range(truth.shape[1]):
            hits = np.sum((chosen == label) & (true_class == label))
            either = np.sum(chosen == label) + np.sum(true_class == label)
            f1 += np.mean(true_class == label) * (2 * hits / either if either else 0.0)
        values |= {
            f"{target}_accuracy{suffix}": np.mean(chosen == true_class),
            f"{target}_f1_weighted{suffix}": f1,
            f"{target}_log_loss{suffix}": -np.log(probability[range(len(truth)), true_class]).mean(),
        }
    return values


def normalised_scores(predictions: pd.DataFrame) -> Scores:
    """NMSE of each target, their mean, and the same mean out of fold."""
    values = _interval_scores(predictions.query("split == 'test'"))
    for split, prefix in (("test", ""), ("val", "oof_")):
        rows = predictions.query("split == @split")
        for suffix, column in _forecasts(rows).items():
            errors = {}
            for target, part in rows.groupby("target"):
                truth, forecast = _known(part, column)
                errors[target] = np.sum((forecast - truth) ** 2) / np.sum((truth - truth.mean()) ** 2)
            values[f"{prefix}score{suffix}"] = np.mean(list(errors.values()))
            if split == "test":
                values |= {f"nmse_{target}{suffix}": error for target, error in errors.items()}
    return values


def two_class_scores(predictions: pd.DataFrame) -> Scores:
    """Scores of the probability of a class, and its correlations with the raw metric."""
    test = predictions.query("split == 'test' and target == 'popular'")
    raw = predictions.query("split == 'test' and target == 'metric'")
    values = _interval_scores(test)
    for suffix, column in _forecasts(test).items():
        truth, probability = _known(test, column)
        scores = {"accuracy": 0.0, "f1_weighted": 0.0, "precision_weighted": 0.0, "recall_weighted": 0.0}
        for label in (0, 1):
            chosen, true = (probability >= 0.5) == label, truth == label
            hits, share = np.sum(chosen & true), np.mean(true)
            scores["accuracy"] += hits / len(truth)
            scores["precision_weighted"] += share * hits / chosen.sum() if chosen.any() else 0.0
            scores["recall_weighted"] += share * hits / true.sum() if true.any() else 0.0
            scores["f1_weighted"] += share * 2 * hits / (chosen.sum() + true.sum())
        above = probability[truth == 1][:, None] - probability[truth == 0][None, :]
        scores["roc_auc"] = np.mean((above > 0) + (above == 0) / 2)
        scores["ece"] = 0.0
        for low in range(10):
            inside = np.clip(np.floor(probability * 10), 0, 9) == low
            if inside.any():
                scores["ece"] += np.mean(inside) * abs(probability[inside].mean() - truth[inside].mean())
        truth, probability = _known(raw, column)
        scores["srcc"] = _spearman(truth, probability)
        constant = np.ptp(probability) == 0
        scores["plcc"] = np.nan if constant else np.corrcoef(truth, probability)[0, 1]
        values |= {f"{name}{suffix}": value for name, value in scores.items()}
    return _defined(values)


def joined(*parts: Callable[[pd.DataFrame], Scores]) -> Callable[[pd.DataFrame], Scores]:
    """Returns a function that gives the scores of several functions together."""

    def scores(predictions: pd.DataFrame) -> Scores:
        return {name: value for part in parts for name, value in part(predictions).items()}

    return scores


def _forecasts(rows: pd.DataFrame) -> dict[str, str]:
    """Returns the suffix of the metrics' names by column, of all forecasts that the rows have."""
    names = {name: f".{name.removeprefix('y_pred_')}" for name in rows if name.startswith("y_pred_")}
    return {"": "y_pred"} | {suffix: name for name, suffix in names.items() if rows[name].notna().any()}


def _known(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    known = rows[rows["y_true"].notna()]
    return known["y_true"].to_numpy(np.float64), known[column].to_numpy(np.float64)


def _day_scores(truth: pd.Series, forecast: pd.Series) -> tuple[float, float]:
    known = truth.notna()
    return np.abs(forecast - truth)[known].mean(skipna=False), _spearman(truth[known], forecast[known])


def _number_scores(truth: np.ndarray, forecast: np.ndarray) -> Scores:
    error = forecast - truth
    return {
        "rmse": np.sqrt((error**2).mean()),
        "mae": np.abs(error).mean(),
        "r2": 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum(),
        "srcc": _spearman(truth, forecast),
    }


def _spearman(truth: np.ndarray, forecast: np.ndarray) -> float:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return spearmanr(truth, forecast).statistic


def _interval_scores(rows: pd.DataFrame) -> Scores:
    both = rows.dropna(subset=["y_true", "lower", "upper"])
    inside = (both["lower"] <= both["y_true"]) & (both["y_true"] <= both["upper"])
    width = rows["upper"].astype(np.float64) - rows["lower"]
    return {"coverage": inside.mean(), "interval_width": width.mean()}


def _defined(values: Scores) -> Scores:
    return {name: value for name, value in values.items() if not np.isnan(value)}
