"""Parameters of the multitask family: the `multitask` tree of conf/*/parameters/multitask.yml."""

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from vidpop_pipelines.parameters import Parameters
from vidpop_pipelines.training.options import TrainingOptions


class NetworkOptions(Parameters):
    """Shape of the network.

    Attributes:
        token_size: Size of a feature's token.
        n_layers: Transformer layers.
        n_heads: Attention heads, a divisor of `token_size`.
        hidden_size: Of the two-layer part of each transformer layer.
        read_size: To which every token is shrunk before the heads read all of them.
        readout_size: Of the two layers between tokens and heads.
        dropout: Of attention, and of every layer.
        token_dropout: Share of the features that a training step does not see.
        n_networks: Networks that are trained side by side; the forecast is their mean.
    """

    token_size: PositiveInt
    n_layers: PositiveInt
    n_heads: PositiveInt
    hidden_size: PositiveInt
    read_size: PositiveInt
    readout_size: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    token_dropout: float = Field(ge=0, lt=1)
    n_networks: PositiveInt

    @model_validator(mode="after")
    def _heads_share_the_token(self) -> "NetworkOptions":
        if self.token_size % self.n_heads:
            raise ValueError(f"token_size {self.token_size} is no multiple of n_heads {self.n_heads}")
        return self


class CatboostOptions(Parameters):
    """The strong baseline: one CatBoost per target on the network's features; names are CatBoost's.

    Attributes:
        iterations: Most trees; the error on the validation rows tells how many are used.
        learning_rate: Shrinkage of each tree.
        depth: Levels of each tree.
        colsample_bylevel: Share of the features that each level sees.
        early_stopping_rounds: Trees without improvement after which training stops.
    """

    iterations: PositiveInt = 600
    learning_rate: PositiveFloat = 0.05
    depth: int = Field(5, ge=1, le=16)
    colsample_bylevel: float = Field(0.3, gt=0, le=1)
    early_stopping_rounds: PositiveInt = 80


class MultitaskParameters(Parameters):
    """The `multitask` parameters.

    Attributes:
        text_components: Size of the vector of each text.
        validation_share: Share of the training rows on which the number of epochs and trees is found.
        calibration_share: Share of the training rows, the newest, on which only intervals are fitted.
        huber_delta: Errors beyond it, in standard deviations of the target, count linearly.
        network: Shape of the network.
        catboost: The strong baseline.
        training: How the network is trained; `epochs` is the most.
    """

    text_components: PositiveInt
    validation_share: float = Field(gt=0, lt=0.5)
    calibration_share: float = Field(gt=0, lt=0.5)
    huber_delta: PositiveFloat
    network: NetworkOptions
    catboost: CatboostOptions = CatboostOptions()
    training: TrainingOptions
