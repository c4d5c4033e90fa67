"""The SMTPD network: four modalities in, one popularity score per forecast day out."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from vidpop_pipelines.pipelines.smtpd.loss import popularity_loss
from vidpop_pipelines.pipelines.smtpd.parameters import MODALITIES, LossOptions


@strict
class SmtpdConfig(PreTrainedConfig):
    """Sizes and choices of `SmtpdNetwork`; the defaults are the published network with early popularity.

    Attributes:
        modalities: Which of visual, text, numerical, categorical the network sees (ablation switch).
        visual_size, text_size, n_text_fields, n_numerical, n_categories, n_languages: Sizes of the inputs.
            The published six numbers are five properties of the video and its early popularity.
        n_steps: Days to forecast, T: 29 with early popularity, 30 without.
        encoder: "branches" gives each modality its own MLP (published); "concatenation" feeds all inputs
            side by side into the decoder, for small networks on few rows.
        visual_hidden_sizes, text_hidden_sizes, numerical_hidden_sizes, categorical_hidden_sizes: Hidden
            layers of the branches; each ends in `branch_size`.
        embedding_size: Width of the category and language embeddings.
        decoder: "lstm" (published) or "direct", an MLP from the fused vector to all days at once whose
            last layer starts at zero, so that training starts at the offset.
        state_hidden_sizes, step_hidden_sizes, head_hidden_sizes, hidden_size: The lstm decoder: MLP of the
            initial state, input MLP and head of each step, and the width of the LSTM state.
        direct_hidden_sizes: Hidden layers of the direct decoder.
        normalization: After each hidden Linear: "batch" (published, without affine), "layer" or "none".
        dropout: After each hidden activation; 0 as published.
        n_networks: Networks of an `SmtpdEnsemble`; 1 as published.
        loss: Fields of `LossOptions`.
        target_mean, target_scale: T numbers each, see `SmtpdNetwork`; null for 0 and 1.
    """

    model_type = "smtpd"

    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))
    visual_size: int = 2048
    text_size: int = 768
    n_text_fields: int = 5
    n_numerical: int = 6
    n_categories: int = 16
    n_languages: int = 7
    n_steps: int = 29
    encoder: str = "branches"
    visual_hidden_sizes: list[int] = field(default_factory=lambda: [1024, 512])
    text_hidden_sizes: list[int] = field(default_factory=lambda: [512])
    numerical_hidden_sizes: list[int] = field(default_factory=lambda: [128])
    categorical_hidden_sizes: list[int] = field(default_factory=lambda: [256])
    branch_size: int = 128
    embedding_size: int = 128
    decoder: str = "lstm"
    state_hidden_sizes: list[int] = field(default_factory=lambda: [512])
    step_hidden_sizes: list[int] = field(default_factory=lambda: [768])
    head_hidden_sizes: list[int] = field(default_factory=lambda: [128, 64])
    hidden_size: int = 128
    direct_hidden_sizes: list[int] = field(default_factory=lambda: [128, 128])
    normalization: str = "batch"
    dropout: float | int = 0.0
    n_networks: int = 1
    loss: dict = field(default_factory=dict)
    target_mean: list[float] | None = None
    target_scale: list[float] | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        unknown = set(self.modalities) - set(MODALITIES)
        if unknown or not self.modalities:
            raise ValueError(f"modalities must be one or more of {MODALITIES}, not {self.modalities}")
        _check_choice("encoder", self.encoder, ("branches", "concatenation"))
        _check_choice("decoder", self.decoder, ("lstm", "direct"))
        _check_choice("normalization", self.normalization, ("batch", "layer", "none"))
        for name in ("target_mean", "target_scale"):
            values = getattr(self, name)
            if values is not None and len(values) != self.n_steps:
                raise ValueError(f"{name} has {len(values)} numbers for {self.n_steps} forecast days")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, not {value!r}")


@dataclass
class SmtpdOutput(ModelOutput):
    """What `SmtpdNetwork` returns.

    Attributes:
        loss: Scalar, where labels were given.
        logits: (B, T) forecast popularity scores, in the units of the labels.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None


