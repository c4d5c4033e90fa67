import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidpop_pipelines.pipelines.smtpd.loss import (
    composite_gradient_loss,
    masked_l1,
    popularity_loss,
    shape_weight,
)
from vidpop_pipelines.pipelines.smtpd.parameters import LossOptions

NAN = math.nan
ZERO_WEIGHTS = {
    "first_difference_weight": 0,
    "second_difference_weight": 0,
    "peak_weight": 0,
    "roughness_weight": 0,
}
TERMS = [
    {},
    {"first_difference_weight": 1},
    {"second_difference_weight": 1},
    {"peak_weight": 1},
    {"roughness_weight": 1},
]


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def only(**weights):
    return LossOptions(**(ZERO_WEIGHTS | weights))


def term(prediction, target, progress=0.0, **weights):
    """Value of one term alone: the loss with it less the loss without."""
    with_it = composite_gradient_loss(prediction, target, only(**weights), progress)
    return with_it - composite_gradient_loss(prediction, target, only(), progress)


def test_level_term_by_hand():
    # Errors 0.05 (quadratic: 0.05^2 / (2 * 0.1) = 0.0125) and 0.5 (linear: 0.5 - 0.05 = 0.45).
    loss = composite_gradient_loss(double([[1.05, 2.5]]), double([[1.0, 2.0]]), only(), 0.0)
    assert loss.item() == pytest.approx((0.0125 + 0.45) / 2)


def test_difference_terms_by_hand():
    prediction, target = double([[0.0, 1.0, 3.0]]), double([[0.0, 2.0, 3.0]])
    # Slopes (1, 2) against (2, 1): both errors are 1, linear part: 1 - 0.05.
    assert term(prediction, target, first_difference_weight=1).item() == pytest.approx(0.95)
    # Curvatures 1 against -1: error 2.
    assert term(prediction, target, second_difference_weight=1).item() == pytest.approx(1.95)
    assert term(prediction, target, second_difference_weight=0.5).item() == pytest.approx(0.975)


def test_peak_term_by_hand():
    # softmax((0, ln 3)) = (1/4, 3/4); the true peak is day 2; mean over the two days.
    prediction = double([[0.0, 0.1 * math.log(3)]])
    value = term(prediction, double([[1.0, 2.0]]), peak_weight=1)
    assert value.item() == pytest.approx(-math.log(3 / 4) / 2)


