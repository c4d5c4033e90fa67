"""The MoFA-Lite network: attention over modalities, several targets at once."""

from dataclasses import dataclass, field

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput


@strict
class MofaConfig(PreTrainedConfig):
    """Sizes and choices of `MofaNetwork`; the defaults are the published network.

    Attributes:
        modality_sizes: Width of each modality; published are image 1024, text 1024, video 768.
        n_targets: Numbers that are forecast, T.
        hidden_size, ..., binned_width: The options of `parameters.NetworkOptions`, described there.
        target_mean, target_scale: T numbers each, see `MofaNetwork`.
    """

    model_type = "mofa_lite"

    modality_sizes: list[int] = field(default_factory=lambda: [1024, 1024, 768])
    n_targets: int = 3
    hidden_size: int = 512
    attention_size: int = 128
    fusion_sizes: list[int] = field(default_factory=lambda: [512, 256])
    fusion_dropouts: list[float] = field(default_factory=lambda: [0.25, 0.2])
    head_sizes: list[int] = field(default_factory=lambda: [256, 128])
    head_dropout: float | int = 0.2
    encoder_dropout: float | int = 0.2
    modality_dropout: float | int = 0.0
    mixup_alpha: float | int = 0.0
    bins: int = 0
    binned_width: int = 16
    target_mean: list[float] | None = None
    target_scale: list[float] | None = None


@dataclass
class MofaOutput(ModelOutput):
    """What `MofaNetwork` returns.

    Attributes:
        loss: Scalar, where labels were given: mean squared error in units of `target_scale`.
        logits: (B, T) forecast, in the units of the labels.
        attention: (B, M) weight of each modality, adding up to 1; where it was asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    attention: Tensor | None = None


class MofaNetwork(PreTrainedModel):
    """Modality attention network (MoFA-Lite), for any number of modalities.

    Each modality becomes a vector of `hidden_size`; a scorer that all modalities share gives each vector a number,
    and the softmax over the modalities weighs them. The weighted vectors are concatenated, fused and mapped to
    all targets at once.

    Units: the output is `target_mean + target_scale * raw`; so targets are standardised for the network, and
    forecasts are in the units of the labels.
    """

    config_class = MofaConfig
    main_input_name = "features"

    def __init__(self, config: MofaConfig):
        super().__init__(config)
        hidden = config.hidden_size
        narrow = [config.bins > 0 and size <= config.binned_width for size in config.modality_sizes]
        self.binning = nn.ModuleList(_Bins(config.bins) if few else nn.Identity() for few in narrow)
        self.encoders = nn.ModuleList(
            _dense(size * config.bins if few else size, hidden, config.encoder_dropout)
            for size, few in zip(config.modality_sizes, narrow, strict=True)
        )
        self.scorer = nn.Sequential(
            nn.Linear(hidden, config.attention_size), nn.GELU(), nn.Linear(config.attention_size, 1)
        )
        layers, size = [], hidden * len(config.modality_sizes)
        for width, dropout in zip(config.fusion_sizes, config.fusion_dropouts, strict=True):
            layers.append(_dense(size, width, dropout))
            size = width
        self.fusion = nn.Sequential(*layers)
        head = []
        for width in config.head_sizes:
            head += [nn.Linear(size, width), nn.GELU(), nn.Dropout(config.head_dropout)]
            size = width
        self.head = nn.Sequential(*head, nn.Linear(size, config.n_targets))
        for name in ("target_mean", "target_scale"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self._fill_buffers()
        self.post_init()

    def forward(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        output_attention: bool = False,
    ) -> MofaOutput:
        """Forecasts a batch of B videos.

        Args:
            features: (B, sum of modality sizes) preprocessed features, modalities side by side.
            labels: (B, T) true values.
            output_attention: Whether to return the weights of the modalities.
        """
        raw = features.split(self.config.modality_sizes, dim=1)
        parts = [binning(part) for binning, part in zip(self.binning, raw, strict=True)]
        if self.training and labels is not None and self.config.mixup_alpha > 0:
            *parts, labels = _mix(self.config.mixup_alpha, *parts, labels)
        encoded = [encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)]
        stacked = torch.stack(encoded, dim=1)  # (B, M, hidden)
        scores = self.scorer(stacked).squeeze(-1)  # (B, M)
        if self.training and self.config.modality_dropout > 0:
            scores = scores.masked_fill(self._left_out(scores), -torch.inf)
        attention = scores.softmax(dim=1)
        fused = self.fusion((stacked * attention.unsqueeze(-1)).flatten(1))
        logits = self.target_mean + self.target_scale * self.head(fused).float()
        loss = None
        if labels is not None:
            loss = ((logits - labels) / self.target_scale).square().mean()
        return MofaOutput(loss=loss, logits=logits, attention=attention if output_attention else None)

    def _left_out(self, scores: Tensor) -> Tensor:
        """Draws which modalities are left out, (B, M); one of them, drawn too, always stays."""
        drawn = torch.rand_like(scores)
        left_out = drawn < self.config.modality_dropout
        return left_out.scatter(1, drawn.argmax(dim=1, keepdim=True), False)

    def _fill_buffers(self) -> None:
        n_targets = self.config.n_targets
        self.target_mean = torch.tensor(self.config.target_mean or [0.0] * n_targets)
        self.target_scale = torch.tensor(self.config.target_scale or [1.0] * n_targets)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Torch's own initialisation, as published, in place of the small normal of transformers."""
        if module is self:
            self._fill_buffers()  # from_pretrained builds on the meta device, where they have no values
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()


def _dense(size: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout))


class _Bins(nn.Module):
    """Writes numbers as how far they have come through each bin, scaled to about mean 0 and variance 1.

    The bins are quantiles of the standard normal distribution.
    """

    def __init__(self, bins: int):
        super().__init__()
        self.bins = bins
        for name in ("edges", "mean", "scale"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Computes the buffers, which depend on the number of bins alone."""
        shares = torch.linspace(0, 1, self.bins + 1, dtype=torch.float64)
        # The outer bins have no end; they get those that leave an eighth of their values outside.
        end = 0.125 / self.bins
        self.edges = torch.special.ndtri(shares.clamp(end, 1 - end)).float()
        self.mean = (1 - (shares[:-1] + shares[1:]) / 2).float()
        self.scale = (self.mean * (1 - self.mean)).sqrt()

    def forward(self, numbers: Tensor) -> Tensor:
        """Returns (B, width * bins) from (B, width)."""
        passed = (numbers.unsqueeze(-1) - self.edges[:-1]) / self.edges.diff()
        return ((passed.clamp(0, 1) - self.mean) / self.scale).flatten(1)


def _mix(alpha: float, *tensors: Tensor) -> list[Tensor]:
    """Mixes every row with another one of the batch, in all tensors the same and all with the same share."""
    device = tensors[0].device
    share = torch.distributions.Beta(alpha, alpha).sample().to(device)
    other = torch.randperm(len(tensors[0]), device=device)
    return [share * tensor + (1 - share) * tensor[other] for tensor in tensors]