class SmtpdNetwork(PreTrainedModel):
    """Multimodal popularity forecaster (SMTPD, arXiv 2503.04446, section 4), and smaller relatives.

    Each modality becomes a vector of 128, the four are concatenated, and from this fused vector T steps
    with their own weights (input MLP, LSTM cell, head) unroll the curve. All T input MLPs and heads are
    computed at once from stacked weights; only the LSTM cells wait for each other.

    It has 23.0 M trainable parameters for 29 days and 23.7 M for 30. The published 23.3 M settle that every
    step has an LSTM cell of its own, since one shared cell would leave 19.3 M; they also count four linear
    layers of the published code that nothing uses. `h0` and `c0` are the same vector, as published.

    Units: the output is `base + target_scale * raw`, where `base` is the offset if one is given, else
    `target_mean`. With the default scale 1 and mean 0 the raw output is the forecast, as published. So
    forecasts, loss and metrics are always in the units of the labels.

    The attribute `training_progress` (0 to 1) drives the schedule of the loss; the trainer sets it.
    """

    config_class = SmtpdConfig
    main_input_name = "numerical"

    def __init__(self, config: SmtpdConfig):
        super().__init__(config)
        self.loss_options = LossOptions(**config.loss)
        self.encoder = BranchEncoder(config) if config.encoder == "branches" else ConcatenationEncoder(config)
        decoder_class = LstmDecoder if config.decoder == "lstm" else DirectDecoder
        self.decoder = decoder_class(config, self.encoder.output_size)
        for name in ("target_mean", "target_scale", "training_progress"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self._fill_buffers()
        self.post_init()

    def forward(
        self,
        visual: Tensor | None = None,
        text: Tensor | None = None,
        numerical: Tensor | None = None,
        category: Tensor | None = None,
        language: Tensor | None = None,
        offset: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SmtpdOutput:
        """Forecasts the popularity of a batch of B videos.

        Args:
            visual: (B, visual_size) cover features.
            text: (B, n_text_fields, text_size) one vector per text field.
            numerical: (B, n_numerical) standardised numbers.
            category: (B,) index of the category.
            language: (B,) index of the language of the title.
            offset: (B, T) cheap forecast to which the network adds a residual.
            labels: (B, T) true scores, NaN where a day is missing.

        Inputs of modalities that the network was not built with are ignored and may be left out.
        """
        raw = self.decoder(self.encoder(visual, text, numerical, category, language)).float()
        base = self.target_mean if offset is None else offset
        logits = base + self.target_scale * raw
        loss = None
        if labels is not None:
            loss = popularity_loss(logits, labels, self.loss_options, self.training_progress)
        return SmtpdOutput(loss=loss, logits=logits)

    def _fill_buffers(self) -> None:
        n_steps = self.config.n_steps
        self.target_mean = torch.tensor(self.config.target_mean or [0.0] * n_steps)
        self.target_scale = torch.tensor(self.config.target_scale or [1.0] * n_steps)
        self.training_progress = torch.tensor(0.0)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Torch's own initialisation, as published, in place of the small normal of transformers."""
        if module is self:
            self._fill_buffers()  # from_pretrained builds on the meta device, where they have no values
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()


class SmtpdEnsemble(PreTrainedModel):
    """Several networks of the same shape, trained side by side on their own losses; the forecast is their mean.

    They see the same batches and differ by initial weights and dropout. On the ACTIVE data the mean of several is
    better than CatBoost by more than the noise of the test set; a single one is not.
    """

    config_class = SmtpdConfig
    main_input_name = "numerical"

    def __init__(self, config: SmtpdConfig):
        super().__init__(config)
        self.networks = nn.ModuleList(SmtpdNetwork(config) for _ in range(config.n_networks))
        self.register_buffer("training_progress", torch.tensor(0.0), persistent=False)
        self.post_init()

    def forward(
        self,
        visual: Tensor | None = None,
        text: Tensor | None = None,
        numerical: Tensor | None = None,
        category: Tensor | None = None,
        language: Tensor | None = None,
        offset: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SmtpdOutput:
        """Forecast a batch; arguments and result as in `SmtpdNetwork.forward`."""
        for network in self.networks:
            network.training_progress = self.training_progress
        batch = (visual, text, numerical, category, language, offset, labels)
        outputs = [network(*batch) for network in self.networks]
        losses = [output.loss for output in outputs if output.loss is not None]
        return SmtpdOutput(
            loss=torch.stack(losses).mean() if losses else None,
            logits=torch.stack([output.logits for output in outputs]).mean(dim=0),
        )


def build_network(config: SmtpdConfig) -> SmtpdNetwork | SmtpdEnsemble:
    """Builds the network of a configuration, or the ensemble where it asks for several."""
    return SmtpdNetwork(config) if config.n_networks == 1 else SmtpdEnsemble(config)


class BranchEncoder(nn.Module):
    """One MLP per modality, their outputs concatenated: (B, branch_size * number of modalities)."""

    def __init__(self, config: SmtpdConfig):
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

    def __init__(self, config: SmtpdConfig):
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

    def __init__(self, config: SmtpdConfig, input_size: int):
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

    def __init__(self, config: SmtpdConfig, input_size: int):
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


def build_mlp(sizes: list[int], config: SmtpdConfig) -> nn.Sequential:
    """Linear, normalization, ReLU, dropout for every hidden layer; the last Linear is bare."""
    return nn.Sequential(*_hidden_layers(sizes[:-1], config), nn.Linear(*sizes[-2:]))


def build_step_mlp(sizes: list[int], config: SmtpdConfig) -> nn.Sequential:
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


def _hidden_layers(sizes: list[int], config: SmtpdConfig, n_steps: int | None = None) -> list[nn.Module]:
    layers = []
    for pair in pairwise(sizes):
        linear = nn.Linear(*pair) if n_steps is None else StepLinear(n_steps, *pair)
        layers += [linear, _normalization(pair[1], config, n_steps), nn.ReLU(), nn.Dropout(config.dropout)]
    return layers


def _normalization(size: int, config: SmtpdConfig, n_steps: int | None) -> nn.Module:
    if config.normalization == "batch":
        return nn.BatchNorm1d(size, affine=False) if n_steps is None else StepBatchNorm(n_steps, size)
    if config.normalization == "layer":
        return nn.LayerNorm(size, elementwise_affine=False)
    return nn.Identity()