def test_roughness_term_by_hand():
    # |slopes| 1 + 3 + 1 = 5, |curvatures| 2 + 4 = 6 in the first row; nothing in the second: mean over rows.
    prediction = double([[0.0, 1.0, 4.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
    value = term(prediction, prediction.clone(), roughness_weight=1)
    assert value.item() == pytest.approx((5 + 6) / 2)


def test_shape_terms_fade_on_a_cosine_and_the_others_stay():
    prediction, target = double([[0.0, 1.0, 3.0]]), double([[0.0, 2.0, 3.0]])
    weights = [shape_weight(progress).item() for progress in (0.0, 0.25, 0.5, 1.0)]
    assert weights == pytest.approx([1, 0.5 + math.sqrt(0.5) / 2, 0.5, 0], abs=1e-6)
    half = term(prediction, target, progress=0.5, first_difference_weight=1)
    assert half.item() == pytest.approx(0.95 / 2)
    end = term(prediction, target, progress=1.0, first_difference_weight=1, peak_weight=1)
    assert end.item() == pytest.approx(0, abs=1e-6)
    assert term(prediction, target, progress=1.0, roughness_weight=1).item() == pytest.approx(4)


def test_missing_days_are_cut_out_by_hand():
    prediction = double([[1.0, 2.0, 5.0, 2.0]])
    target = double([[0.0, 2.0, NAN, 0.0]])
    # Levels: errors 1, 0, 2. Only slope 1 has both days: 1 against 2. No curvature has all three.
    assert masked_l1(prediction, target).item() == pytest.approx(1.0)
    assert composite_gradient_loss(prediction, target, only(), 0.0).item() == pytest.approx((0.95 + 1.95) / 3)
    assert term(prediction, target, first_difference_weight=1).item() == pytest.approx(0.95)
    assert term(prediction, target, second_difference_weight=1).item() == 0
    assert term(prediction, target, roughness_weight=1).item() == pytest.approx(1)
    # The highest prediction is on the missing day, which is no candidate for the peak.
    expected = -torch.log_softmax(double([10.0, 20.0, 20.0]), dim=0)[1].item() / 3
    assert term(prediction, target, peak_weight=1).item() == pytest.approx(expected)


def test_row_without_any_day_contributes_nothing():
    prediction, target = double([[1.0, 2.0, 4.0]]), double([[0.5, 2.5, 3.0]])
    empty = double([[NAN, NAN, NAN]])
    for options in (LossOptions(name="l1"), LossOptions(), LossOptions(roughness_weight=1)):
        alone = popularity_loss(prediction, target, options, 0.0)
        both = popularity_loss(
            torch.cat([prediction, prediction + 9]), torch.cat([target, empty]), options, 0.0
        )
        assert both.item() == pytest.approx(alone.item())


@pytest.mark.parametrize("name", ["l1", "composite_gradient"])
def test_batch_without_any_day_gives_zero_loss_and_zero_gradient(name):
    prediction = torch.randn(3, 4, requires_grad=True)
    loss = popularity_loss(prediction, torch.full((3, 4), NAN), LossOptions(name=name), 0.0)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(prediction.grad, torch.zeros(3, 4))


def curves_with_gaps():
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    target[0, 2] = target[1, 0] = target[1, 6] = NAN
    target[3] = NAN
    return prediction, target


@pytest.mark.parametrize("weights", TERMS, ids=str)
def test_gradient_of_each_term_is_that_of_finite_differences(weights):
    prediction, target = curves_with_gaps()
    assert torch.autograd.gradcheck(
        lambda curve: composite_gradient_loss(curve, target, only(**weights), 0.3), prediction
    )


@pytest.mark.parametrize("weights", TERMS[1:], ids=str)
def test_gradient_of_each_term_is_not_zero(weights):
    prediction, target = curves_with_gaps()
    term(prediction, target, **weights).backward()
    assert prediction.grad[:3].abs().sum(dim=1).min() > 1e-3


def test_peak_term_raises_the_true_peak_and_lowers_the_forecast_one():
    prediction = double([[0.0, 0.0, 0.3]]).requires_grad_()
    term(prediction, double([[0.0, 5.0, 0.0]]), peak_weight=1).backward()
    assert prediction.grad[0, 1] < 0 < prediction.grad[0, 2]


@settings(max_examples=60)
@given(
    curves=arrays(np.float64, (3, 6), elements=st.floats(-20, 20)),
    truth=arrays(np.float64, (3, 6), elements=st.floats(0, 20)),
    missing=arrays(np.bool_, (3, 6)),
    other=arrays(np.float64, (3, 6), elements=st.floats(-1e6, 1e6)),
    name=st.sampled_from(["l1", "composite_gradient"]),
)
def test_forecasts_for_missing_days_change_neither_loss_nor_gradient(curves, truth, missing, other, name):
    target = torch.from_numpy(np.where(missing, NAN, truth))
    results = []
    for values in (curves, np.where(missing, other, curves)):
        prediction = torch.from_numpy(values).requires_grad_()
        loss = popularity_loss(prediction, target, LossOptions(name=name), 0.2)
        loss.backward()
        assert not prediction.grad[torch.from_numpy(missing)].any()
        results.append((loss.item(), prediction.grad))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def test_reduced_precision_is_left_before_differences_are_taken():
    target = torch.full((2, 5), 12.0)
    prediction = torch.full((2, 5), 12.0, dtype=torch.bfloat16)
    assert popularity_loss(prediction, target, LossOptions(), 0.0).dtype == torch.float32
