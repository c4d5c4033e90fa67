"""The SMTPD network: four modalities in, one popularity score per forecast day out."""

from dataclasses import dataclass, field

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from vidpop_pipelines.pipelines.smtpd.layers import (
    BranchEncoder,
    ConcatenationEncoder,
    DirectDecoder,
    LstmDecoder,
)
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
        encoder, ..., n_networks: The options of `parameters.NetworkOptions`, described there.
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
