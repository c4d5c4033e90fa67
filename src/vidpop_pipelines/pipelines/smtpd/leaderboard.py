"""Epoch leaderboard and the paper's three setups, from whichever runs exist."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import SmtpdParameters
from vidpop_pipelines.pipelines.smtpd.protocol import rows_of

EPOCH_COLUMNS = [
    "setup",
    "fold",
    "epoch",
    "from_day",
    "to_day",
    "validation_amae",
    "validation_asrc",
    "test_amae",
    "test_asrc",
]


def score_epochs(
    forecaster: Any | None,
    inputs: SmtpdInputs | None,
    splits: pd.DataFrame | None,
    epochs_folder: Path | None,
    parameters: SmtpdParameters,
) -> pd.DataFrame:
    """Scores the saved epochs of one run's networks on a day window.

    Args:
        forecaster: The trained forecaster, or None if the run does not exist.
        inputs: The videos of the run.
        splits: Their folds.
        epochs_folder: Weights of the kept epochs, one folder per fold.
        parameters: `checkpoint` (an epoch, `best`, `all`), `eval_from`, `eval_to`.

    Returns:
        One row per fold and epoch (columns `EPOCH_COLUMNS`), empty without a run.

    Raises:
        InputError: If the window or the chosen epoch does not exist.
    """
    if forecaster is None:
        return pd.DataFrame(columns=EPOCH_COLUMNS)
    first, last = _window(forecaster.days, parameters)
    table = []
    for fold, models in forecaster.folds.items():
        rows = rows_of(splits, fold, inputs, forecaster)
        for epoch, network in _networks(
            models.network, epochs_folder / f"fold_{fold}", parameters.checkpoint
        ):
            row = {"setup": _setup(forecaster.early_popularity), "fold": fold, "epoch": epoch}
            row |= {"from_day": first, "to_day": last}
            for role in ("validation", "test"):
                scores = _score(network, models.preprocessing, inputs, rows[role], first, last)
                row |= {f"{role}_amae": scores[0], f"{role}_asrc": scores[1]}
            table.append(row)
    return pd.DataFrame(table, columns=EPOCH_COLUMNS)


def _window(days: list[int], parameters: SmtpdParameters) -> tuple[int, int]:
    # A window may name day 1 for the setup that forecasts it; the other starts at its first day.
    first, last = max(parameters.eval_from or days[0], days[0]), parameters.eval_to or days[-1]
    if last > days[-1] or first > last:
        raise InputError(
            f"The evaluation window is days {parameters.eval_from} to {parameters.eval_to}.",
            f"days within {days[0]} to {days[-1]}, which are forecast",
            "change smtpd.eval_from and smtpd.eval_to.",
        )
    return first, last


def _setup(early_popularity: bool) -> str:
    return "with EP" if early_popularity else "w/o EP"


def _networks(best: Any, folder: Path, checkpoint: int | str) -> list[tuple[int | str, Any]]:
    """Returns the chosen networks, by epoch; `best` is the one in the forecaster."""
    from copy import deepcopy

    from safetensors.torch import load_model

    if checkpoint == "best":
        return [("best", best)]
    files = {
        int(file.stem.removeprefix("epoch_")): file for file in sorted(folder.glob("epoch_*.safetensors"))
    }
    if checkpoint != "all" and checkpoint not in files:
        raise InputError(
            f"{folder}: there are no weights of epoch {checkpoint}.",
            f"one of the kept epochs {', '.join(map(str, files)) or '(none)'}, or best",
            "train with smtpd.training.keep_epochs=all, or choose another smtpd.checkpoint.",
        )
    networks = []
    for epoch in files if checkpoint == "all" else [checkpoint]:
        network = deepcopy(best)
        load_model(network, files[epoch])
        networks.append((epoch, network))
    return networks


def _score(
    network: Any, preprocessing: Any, inputs: SmtpdInputs, rows: np.ndarray, first: int, last: int
) -> tuple[float | None, float | None]:
    from vidpop_pipelines.evaluation.metrics import score_days, window_metrics
    from vidpop_pipelines.pipelines.smtpd.forecaster import forecast_network

    forecast = forecast_network(network, preprocessing, inputs, rows)
    truth = inputs.curves(preprocessing.days)[rows]
    scores = window_metrics(score_days(truth, forecast, preprocessing.days), first, last)
    return scores.get(f"amae_{first}_{last}"), scores.get(f"asrc_{first}_{last}")


def join_epochs(*tables: pd.DataFrame) -> pd.DataFrame:
    """Joins the epochs of all runs, best validation AMAE first: the order never depends on test figures.

    Raises:
        InputError: If no run exists.
    """
    present = [table for table in tables if len(table)]
    if not present:
        raise InputError(
            "There is no SMTPD run with saved epochs.",
            "a trained model of smtpd_ep or smtpd_no_ep",
            "run `kedro run --pipeline=smtpd_ep` first, with the same `output` and keep_epochs other than none.",
        )
    joined = pd.concat(present, ignore_index=True)
    joined["epoch"] = joined["epoch"].astype(str)
    return joined.sort_values(["setup", "fold", "validation_amae"], ignore_index=True)


def compare_setups(with_early_popularity: pd.DataFrame | None, without: pd.DataFrame | None) -> pd.DataFrame:
    """Writes the paper's setups (w/o EP 1-D, w/o EP 2-D, with EP 2-D) from the predictions that exist.

    Args:
        with_early_popularity: Predictions of `smtpd_ep`, or None.
        without: Predictions of `smtpd_no_ep`, or None.

    Returns:
        One row per setup and forecast: `setup`, `from_day`, `to_day`, `forecast`, `amae`, `asrc`.
    """
    from vidpop_pipelines.evaluation.metrics import day_metrics, window_metrics

    table = []
    for label, predictions, first_day in (
        ("w/o EP", without, 1),
        ("w/o EP", without, 2),
        ("with EP", with_early_popularity, 2),
    ):
        if predictions is None:
            continue
        last_day = int(predictions["step"].max())
        for name in ["y_pred", *(column for column in predictions if column.startswith("y_pred_"))]:
            days = day_metrics(predictions, forecast=name)
            scores = window_metrics(days, first_day, last_day)
            window = f"{first_day}_{last_day}"
            row = {"setup": label, "from_day": first_day, "to_day": last_day}
            row["forecast"] = name.removeprefix("y_pred_").replace("y_pred", "forecast")
            row |= {"amae": scores.get(f"amae_{window}"), "asrc": scores.get(f"asrc_{window}")}
            if row["amae"] is not None:
                table.append(row)
    return pd.DataFrame(table, columns=["setup", "from_day", "to_day", "forecast", "amae", "asrc"])


def draw_setups(setups: pd.DataFrame) -> Any:
    """Draws the table of setups."""
    from vidpop_pipelines.evaluation.figures import leaderboard_table

    return leaderboard_table(
        setups, title="SMTPD setups: mean over days of MAE and rank correlation, test videos"
    )


def draw_epochs(epochs: pd.DataFrame) -> Any:
    """Draws the table of epochs."""
    from vidpop_pipelines.evaluation.figures import leaderboard_table

    return leaderboard_table(epochs, title="Epochs, best validation AMAE first")
