"""The joint loss: what is unknown counts nowhere, and the weights of the tasks are learned."""

import math

import pytest
import torch

from vidpop_pipelines.pipelines.multitask.loss import (
    LARGEST_LOG_VARIANCE,
    bounded_log_variance,
    multitask_loss,
)

NAN = math.nan
SCALES = {"views": 2.0, "like_ratio": 0.1}


def variances(*names: str, value: float = 0.0) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name in names}


def loss(forecasts, labels, log_variances, weights=None) -> torch.Tensor:
    labels = torch.tensor(labels)
    weights = torch.ones(len(labels)) if weights is None else torch.tensor(weights)
    return multitask_loss(forecasts, labels, weights, log_variances, SCALES, huber_delta=1.0)


def test_loss_by_hand():
    """Views: errors of 1 and 3 scales; Huber 0.5 and 2.5, weighted 3 to 1: 1.0. Stage: -log(0.25)."""
    forecasts = {
        "views": torch.tensor([2.0, 6.0]),
        "lifecycle_stage": torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])),
    }
    labels = [[0.0, NAN, 1.0, NAN, NAN], [0.0, NAN, NAN, NAN, NAN]]
    result = loss(forecasts, labels, variances("views", "lifecycle_stage"), weights=[3.0, 1.0])
    assert result.item() == pytest.approx(1.0 + math.log(4))


def test_unknown_labels_have_no_gradient():
    forecasts = {
        "views": torch.tensor([1.0, 5.0], requires_grad=True),
        "like_ratio": torch.tensor([0.5, 0.5], requires_grad=True),
    }
    log_variances = variances("views", "like_ratio")
    loss(forecasts, [[0.0, NAN, NAN, NAN, NAN], [NAN] * 5], log_variances).backward()
    assert forecasts["views"].grad[0] != 0 and forecasts["views"].grad[1] == 0
    assert (forecasts["like_ratio"].grad == 0).all()
    # Nor does the weight of a task move that the batch knows nothing of.
    assert log_variances["like_ratio"].grad == 0 and log_variances["views"].grad != 0


def test_weight_of_a_task_falls_where_its_loss_is_large():
    """d/ds (exp(-s) L + s / 2) = 1/2 - L at s = 0: a descent raises s where L is above 1/2, and lowers it below."""
    for error, gradient in ((4.0, 0.5 - 3.5), (0.5, 0.5 - 0.125)):
        log_variances = variances("views")
        forecasts = {"views": torch.tensor([error * SCALES["views"]])}
        loss(forecasts, [[0.0, NAN, NAN, NAN, NAN]], log_variances).backward()
        # Huber with delta 1: 4 - 0.5 = 3.5, and 0.5^2 / 2 = 0.125.
        assert log_variances["views"].grad.item() == pytest.approx(gradient)


def test_log_variance_is_bounded_and_keeps_a_gradient():
    parameter = torch.tensor(3.0, requires_grad=True)
    value = bounded_log_variance(parameter)
    value.backward()
    assert value < LARGEST_LOG_VARIANCE and parameter.grad > 0
    assert bounded_log_variance(torch.tensor(0.01)).item() == pytest.approx(0.01, rel=1e-3)
