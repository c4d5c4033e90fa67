"""Parameters of the MoFA-Lite family: the trees `mofa` (raw inputs) and `mofa_lite` of mofa_lite.yml."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vidpop_pipelines.parameters import Parameters, PlusList
from vidpop_pipelines.training.options import TrainingOptions

Step = Literal["rank_gauss", "l2", "standardise"]
BLEND_MEMBERS = ("lightgbm", "kernel", "ridge")


class MofaFolders(Parameters):
    """The raw inputs.

    Attributes:
        train: Folder with `<modality>_features.npy` and `popularity_counts.npy`.
        test: Folder with the same features of the videos to forecast.
    """

    train: str
    test: str


class PreprocessingOptions(Parameters):
    """What every fold fits on its training rows before a network sees a modality; NaN are imputed before.

    `rank_gauss` maps each number to the normal quantile of its rank, `l2` scales each row to length 1,
    `standardise` gives each number mean 0 and standard deviation 1.

    Attributes:
        default: Steps of a modality that `by_modality` does not name.
        by_modality: Steps of single modalities.
    """

    default: list[Step]
    by_modality: dict[str, list[Step]] = {}

    def steps(self, modality: str) -> list[Step]:
        """Returns the steps of one modality."""
        return self.by_modality.get(modality, self.default)


class NetworkOptions(Parameters):
    """Shape of the network; the defaults are the published one.

    Attributes:
        hidden_size: Width to which every modality is encoded.
        attention_size: Hidden layer of the scorer that all modalities share.
        fusion_sizes: Layers after the concatenation of the weighted modalities.
        head_sizes: Hidden layers before the last one.
        encoder_dropout: After each modality's encoder.
        fusion_dropouts: After each of `fusion_sizes`.
        head_dropout: Between the layers of `head_sizes`.
        modality_dropout: Probability that a modality is left out of a training row; 0 as published. At least one stays.
        mixup_alpha: Training rows are mixed in pairs, with a share drawn from Beta(alpha, alpha) (arXiv 1710.09412); 0
            for no mixing, as published.
        bins: Numbers of a narrow modality are written as how far they have come through each of this many bins, so
            that the network can learn steps in them as trees do ("piecewise linear encoding", arXiv 2203.05556). The
            bins hold equally many values where the numbers are normally distributed with variance 1, as RankGauss
            makes them. 0 for none, as published.
        binned_width: A modality is narrow up to this width: measures rather than an embedding.
    """

    hidden_size: int = Field(default=512, ge=1)
    attention_size: int = Field(default=128, ge=1)
    fusion_sizes: list[int] = [512, 256]
    head_sizes: list[int] = [256, 128]
    encoder_dropout: float = Field(default=0.2, ge=0, lt=1)
    fusion_dropouts: list[float] = [0.25, 0.2]
    head_dropout: float = Field(default=0.2, ge=0, lt=1)
    modality_dropout: float = Field(default=0.0, ge=0, lt=1)
    mixup_alpha: float = Field(default=0.0, ge=0)
    bins: int = Field(default=0, ge=0)
    binned_width: int = Field(default=16, ge=1)

    @model_validator(mode="after")
    def _one_dropout_per_layer(self) -> "NetworkOptions":
        if len(self.fusion_dropouts) != len(self.fusion_sizes):
            raise ValueError("fusion_dropouts needs one number for each of fusion_sizes")
        return self


class KernelOptions(Parameters):
    """Kernel regression, see `KernelRegression`.

    Attributes:
        components: Main directions of each modality that distances are taken in.
        length_scales: In units of a modality's typical distance from its mean; the kernel is the mean over them.
            The smallest tells equal rows, such as videos of one author, from merely similar ones.
        linear_shares: Candidates for the share of a linear kernel; each fold takes the one with the lowest
            leave-one-out error.
        ridges: Candidates, chosen the same way.
        max_rows: Training rows at most, drawn at random: memory and time grow with their square and cube.
    """

    components: int = Field(default=64, ge=1)
    length_scales: list[float] = [0.02, 1.0, 3.0]
    linear_shares: list[float] = [0.0, 0.5, 0.9]
    ridges: list[float] = [0.1, 0.3, 0.5, 0.8, 1.2]
    max_rows: int = Field(default=10_000, ge=10)


class LightgbmOptions(Parameters):
    """The strong baseline: one LightGBM per target on the raw features, stopped on the fold's validation rows.

    The defaults are chosen out of fold on the Vine data, where LightGBM's own lose 2.5 % (see the README). Few
    leaves: as good there, and three wide modalities take minutes, not hours.

    Attributes:
        learning_rate: Shrinkage of each tree.
        num_leaves: Leaves of each tree.
        min_data_in_leaf: Fewest videos in a leaf.
        feature_fraction: Share of the features that each tree sees.
        bagging_fraction: Share of the videos that each tree sees.
        lambda_l2: L2 penalty on leaf values.
        max_rounds: Most trees.
        early_stopping_rounds: Trees without improvement after which training stops.
    """

    learning_rate: float = Field(default=0.05, gt=0)
    num_leaves: int = Field(default=15, ge=2)
    min_data_in_leaf: int = Field(default=20, ge=1)
    feature_fraction: float = Field(default=0.5, gt=0, le=1)
    bagging_fraction: float = Field(default=0.8, gt=0, le=1)
    lambda_l2: float = Field(default=1.0, ge=0)
    max_rounds: int = Field(default=2000, ge=1)
    early_stopping_rounds: int = Field(default=50, ge=1)


class AnalysisOptions(Parameters):
    """Options of `mofa_lite_analysis`.

    Attributes:
        max_rows: Rows of each folder that are analysed at most, drawn at random.
    """

    max_rows: int = Field(default=5000, ge=10)


class MofaLiteParameters(Parameters):
    """The `mofa_lite` parameters.

    Attributes:
        modalities: Which take part; null for all whose files are in the folder.
        targets: Names of the columns of `popularity_counts.npy`.
        n_folds: Networks of the ensemble; each leaves out another part of the training rows.
        hold_out: Share of rows that no fold sees, for the final figures.
        calibration: Share of rows that only prediction intervals are fitted on; 0 for no intervals.
        seed: Of split, initial weights, shuffling and dropout.
        blend: Members that the final forecast blends with the network, weighted out of fold; none: the network alone.
    """

    modalities: PlusList | None = None
    targets: PlusList = ["views", "likes", "comments"]
    n_folds: int = Field(default=10, ge=3)
    hold_out: float = Field(default=0.1, gt=0, lt=1)
    calibration: float = Field(default=0.05, ge=0, lt=1)
    seed: int = 20251203
    blend: PlusList = []
    preprocessing: PreprocessingOptions
    network: NetworkOptions = NetworkOptions()
    kernel: KernelOptions = KernelOptions()
    lightgbm: LightgbmOptions = LightgbmOptions()
    training: TrainingOptions
    analysis: AnalysisOptions = AnalysisOptions()

    @field_validator("targets")
    @classmethod
    def _different_names(cls, value: list[str]) -> list[str]:
        if not value or len(set(value)) != len(value):
            raise ValueError("targets needs one or more different names")
        return value

    @field_validator("blend")
    @classmethod
    def _known_members(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - set(BLEND_MEMBERS))
        if unknown:
            raise ValueError(f"unknown member {', '.join(unknown)}; known are {', '.join(BLEND_MEMBERS)}")
        return [name for name in BLEND_MEMBERS if name in value]

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "MofaLiteParameters":
        if self.hold_out + self.calibration >= 1:
            raise ValueError("hold_out and calibration leave no rows to train on")
        return self
