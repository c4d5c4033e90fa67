import pytest
from pydantic import ValidationError

from vidpop_pipelines.training.options import TrainingOptions


def test_defaults_are_the_published_ones():
    options = TrainingOptions()
    assert (options.epochs, options.batch_size, options.optimizer) == (20, 64, "adam")
    assert (options.learning_rate, options.weight_decay, options.scheduler) == (1e-3, 1e-3, "plateau")
    assert options.keep_epochs == "best_and_last"


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 5},
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": 0},
        {"weight_decay": -1e-3},
        {"scheduler": "linear"},
        {"plateau_factor": 1.5},
        {"max_gradient_norm": 0},
        {"patience": 0},
        {"precision": "int8"},
        {"compile": "sometimes"},
        {"keep_epochs": "some"},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrainingOptions(**wrong)


def test_false_as_text_is_false():
    assert TrainingOptions(compile="False").compile is False
