"""The SMTPD network with one module per step, as the published code has it: the slow reference.

The tests compare the stacked network with it, ``train_smtpd.py`` races the two.
"""

import torch
from torch import nn

from vidpop_pipelines.pipelines.smtpd.layers import LstmDecoder, build_mlp
from vidpop_pipelines.pipelines.smtpd.model import SmtpdConfig, SmtpdNetwork


class PerStepDecoder(nn.Module):
    """What ``LstmDecoder`` computes, as a loop over T input MLPs, cells and heads."""

    def __init__(self, config: SmtpdConfig, input_size: int):
        super().__init__()
        hidden_size, steps = config.hidden_size, range(config.n_steps)
        self.initial_state = build_mlp([input_size, *config.state_hidden_sizes, hidden_size], config)
        step_sizes = [input_size, *config.step_hidden_sizes, hidden_size]
        head_sizes = [2 * hidden_size, *config.head_hidden_sizes, 1]
        self.step_inputs = nn.ModuleList(build_mlp(step_sizes, config) for _ in steps)
        self.cells = nn.ModuleList(nn.LSTMCell(hidden_size, hidden_size) for _ in steps)
        self.heads = nn.ModuleList(build_mlp(head_sizes, config) for _ in steps)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """Takes the fused vectors (B, size); gives (B, T)."""
        hidden = cell_state = self.initial_state(fused)
        scores = []
        for step_input, cell, head in zip(self.step_inputs, self.cells, self.heads, strict=True):
            hidden, cell_state = cell(step_input(fused), (hidden, cell_state))
            scores.append(head(torch.cat([hidden, cell_state], dim=1)))
        return torch.cat(scores, dim=1)


def step_parameters(
    decoder: LstmDecoder | PerStepDecoder, step: int, *, gradient: bool = False
) -> list[torch.Tensor]:
    """Weights (or gradients) of one step, in the same order for both decoders."""

    def value(parameter):
        return parameter.grad if gradient else parameter.detach()

    if isinstance(decoder, LstmDecoder):
        layers = [*decoder.step_inputs, *decoder.heads]
        linear = [value(p)[step] for layer in layers for p in layer.parameters()]
    else:
        layers = [*decoder.step_inputs[step], *decoder.heads[step]]
        linear = [value(p) for layer in layers for p in layer.parameters()]
    return linear + [value(p) for p in decoder.cells[step].parameters()]


def per_step_copy(network: SmtpdNetwork) -> SmtpdNetwork:
    """A network with per-step modules and the weights of ``network``."""
    copy = SmtpdNetwork(network.config)
    copy.encoder.load_state_dict(network.encoder.state_dict())
    copy.decoder = PerStepDecoder(network.config, network.encoder.output_size)
    copy.decoder.initial_state.load_state_dict(network.decoder.initial_state.state_dict())
    with torch.no_grad():
        for step in range(network.config.n_steps):
            pairs = zip(
                step_parameters(copy.decoder, step), step_parameters(network.decoder, step), strict=True
            )
            for target, source in pairs:
                target.copy_(source)
    return copy
