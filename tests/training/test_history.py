import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.training.history import Monitor, epoch_history


def log(epoch, amae, loss=0.5):
    trained = {
        "loss": loss,
        "grad_norm": 3.0,
        "learning_rate": 1e-3,
        "epoch": float(epoch),
        "step": 7 * epoch,
    }
    evaluated = {"eval_validation_amae": amae, "eval_loss": 9.0, "eval_runtime": 0.1, "epoch": float(epoch)}
    return [trained, evaluated]


def history(values):
    return epoch_history([entry for epoch, value in enumerate(values, 1) for entry in log(epoch, value)])


def test_history_has_one_row_per_epoch():
    entries = log(1, 1.2, loss=0.7) + log(2, 1.1) + [{"train_runtime": 5.0, "train_loss": 0.6, "epoch": 2.0}]
    expected = pd.DataFrame(
        {"train_loss": [0.7, 0.5], "learning_rate": [1e-3, 1e-3], "validation_amae": [1.2, 1.1]},
        index=pd.Index([1, 2], name="epoch"),
    )
    pd.testing.assert_frame_equal(epoch_history(entries), expected)


def test_epoch_that_is_not_evaluated_yet_is_not_in_the_history():
    assert len(epoch_history(log(1, 1.2) + log(2, 1.1)[:1])) == 1
    assert len(epoch_history([])) == 0


@pytest.mark.parametrize(
    ("values", "greater_is_better", "best"),
    [
        ([3, 1, 2], False, 2),
        ([3, 1, 2], True, 1),
        ([3, 1, 1], False, 2),
        ([np.nan, 2, np.nan], False, 2),
        ([np.nan, np.nan], False, 0),
        ([], False, 0),
    ],
)
def test_best_epoch_is_the_first_with_the_best_value(values, greater_is_better, best):
    assert Monitor("validation_amae", greater_is_better, None).best_epoch(history(values)) == best


@pytest.mark.parametrize(
    ("values", "patience", "exhausted"),
    [
        ([1, 2], 2, False),
        ([1, 2, 3], 2, True),
        ([3, 2, 2, 1], 1, False),
        ([3, 2, 2], 1, True),
        ([np.nan, np.nan], 2, True),
        ([1, 2, 3, 4], None, False),
    ],
)
def test_patience_counts_the_epochs_since_the_best(values, patience, exhausted):
    assert Monitor("validation_amae", False, patience).is_exhausted(history(values)) is exhausted
