"""The multitask network: a transformer over one token per feature, with a head for every target.

An FT-Transformer (Gorishniy et al. 2021, arXiv 2106.11959) whose heads read all tokens and not CLS alone: with a
thousand or two videos CLS had not learned what to attend to before the network overfitted, and stayed clearly
behind a plain network on the same inputs (README). Imports torch at the top, so import this module inside
functions only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidpop_pipelines.pipelines.multitask.loss import logit, multitask_loss
from vidpop_pipelines.pipelines.multitask.targets import LIKE_RATIO, STAGE, VIEWS, columns_of


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the networks, and the units of their targets.

    Attributes:
        n_numbers: Number of numeric features.
        category_sizes: Per categorical column the number of codes.
        block_sizes: Per vector (weights of the categories, each text) its size.
        targets: The targets that are learned, in the order of `TARGETS`.
        centres: Per target but the stage where the forecast starts from, in link units.
        scales: Per target but the stage one unit of output and loss, in link units.
        stage_shares: Share of each stage in the training rows; empty without the stage.
        huber_delta: Errors beyond it, in units of `scales`, count linearly.
        token_size, n_layers, n_heads, hidden_size, read_size, readout_size, dropout, token_dropout,
            n_networks: See `NetworkOptions`.
    """

    n_numbers: int
    category_sizes: list[int]
    block_sizes: list[int]
    targets: list[str]
    centres: dict[str, float]
    scales: dict[str, float]
    stage_shares: list[float]
    huber_delta: float
    token_size: int
    n_layers: int
    n_heads: int
    hidden_size: int
    read_size: int
    readout_size: int
    dropout: float
    token_dropout: float
    n_networks: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values only, fit for JSON."""
        return asdict(self)


class NumberTokens(nn.Module):
    """One token per number: its value times a vector of its own; a missing one has another vector."""

    def __init__(self, n_numbers: int, token_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_numbers, token_size).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.zeros(n_numbers, token_size))
        self.missing = nn.Parameter(torch.zeros(n_numbers, token_size))

    def forward(self, numbers: Tensor) -> Tensor:
        """Returns the (B, K, token_size) tokens of (B, K) standardised numbers, NaN where missing."""
        tokens = numbers.nan_to_num(0.0)[:, :, None] * self.weight + self.bias
        return torch.where(numbers.isnan()[:, :, None], self.missing, tokens)


class FeatureTokens(nn.Module):
    """Tokens of all features of a video, behind the CLS token that the heads read."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        size = config.token_size
        self.cls = nn.Parameter(torch.randn(size) * size**-0.5)
        self.numbers = NumberTokens(config.n_numbers, size)
        self.categories = nn.ModuleList(nn.Embedding(n, size) for n in config.category_sizes)
        self.blocks = nn.ModuleList(nn.Linear(n, size) for n in config.block_sizes)
        self.token_dropout = config.token_dropout
        self.block_sizes = config.block_sizes

    def forward(self, numbers: Tensor, codes: Tensor, vectors: Tensor) -> Tensor:
        """Returns (B, 1 + F, token_size), CLS first."""
        parts = [self.numbers(numbers)]
        parts += [embed(codes[:, [column]]) for column, embed in enumerate(self.categories)]
        blocks = vectors.split(self.block_sizes, dim=1) if self.block_sizes else []
        parts += [linear(block)[:, None] for linear, block in zip(self.blocks, blocks, strict=True)]
        features = torch.cat(parts, dim=1)
        if self.training and self.token_dropout:
            # Whole features: a forecast must not hang on a single one.
            keep = torch.rand(features.shape[:2], device=features.device) >= self.token_dropout
            features = features * keep[:, :, None]
        return torch.cat([self.cls.expand(len(features), 1, -1), features], dim=1)


