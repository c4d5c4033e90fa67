"""Parameters of the short-video family: the trees of conf/*/parameters/short_video.yml."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from vidpop_pipelines.features.video import FrameOptions
from vidpop_pipelines.parameters import Parameters, PlusList
from vidpop_pipelines.training.options import TrainingOptions


class BoostingOptions(Parameters):
    """The strong baseline: a LightGBM classifier on frame and file statistics; names are LightGBM's.

    The number of trees is found on the validation rows.

    Attributes:
        n_estimators: Most trees.
        learning_rate: Shrinkage of each tree.
        num_leaves: Leaves of each tree.
        min_child_samples: Fewest videos in a leaf.
        subsample: Share of the videos that each tree sees.
        colsample_bytree: Share of the statistics that each tree sees.
        reg_lambda: L2 penalty on leaf values.
        early_stopping_rounds: Trees without improvement after which training stops.
    """

    n_estimators: PositiveInt = 300
    learning_rate: PositiveFloat = 0.05
    num_leaves: int = Field(7, ge=2)
    min_child_samples: PositiveInt = 10
    subsample: float = Field(0.8, gt=0, le=1)
    colsample_bytree: float = Field(0.6, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)
    early_stopping_rounds: PositiveInt = 30


class ShortVideoParameters(Parameters):
    """What both pipelines have in common: the table, its labels and its split.

    Attributes:
        csv: Table of videos, see docs/data_formats.md for its columns.
        videos: Folder that relative paths of the table start from.
        columns: Our names (`video_path`, `video_id`, `author`) to the table's, where it has other ones.
        metric: Column whose extremes are the labels; null for the first of the usual ones that the table has.
        share: Share of videos at either end that get a label; the others are only scored.
        fold: The test fold.
        n_folds: Number of folds.
        protocol: `honest`: the test fold is used for nothing but the final figures. `published`: it also chooses the
            best epoch, as in the original.
        group_by: Column whose values (authors) are never in two folds; null for none.
        seed: Of folds, initial weights, shuffling and dropout.
        max_broken_share: More broken, missing or too short videos than this share of the table are an error.
        boosting: The strong baseline.
    """

    csv: str
    videos: str
    columns: dict[str, str] = {}
    metric: str | None = None
    share: float = Field(default=1 / 3, gt=0, le=0.5)
    fold: int = Field(default=0, ge=0)
    n_folds: int = Field(default=5, ge=3)
    protocol: Literal["honest", "published"] = "honest"
    group_by: Literal["author"] | None = None
    max_broken_share: float = Field(default=0.2, ge=0, le=1)
    seed: int = 42
    boosting: BoostingOptions = BoostingOptions()

    @model_validator(mode="after")
    def _consistent(self) -> "ShortVideoParameters":
        if self.fold >= self.n_folds:
            raise ValueError(f"fold {self.fold} does not exist: folds are 0 to {self.n_folds - 1}")
        return self


class LoraOptions(Parameters):
    """Low-rank adapters (LoRA, arXiv 2106.09685); the scale of an update is alpha / rank.

    Attributes:
        rank: Rank of each update.
        alpha: Numerator of the scale.
        dropout: Of the inputs of the adapters.
        target_modules: Names of the layers that get one.
    """

    rank: PositiveInt
    alpha: PositiveInt
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: PlusList

    @field_validator("target_modules")
    @classmethod
    def _some(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("no layer is named")
        return value


class BackboneOptions(Parameters):
    """A pretrained network, and what of it is trained.

    Attributes:
        model: Id on the Hugging Face hub, or a folder as `save_pretrained` writes it, or `tiny`: a small network with
            random weights that is built on the spot, for runs without network.
        revision: Commit, tag or branch on the hub; null for the newest.
        quantization: Of the frozen weights: `nf4` 4 bits with double quantisation (QLoRA, arXiv 2305.14314), `int8`
            (LLM.int8(), arXiv 2208.07339), or `none`.
        gradient_checkpointing: Compute activations again in the backward pass: a third more time, far less memory.
        lora: The adapters.
        prompt: Question that is asked about the video (SmolVLM2 only).
    """

    model: str
    revision: str | None = None
    quantization: Literal["nf4", "int8", "none"] = "nf4"
    gradient_checkpointing: bool = True
    lora: LoraOptions
    prompt: str | None = None


class ShortVideoInstance(Parameters):
    """What distinguishes `timesformer` from `smolvlm2`.

    Attributes:
        architecture: Kind of backbone, which decides how frames become inputs.
        backbone: The network.
        frames: How frames are sampled and sized.
        class_weights: Whether the loss weighs the classes inversely to their frequency in the training split.
        training: How to train.
    """

    architecture: Literal["timesformer", "smolvlm2"]
    backbone: BackboneOptions
    frames: FrameOptions
    class_weights: bool = False
    training: TrainingOptions

    @model_validator(mode="after")
    def _prompt_where_there_is_text(self) -> "ShortVideoInstance":
        if (self.architecture == "smolvlm2") != bool(self.backbone.prompt):
            raise ValueError("smolvlm2 needs a prompt, and timesformer reads none")
        return self
