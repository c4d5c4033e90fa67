"""Parameters of the ensemble: the `ensemble` tree of conf/*/parameters/ensemble.yml."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from vidpop_pipelines.parameters import Parameters, PlusList

LEARNERS = ("xgboost", "lightgbm", "catboost", "hist_gradient_boosting", "random_forest")


class BoostingOptions(Parameters):
    """What all boosted learners have in common; names are those of scikit-learn.

    Attributes:
        n_estimators: Most trees; the error on later videos tells how many are used.
        learning_rate: Shrinkage of each tree.
        n_seeds: Models that are averaged.
    """

    n_estimators: PositiveInt
    learning_rate: PositiveFloat
    n_seeds: PositiveInt


class XgboostOptions(BoostingOptions):
    """XGBoost; names are XGBoost's.

    Attributes:
        max_depth: Levels of each tree.
        min_child_weight: Smallest weight of the videos in a leaf.
        subsample: Share of the videos that each tree sees.
        colsample_bytree: Share of the features that each tree sees.
        reg_lambda: L2 penalty on leaf values.
    """

    max_depth: PositiveInt = 4
    min_child_weight: float = 5.0
    subsample: float = Field(0.7, gt=0, le=1)
    colsample_bytree: float = Field(0.4, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)


class LightgbmOptions(BoostingOptions):
    """LightGBM; names are LightGBM's.

    Attributes:
        num_leaves: Leaves of each tree.
        min_child_samples: Fewest videos in a leaf.
        subsample: Share of the videos that each tree sees.
        colsample_bytree: Share of the features that each tree sees.
        reg_lambda: L2 penalty on leaf values.
    """

    num_leaves: int = Field(10, ge=2)
    min_child_samples: PositiveInt = 20
    subsample: float = Field(0.7, gt=0, le=1)
    colsample_bytree: float = Field(0.3, gt=0, le=1)
    reg_lambda: float = Field(5.0, ge=0)


class CatboostOptions(BoostingOptions):
    """CatBoost; names are CatBoost's.

    Attributes:
        depth: Levels of each tree.
        colsample_bylevel: Share of the features that each level sees.
        huber_delta: Beyond this error (log units) the loss is linear: views have outliers.
    """

    depth: int = Field(5, ge=1, le=16)
    colsample_bylevel: float = Field(0.3, gt=0, le=1)
    huber_delta: PositiveFloat = 1.5


class HistGradientBoostingOptions(BoostingOptions):
    """HistGradientBoostingRegressor; names are scikit-learn's.

    Attributes:
        max_leaf_nodes: Leaves of each tree.
        min_samples_leaf: Fewest videos in a leaf.
        l2_regularization: Penalty on leaf values.
        max_features: Share of the features that each split sees.
    """

    max_leaf_nodes: int = Field(10, ge=2)
    min_samples_leaf: PositiveInt = 20
    l2_regularization: float = Field(5.0, ge=0)
    max_features: float = Field(0.3, gt=0, le=1)


class RandomForestOptions(Parameters):
    """RandomForestRegressor; names are scikit-learn's.

    Attributes:
        n_estimators: Trees.
        min_samples_leaf: Fewest videos in a leaf.
        max_features: Share of the features that each split sees.
        max_samples: Rows that each tree sees; beyond, trees cost time and memory and the forest hardly gains.
    """

    n_estimators: PositiveInt
    min_samples_leaf: PositiveInt = 3
    max_features: float = Field(0.4, gt=0, le=1)
    max_samples: PositiveInt = 10_000


class Preset(Parameters):
    """One trade between time and accuracy.

    Attributes:
        n_folds: Time-ordered folds whose out-of-fold predictions the Ridge is fitted on.
        first_share: Share of the training rows, the oldest, that is only trained on.
        text_components: Size of the vector of each text.
        xgboost: Options of XGBoost.
        lightgbm: Options of LightGBM.
        catboost: Options of CatBoost.
        hist_gradient_boosting: Options of HistGradientBoosting.
        random_forest: Options of the random forest.
    """

    n_folds: int = Field(ge=2)
    first_share: float = Field(gt=0, lt=1)
    text_components: PositiveInt
    xgboost: XgboostOptions
    lightgbm: LightgbmOptions
    catboost: CatboostOptions
    hist_gradient_boosting: HistGradientBoostingOptions
    random_forest: RandomForestOptions


class EnsembleParameters(Parameters):
    """The `ensemble` parameters.

    Attributes:
        preset: Which of `presets` is used.
        learners: Base learners that take part.
        ridge_alpha: Penalty of the Ridge on top, on weights that differ between learners. They are nearly as good as
            each other; a strong pull to equal weights was best on validation.
        calibration_share: Share of the out-of-fold rows, the newest, that only intervals are fitted on.
        presets: `fast` (seconds), `balanced` (a minute or two), `full` (many).
    """

    preset: Literal["fast", "balanced", "full"]
    learners: PlusList = list(LEARNERS)
    ridge_alpha: float = Field(100.0, ge=0)
    calibration_share: float = Field(0.2, gt=0, lt=1)
    presets: dict[Literal["fast", "balanced", "full"], Preset]

    @field_validator("learners")
    @classmethod
    def _known_learners(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - set(LEARNERS))
        if unknown or not value:
            raise ValueError(
                f"unknown learner {', '.join(unknown) or '(none given)'}; known are {', '.join(LEARNERS)}"
            )
        return [name for name in LEARNERS if name in value]

    @model_validator(mode="after")
    def _preset_is_there(self) -> "EnsembleParameters":
        if self.preset not in self.presets:
            raise ValueError(f"preset '{self.preset}' is not among ensemble.presets")
        return self

    @property
    def chosen(self) -> Preset:
        """The preset in use."""
        return self.presets[self.preset]