class EncoderLayer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        size = config.token_size
        self.n_heads = config.n_heads
        self.dropout = config.dropout
        self.norm_attention, self.norm_hidden = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query_key_value, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.hidden = nn.Sequential(
            nn.Linear(size, config.hidden_size),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_size, size),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the (B, N, token_size) tokens after the layer."""
        parts = self.query_key_value(self.norm_attention(tokens)).chunk(3, dim=-1)
        attended = functional.scaled_dot_product_attention(
            *map(self._by_head, parts), dropout_p=self.dropout if self.training else 0.0
        )
        attended = self.out(attended.transpose(1, 2).flatten(2))
        tokens = tokens + functional.dropout(attended, self.dropout, self.training)
        return tokens + self.hidden(self.norm_hidden(tokens))

    def _by_head(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class Readout(nn.Module):
    """From all tokens to one vector: each token made small, all beside each other and CLS, two layers."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        n_features = config.n_numbers + len(config.category_sizes) + len(config.block_sizes)
        size, hidden = config.token_size, config.readout_size
        self.shrink = nn.Linear(size, config.read_size)
        self.layers = nn.Sequential(
            nn.Linear(size + n_features * config.read_size, hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns (B, readout_size) of (B, 1 + F, token_size) tokens, CLS first."""
        features = self.shrink(tokens[:, 1:]).flatten(1)
        return self.layers(torch.cat([tokens[:, 0], features], dim=1))


class MultitaskNetwork(nn.Module):
    """One transformer with a head per target; heads start at zero, so that it starts from centres and trend."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.tokens = FeatureTokens(config)
        self.layers = nn.Sequential(*(EncoderLayer(config) for _ in range(config.n_layers)))
        self.readout = Readout(config)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.readout_size, len(columns_of(name))) for name in config.targets}
        )
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.log_variances = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(())) for name in config.targets}
        )

    def forward(self, numbers: Tensor, codes: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        """Returns the (B, C) output of each head; C is 3 for the stage, else 1."""
        hidden = self.readout(self.layers(self.tokens(numbers, codes, vectors)))
        return {name: head(hidden).float() for name, head in self.heads.items()}


class MultitaskNetworks(nn.Module):
    """Several networks, trained side by side on their own losses; the forecast is that of their mean output.

    They see the same batches and differ by initial weights and dropout. The buffer `training_progress` (0 to 1)
    is set by the trainer.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        # Not `config`, into which the Trainer writes settings of language models.
        self.settings = config
        self.networks = nn.ModuleList(MultitaskNetwork(config) for _ in range(config.n_networks))
        self.register_buffer("training_progress", torch.zeros(()), persistent=False)

    def forward(
        self,
        numbers: Tensor,
        codes: Tensor,
        vectors: Tensor,
        offset: Tensor,
        labels: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Forecasts a batch of B videos.

        Args:
            numbers: (B, K) numbers, NaN where missing.
            codes: (B, C) codes of the categorical columns.
            vectors: (B, V) standardised category weights and texts.
            offset: (B,) log views that the trend expects.
            labels: (B, 5) targets in link units, NaN where unknown.
            weights: (B,) sample weights; needed with labels.

        Returns:
            `logits`, (B, columns) in link units: for each target its column, for the stage the log-probability of
            each class. With labels also `loss`, a scalar.
        """
        outputs = [network(numbers, codes, vectors) for network in self.networks]
        mean = {name: torch.stack([output[name] for output in outputs]).mean(0) for name in outputs[0]}
        forecasts = self._forecasts(mean, offset)
        result = {"logits": torch.cat([forecasts[name] for name in self.settings.targets], dim=1)}
        if labels is not None:
            losses = [
                self._loss(network, output, offset, labels, weights)
                for network, output in zip(self.networks, outputs, strict=True)
            ]
            result["loss"] = torch.stack(losses).mean()
        return result

    def _loss(
        self,
        network: MultitaskNetwork,
        outputs: Mapping[str, Tensor],
        offset: Tensor,
        labels: Tensor,
        weights: Tensor,
    ) -> Tensor:
        forecasts = {
            name: forecast if name == STAGE else forecast[:, 0]
            for name, forecast in self._forecasts(outputs, offset).items()
        }
        config = self.settings
        return multitask_loss(
            forecasts, labels, weights, network.log_variances, config.scales, config.huber_delta
        )

    def _forecasts(self, outputs: Mapping[str, Tensor], offset: Tensor) -> dict[str, Tensor]:
        """Turns outputs into (B, C) forecasts in link units."""
        config = self.settings
        forecasts = {}
        for name, output in outputs.items():
            if name == STAGE:
                shares = torch.tensor(config.stage_shares, device=output.device)
                forecasts[name] = functional.log_softmax(shares.log() + output, dim=1)
            elif name == LIKE_RATIO:
                forecasts[name] = torch.sigmoid(logit(config.centres[name]) + output)
            else:
                start = offset[:, None] if name == VIEWS else config.centres[name]
                forecasts[name] = start + config.scales[name] * output
        return forecasts


def column_slices(targets: list[str]) -> dict[str, slice]:
    """Returns where each target stands among the columns of `logits`."""
    slices, start = {}, 0
    for name in targets:
        slices[name] = slice(start, start + len(columns_of(name)))
        start = slices[name].stop
    return slices
