"""Parameters of the SMTPD family: the `smtpd` tree of conf/*/parameters/smtpd.yml."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vidpop_pipelines.features.images import ImageEncoderOptions
from vidpop_pipelines.features.text import TextEncoderOptions
from vidpop_pipelines.parameters import Parameters, PlusList
from vidpop_pipelines.training.options import TrainingOptions

MODALITIES = ("visual", "text", "numerical", "categorical")


class SmtpdInstance(Parameters):
    """What distinguishes `smtpd_ep` from `smtpd_no_ep`.

    Attributes:
        early_popularity: Day 1 is an input (EP in the paper) and days 2..D are forecast; otherwise all days are.
    """

    early_popularity: bool


class PreprocessingOptions(Parameters):
    """What is fitted on the training split before a network sees anything; numbers are always standardised.

    Attributes:
        log_numbers: Numbers enter as sign(x) log(1 + |x|): counts of followers span seven orders of magnitude.
        standardise_vectors: Thumbnail and text vectors get mean 0 and standard deviation 1.
        visual_components: Size to which thumbnail vectors are reduced by SVD; null keeps them.
        text_components: The same for the vectors of each text.
        standardise_targets: The network's output is in units of each day's standard deviation.
        residual: The network forecasts what a least-squares line on day 1 (without early popularity: the
            median of each day) leaves over.
    """

    log_numbers: bool
    standardise_vectors: bool
    visual_components: int | None = Field(ge=1)
    text_components: int | None = Field(ge=1)
    standardise_targets: bool
    residual: bool


class NetworkOptions(Parameters):
    """Shape of the network; the defaults are the published one.

    Attributes:
        encoder: `branches` gives each modality its own MLP (published); `concatenation` feeds all inputs side by side
            into the decoder, for small networks on few rows.
        visual_hidden_sizes: Hidden layers of the branch of thumbnails.
        text_hidden_sizes: Hidden layers of the branch of texts.
        numerical_hidden_sizes: Hidden layers of the branch of numbers.
        categorical_hidden_sizes: Hidden layers of the branch of category and language.
        branch_size: Width at which every branch ends.
        embedding_size: Width of the category and language embeddings.
        decoder: `lstm` (published) or `direct`, an MLP from the fused vector to all days at once whose last layer
            starts at zero, so that training starts at the offset.
        state_hidden_sizes: Of the lstm decoder: MLP of the initial state.
        step_hidden_sizes: Of the lstm decoder: input MLP of each step.
        head_hidden_sizes: Of the lstm decoder: head of each step.
        hidden_size: Of the lstm decoder: width of the state.
        direct_hidden_sizes: Hidden layers of the direct decoder.
        normalization: After each hidden Linear; `batch` as published, without affine.
        dropout: After each hidden activation; 0 as published.
        n_networks: Networks whose mean is the forecast; 1 as published.
    """

    encoder: Literal["branches", "concatenation"] = "branches"
    visual_hidden_sizes: list[int] = [1024, 512]
    text_hidden_sizes: list[int] = [512]
    numerical_hidden_sizes: list[int] = [128]
    categorical_hidden_sizes: list[int] = [256]
    branch_size: int = 128
    embedding_size: int = 128
    decoder: Literal["lstm", "direct"] = "lstm"
    state_hidden_sizes: list[int] = [512]
    step_hidden_sizes: list[int] = [768]
    head_hidden_sizes: list[int] = [128, 64]
    hidden_size: int = 128
    direct_hidden_sizes: list[int] = [128, 128]
    normalization: Literal["batch", "layer", "none"] = "batch"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    n_networks: int = Field(default=1, ge=1)


class LossOptions(Parameters):
    """Which loss to train on, and its weights (SMTPD paper, arXiv 2503.04446, section 4.2.2).

    The defaults are the published ones; the paper has no `peak_temperature`.

    Attributes:
        name: `l1`, or the paper's Composite Gradient Loss, which alone has the other options.
        beta: Popularity units; SmoothL1 is quadratic below and linear above.
        first_difference_weight: Lambda 1 of the paper.
        second_difference_weight: Lambda 2 of the paper.
        peak_weight: Alpha of the paper.
        peak_temperature: Popularity units. As beta: a day that is higher by more than this counts as clearly the peak.
        roughness_weight: Of the sum of absolute first and second differences of the forecast.
    """

    name: Literal["composite_gradient", "l1"] = "composite_gradient"
    beta: float = Field(0.1, gt=0)
    first_difference_weight: float = Field(1.0, ge=0)
    second_difference_weight: float = Field(1.0, ge=0)
    peak_weight: float = Field(1.0, ge=0)
    peak_temperature: float = Field(0.1, gt=0)
    roughness_weight: float = Field(1e-6, ge=0)


class CatBoostOptions(Parameters):
    """The strong baseline: one CatBoost model per day, loss MAE, on the network's features.

    The defaults are the reference competitor of the project, so that a comparison means the same everywhere.

    Attributes:
        iterations: Most trees of a day.
        learning_rate: Shrinkage of each tree.
        depth: Levels of each tree.
        early_stopping_rounds: Trees without improvement on validation rows after which training stops.
    """

    iterations: int = Field(default=500, ge=1)
    learning_rate: float = Field(default=0.06, gt=0)
    depth: int = Field(default=6, ge=1, le=16)
    early_stopping_rounds: int = Field(default=40, ge=1)


class SmtpdParameters(Parameters):
    """The `smtpd` parameters.

    Attributes:
        csv: SMTPD table, see docs/data_formats.md for its columns.
        images: Folder of thumbnails `<video_id>.jpg`.
        fold: Test fold, or `all` for cross-validation.
        n_folds: Number of folds.
        protocol: `honest`: the test fold is used for nothing but the final figures. `published`: the paper's
            split, where the test fold is the validation fold too.
        group_by: Column whose values (users) are never in two folds; null for none.
        seed: Of folds, initial weights, shuffling and dropout.
        eval_from: First day of the window for which the best epoch is chosen; null is the first forecast day.
        eval_to: Last day of that window; null is the last day.
        checkpoint: For `smtpd_leaderboard`: one epoch, `best`, or `all`.
        blend: Final forecast is the blend of network and CatBoost, weighted on validation rows; if false,
            the network alone.
        modalities: Inputs that take part.
    """

    csv: str
    images: str
    fold: Literal["all"] | Annotated[int, Field(ge=0)] = 0
    n_folds: int = Field(default=5, ge=3)
    protocol: Literal["honest", "published"] = "honest"
    group_by: Literal["user_id"] | None = None
    seed: int = 42
    eval_from: int | None = Field(default=None, ge=1)
    eval_to: int | None = Field(default=None, ge=1)
    checkpoint: Literal["all", "best"] | Annotated[int, Field(ge=1)] = "all"
    blend: bool = True
    modalities: PlusList = list(MODALITIES)
    visual_encoder: ImageEncoderOptions
    text_encoder: TextEncoderOptions
    preprocessing: PreprocessingOptions
    network: NetworkOptions
    loss: LossOptions
    catboost: CatBoostOptions = CatBoostOptions()
    training: TrainingOptions

    @field_validator("modalities")
    @classmethod
    def _known_modalities(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - set(MODALITIES))
        if unknown or not value:
            raise ValueError(
                f"unknown modality {', '.join(unknown) or '(none given)'}; known are {', '.join(MODALITIES)}"
            )
        # One order whatever the user writes, so that the same choice is the same model.
        return [name for name in MODALITIES if name in value]

    @model_validator(mode="after")
    def _consistent(self) -> "SmtpdParameters":
        if self.fold != "all" and self.fold >= self.n_folds:
            raise ValueError(f"fold {self.fold} does not exist: folds are 0 to {self.n_folds - 1}, or all")
        if self.eval_from and self.eval_to and self.eval_from > self.eval_to:
            raise ValueError(f"eval_from ({self.eval_from}) is after eval_to ({self.eval_to})")
        return self

    @property
    def folds(self) -> list[int]:
        """The test folds of this run."""
        return list(range(self.n_folds)) if self.fold == "all" else [self.fold]
