"""Losses of the SMTPD network: Composite Gradient Loss and plain L1, both blind to missing days.

A missing day is NaN in the target. It is cut out before any arithmetic, so that neither its value nor
the prediction for it ever reaches the loss or a gradient.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vidpop_pipelines.pipelines.smtpd.parameters import LossOptions

# Finite, so that a row without any observed day gives a flat softmax and no NaN in the backward pass.
_LOWEST = -1e30


def popularity_loss(
    prediction: Tensor, target: Tensor, options: LossOptions, progress: Tensor | float
) -> Tensor:
    """Returns the loss that `options` names.

    Args:
        prediction: (B, T) forecast popularity scores.
        target: (B, T) true scores, NaN where a day is missing.
        options: Name and weights of the loss.
        progress: Part of the training that is done, 0 to 1.

    Returns:
        A scalar; 0 with zero gradient if no day of the batch is observed.
    """
    if options.name == "l1":
        return masked_l1(prediction, target)
    return composite_gradient_loss(prediction, target, options, progress)


def masked_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Returns the mean absolute error over the observed days of the batch."""
    prediction, target, observed = _cut_missing(prediction, target)
    return _mean((prediction - target).abs(), observed)


def composite_gradient_loss(
    prediction: Tensor, target: Tensor, options: LossOptions, progress: Tensor | float
) -> Tensor:
    """Returns the Composite Gradient Loss: level, slope, curvature and peak day of the popularity curve.

    `SmoothL1 + k (lambda1 SmoothL1(first differences) + lambda2 SmoothL1(second differences)
    + alpha peak alignment) + 1e-6 roughness`, where k falls from 1 to 0 on a cosine over the training:
    shape matters first, the level alone at the end.

    Arguments and result as in `popularity_loss`.
    """
    prediction, target, observed = _cut_missing(prediction, target)
    slope, true_slope, both = _difference(prediction), _difference(target), observed[:, 1:] & observed[:, :-1]
    curvature, true_curvature, all_three = (
        _difference(slope),
        _difference(true_slope),
        both[:, 1:] & both[:, :-1],
    )

    shape = (
        options.first_difference_weight * _smooth_l1(slope, true_slope, both, options.beta)
        + options.second_difference_weight * _smooth_l1(curvature, true_curvature, all_three, options.beta)
        + options.peak_weight * _peak_alignment(prediction, target, observed, options.peak_temperature)
    )
    n_rows = observed.any(dim=1).sum().clamp(min=1)
    roughness = ((slope.abs() * both).sum() + (curvature.abs() * all_three).sum()) / n_rows
    level = _smooth_l1(prediction, target, observed, options.beta)
    return level + shape_weight(progress) * shape + options.roughness_weight * roughness


def shape_weight(progress: Tensor | float) -> Tensor:
    """Returns the weight k of the shape terms, a half cosine from 1 to 0 over the training."""
    return 0.5 * (1 + torch.cos(math.pi * torch.as_tensor(progress)))


def _peak_alignment(prediction: Tensor, target: Tensor, observed: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between `softmax(prediction / temperature)` and the true peak day, over observed days.

    The published term compares one-hot argmaxes, which has no gradient. As there, the mean is taken over
    rows and days: with T days the sum over days would weigh T times as much as the paper's alpha says.
    """
    log_probability = functional.log_softmax(
        (prediction / temperature).masked_fill(~observed, _LOWEST), dim=1
    )
    peak = target.masked_fill(~observed, _LOWEST).argmax(dim=1, keepdim=True)
    cross_entropy = -log_probability.gather(1, peak).squeeze(1)
    return torch.where(observed.any(dim=1), cross_entropy, 0).sum() / observed.sum().clamp(min=1)


def _cut_missing(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns prediction, target and whether it is observed, each (B, T); the first two 0 on missing days."""
    observed = ~target.isnan()
    # At least float32: differences of scores near 12 would drown in the rounding of bfloat16.
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    zero = torch.zeros((), dtype=dtype, device=prediction.device)
    return (
        torch.where(observed, prediction.to(dtype), zero),
        torch.where(observed, target.to(dtype), zero),
        observed,
    )


def _difference(curve: Tensor) -> Tensor:
    return curve[:, 1:] - curve[:, :-1]


def _smooth_l1(prediction: Tensor, target: Tensor, mask: Tensor, beta: float) -> Tensor:
    return _mean(functional.smooth_l1_loss(prediction, target, beta=beta, reduction="none"), mask)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
