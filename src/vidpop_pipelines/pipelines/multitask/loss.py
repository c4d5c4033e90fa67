"""The loss of all tasks: unknown targets count nowhere, and the weight of each task is learned.

Imports torch at the top, so import this module inside functions only.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from vidpop_pipelines.pipelines.multitask.targets import STAGE, TARGETS

# No task counts more than e^2 or less than e^-2 times as much as at the start: one that is easily fitted would
# otherwise drown the others.
LARGEST_LOG_VARIANCE = 2.0


def bounded_log_variance(parameter: Tensor) -> Tensor:
    """Returns the log-variance of a task: the parameter itself near 0, and never beyond the largest one.

    Smooth, since a parameter that a hard limit has cut off would get no gradient and never come back.
    """
    return LARGEST_LOG_VARIANCE * torch.tanh(parameter / LARGEST_LOG_VARIANCE)


def multitask_loss(
    forecasts: Mapping[str, Tensor],
    labels: Tensor,
    weights: Tensor,
    log_variances: Mapping[str, Tensor],
    scales: Mapping[str, float],
    huber_delta: float,
) -> Tensor:
    """Adds up the losses of the tasks, weighted by learned uncertainty (Kendall et al. 2018, arXiv 1705.07115).

    With s the log-variance of a task, its loss counts exp(-s) times and s / 2 is added: without it the loss would
    be smallest with every s infinite.

    Args:
        forecasts: Target to (B,) forecasts in link units, of the stage (B, 3) log-probabilities.
        labels: (B, 5) in link units in the order of `TARGETS`, NaN where unknown.
        weights: (B,) sample weights.
        log_variances: Target to its parameter, see `bounded_log_variance`.
        scales: Target to one unit of its loss.
        huber_delta: Errors beyond it, in these units, count linearly.

    Returns:
        Scalar. A task of which the batch knows nothing adds nothing to it.
    """
    total = labels.new_zeros(())
    for name, forecast in forecasts.items():
        truth = labels[:, TARGETS.index(name)]
        known = ~truth.isnan()
        # A number in place of NaN: NaN times a weight of 0 would still be NaN.
        truth = truth.nan_to_num(0.0)
        if name == STAGE:
            losses = functional.nll_loss(forecast, truth.long(), reduction="none")
        else:
            errors = (forecast - truth) / scales[name]
            losses = functional.huber_loss(
                errors, torch.zeros_like(errors), reduction="none", delta=huber_delta
            )
        counted = weights * known
        mean = (losses * counted).sum() / counted.sum().clamp_min(torch.finfo(losses.dtype).tiny)
        log_variance = bounded_log_variance(log_variances[name])
        total = total + known.any() * (torch.exp(-log_variance) * mean + log_variance / 2)
    return total


def logit(probability: float) -> float:
    """Returns log(p / (1 - p))."""
    return math.log(probability / (1 - probability))
