"""Building blocks of the SMTPD network: encoders of the inputs, decoders of the curve, layers per forecast day."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidpop_pipelines.pipelines.smtpd.parameters import MODALITIES

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig


class BranchEncoder(nn.Module):
    """One MLP per modality, their outputs concatenated: (B, branch_size * number of modalities)."""

    def __init__(self, config: "SmtpdConfig"):
        super().__init__()
        self.modalities = [name for name in MODALITIES if name in config.modalities]
        self.output_size = config.branch_size * len(self.modalities)

        def mlp(input_size: int, hidden_sizes: list[int]) -> nn.Sequential:
            return build_mlp([input_size, *hidden_sizes, config.branch_size], config)

        if "visual" in self.modalities:
            self.visual = mlp(config.visual_size, config.visual_hidden_sizes)
        if "text" in self.modalities:
            self.text_mixer = TextMixer(config.n_text_fields)
            self.text = mlp(config.text_size, config.text_hidden_sizes)
        if "numerical" in self.modalities:
            self.numerical = mlp(config.n_numerical, config.numerical_hidden_sizes)
        if "categorical" in self.modalities:
            self.category_embedding = nn.Embedding(config.n_categories, config.embedding_size)
            self.language_embedding = nn.Embedding(config.n_languages, config.embedding_size)
            self.category = mlp(config.embedding_size, config.categorical_hidden_sizes)
            self.language = mlp(config.embedding_size, config.categorical_hidden_sizes)
            self.categorical = mlp(config.branch_size, config.categorical_hidden_sizes)

    def forward(self, visual, text, numerical, category, language) -> Tensor:
        """Takes the inputs of `SmtpdNetwork.forward`; gives (B, output_size)."""
        branches = []
        if "visual" in self.modalities:
            branches.append(self.visual(visual))
        if "text" in self.modalities:
            branches.append(self.text(self.text_mixer(text)))
        if "numerical" in self.modalities:
            branches.append(self.numerical(numerical))
        if "categorical" in self.modalities:
            by_category = self.category(self.category_embedding(category))
            by_language = self.language(self.language_embedding(language))
            branches.append(self.categorical(by_category * by_language))
        return torch.cat(branches, dim=1)


class ConcatenationEncoder(nn.Module):
    """All inputs of the chosen modalities side by side, text fields and embeddings included."""

    def __init__(self, config: "SmtpdConfig"):
        super().__init__()
        self.modalities = [name for name in MODALITIES if name in config.modalities]
        sizes = {
            "visual": config.visual_size,
            "text": config.n_text_fields * config.text_size,
            "numerical": config.n_numerical,
            "categorical": 2 * config.embedding_size,
        }
        self.output_size = sum(sizes[name] for name in self.modalities)
        if "categorical" in self.modalities:
            self.category_embedding = nn.Embedding(config.n_categories, config.embedding_size)
            self.language_embedding = nn.Embedding(config.n_languages, config.embedding_size)

    def forward(self, visual, text, numerical, category, language) -> Tensor:
        """Takes the inputs of `SmtpdNetwork.forward`; gives (B, output_size)."""
        inputs = []
        if "visual" in self.modalities:
            inputs.append(visual)
        if "text" in self.modalities:
            inputs.append(text.flatten(1))
        if "numerical" in self.modalities:
            inputs.append(numerical)
        if "categorical" in self.modalities:
            inputs += [self.category_embedding(category), self.language_embedding(language)]
        return torch.cat(inputs, dim=1)


class TextMixer(nn.Conv1d):
    """1x1 convolution over the text fields: a learned weighted mean."""

    def __init__(self, n_fields: int):
        super().__init__(n_fields, 1, kernel_size=1)

    def reset_parameters(self) -> None:
        """Starts near the plain mean of the fields, as published."""
        super().reset_parameters()
        nn.init.normal_(self.weight, mean=1 / self.in_channels, std=0.01)

    def forward(self, text: Tensor) -> Tensor:
        """Takes (B, n_fields, size); gives (B, size)."""
        return super().forward(text).squeeze(1)


class LstmDecoder(nn.Module):
    """T unrolled LSTM steps, each with an input MLP, a cell and a head of its own."""

    def __init__(self, config: "SmtpdConfig", input_size: int):
        super().__init__()
        hidden_size = config.hidden_size
        self.initial_state = build_mlp([input_size, *config.state_hidden_sizes, hidden_size], config)
        self.step_inputs = build_step_mlp([input_size, *config.step_hidden_sizes, hidden_size], config)
        self.cells = nn.ModuleList(nn.LSTMCell(hidden_size, hidden_size) for _ in range(config.n_steps))
        self.heads = build_step_mlp([2 * hidden_size, *config.head_hidden_sizes, 1], config)

    def forward(self, fused: Tensor) -> Tensor:
        """Takes the fused vectors (B, size); gives (B, T)."""
        hidden = cell_state = self.initial_state(fused)
        states = []
        for cell, step_input in zip(self.cells, self.step_inputs(fused).unbind(1), strict=True):
            hidden, cell_state = cell(step_input, (hidden, cell_state))
            states.append(torch.cat([hidden, cell_state], dim=1))
        return score(self.heads, torch.stack(states, dim=1)).squeeze(2)


class DirectDecoder(nn.Module):
    """MLP from the fused vector to all T days; its last layer starts at zero."""

    def __init__(self, config: "SmtpdConfig", input_size: int):
        super().__init__()
        sizes = [input_size, *config.direct_hidden_sizes]
        self.head = nn.Sequential(*_hidden_layers(sizes, config), ZeroLinear(sizes[-1], config.n_steps))

    def forward(self, fused: Tensor) -> Tensor:
        """Takes the fused vectors (B, size); gives (B, T)."""
        return score(self.head, fused)


class ZeroLinear(nn.Linear):
    """A linear layer that starts at zero."""

    def reset_parameters(self) -> None:
        """Sets weight and bias to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class StepLinear(nn.Module):
    """T independent linear layers with stacked weights; one matrix product where they share their input."""

    def __init__(self, n_steps: int, input_size: int, output_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_steps, output_size, input_size))
        self.bias = nn.Parameter(torch.empty(n_steps, output_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights as T separate `nn.Linear` would: uniform within 1 / sqrt(input size)."""
        bound = 1 / math.sqrt(self.weight.shape[2])
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """Takes (B, input size), shared by all steps, or (B, T, input size); gives (B, T, output size)."""
        if inputs.dim() == 2:
            outputs = functional.linear(inputs, self.weight.flatten(0, 1), self.bias.flatten())
            return outputs.unflatten(1, self.bias.shape)
        by_step = torch.baddbmm(self.bias[:, None], inputs.transpose(0, 1), self.weight.transpose(1, 2))
        return by_step.transpose(0, 1)


class StepBatchNorm(nn.BatchNorm1d):
    """Batch normalization of (B, T, size); every step and channel has statistics of its own."""

    def __init__(self, n_steps: int, size: int):
        super().__init__(n_steps * size, affine=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Takes and gives (B, T, size)."""
        return super().forward(inputs.flatten(1)).unflatten(1, inputs.shape[1:])


def build_mlp(sizes: list[int], config: "SmtpdConfig") -> nn.Sequential:
    """Linear, normalization, ReLU, dropout for every hidden layer; the last Linear is bare."""
    return nn.Sequential(*_hidden_layers(sizes[:-1], config), nn.Linear(*sizes[-2:]))


def build_step_mlp(sizes: list[int], config: "SmtpdConfig") -> nn.Sequential:
    """T independent MLPs as `build_mlp` makes them, computed together.

    They take (B, size), shared by all steps, or (B, T, size), and give (B, T, last size).
    """
    hidden_layers = _hidden_layers(sizes[:-1], config, config.n_steps)
    return nn.Sequential(*hidden_layers, StepLinear(config.n_steps, *sizes[-2:]))


def score(head: nn.Sequential, inputs: Tensor) -> Tensor:
    """Applies the MLP that ends in the forecast, its last layer always in float32.

    Autocast would round the forecast: bfloat16 has steps of 0.06 where scores are near 12.
    """
    hidden = head[:-1](inputs)
    with torch.autocast(hidden.device.type, enabled=False):
        return head[-1](hidden.float())


def _hidden_layers(sizes: list[int], config: "SmtpdConfig", n_steps: int | None = None) -> list[nn.Module]:
    layers = []
    for pair in pairwise(sizes):
        linear = nn.Linear(*pair) if n_steps is None else StepLinear(n_steps, *pair)
        layers += [linear, _normalization(pair[1], config, n_steps), nn.ReLU(), nn.Dropout(config.dropout)]
    return layers


def _normalization(size: int, config: "SmtpdConfig", n_steps: int | None) -> nn.Module:
    if config.normalization == "batch":
        return nn.BatchNorm1d(size, affine=False) if n_steps is None else StepBatchNorm(n_steps, size)
    if config.normalization == "layer":
        return nn.LayerNorm(size, elementwise_affine=False)
    return nn.Identity()
