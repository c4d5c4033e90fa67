# ruff: noqa: D102 - the methods are documented once, in `Learner`
"""The base learners behind one interface: fit, predict, explain, save in a format without pickle, load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from vidpop_pipelines.pipelines.ensemble.parameters import (
    CatboostOptions,
    HistGradientBoostingOptions,
    LightgbmOptions,
    RandomForestOptions,
    XgboostOptions,
)
from vidpop_pipelines.pipelines.tabular.catboost_pool import catboost_pool

# A number that no feature has; random forests get it where a value is missing.
_MISSING = -9.0
# What a skops file may hold; whatever else a file asks for is refused.
_FOREST_TYPES = ["sklearn.tree._tree.Tree", "numpy.dtype"]
_BOOSTING_TYPES = [
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


@dataclass(frozen=True)
class TrainingRows:
    """Rows to fit on.

    Attributes:
        features: (N, F) float32, NaN where missing; codes 0, 1, ... in categorical columns.
        target: (N,) what is left over by the trend, in log views.
        weights: (N,) sample weights.
        categorical: Numbers of the categorical columns.
    """

    features: np.ndarray
    target: np.ndarray
    weights: np.ndarray
    categorical: list[int]


class Learner(Protocol):
    """One fitted model.

    Attributes:
        suffix: Of the file it is saved in.
        uses_text: Whether it takes the vectors of texts; those that don't were worse with them, or slow.
        boosted: Whether the number of trees has to be found.
    """

    suffix: ClassVar[str]
    uses_text: ClassVar[bool]
    boosted: ClassVar[bool]

    @classmethod
    def fit(
        cls, rows: TrainingRows, options: Any, *, n_trees: int, seed: int, n_threads: int = 1
    ) -> "Learner":
        """Fits `n_trees` trees."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Returns (M,) predictions for (M, F) features."""

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        """Returns the (M, S) predictions of the first so many trees, for S ascending numbers."""

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        """Returns the (M, F) SHAP values of the predictions."""

    def save(self, path: Path) -> None:
        """Writes the model."""

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "Learner":
        """Reads what `save` wrote."""


@dataclass(frozen=True)
class XgboostLearner:
    """XGBoost with squared error."""

    suffix: ClassVar[str] = "ubj"
    uses_text: ClassVar[bool] = True
    boosted: ClassVar[bool] = True
    model: Any
    categorical: list[int]

    @classmethod
    def fit(
        cls, rows: TrainingRows, options: XgboostOptions, *, n_trees: int, seed: int, n_threads: int = 1
    ) -> "XgboostLearner":
        import xgboost

        settings = {
            "objective": "reg:squarederror",
            "eta": options.learning_rate,
            "max_depth": options.max_depth,
            "min_child_weight": options.min_child_weight,
            "subsample": options.subsample,
            "colsample_bytree": options.colsample_bytree,
            "lambda": options.reg_lambda,
            "seed": seed,
            "nthread": n_threads,
        }
        data = _xgboost_matrix(rows.features, rows.categorical, label=rows.target, weight=rows.weights)
        return cls(xgboost.train(settings, data, n_trees), rows.categorical)

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict(_xgboost_matrix(features, self.categorical))

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        data = _xgboost_matrix(features, self.categorical)
        return np.column_stack([self.model.predict(data, iteration_range=(0, n)) for n in n_trees])

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        data = _xgboost_matrix(features, self.categorical)
        return self.model.predict(data, pred_contribs=True)[:, :-1]

    def save(self, path: Path) -> None:
        self.model.save_model(path)

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "XgboostLearner":
        import xgboost

        return cls(xgboost.Booster(model_file=path), categorical)


def _xgboost_matrix(features: np.ndarray, categorical: list[int], **about_rows: np.ndarray) -> Any:
    import xgboost

    types = ["c" if column in categorical else "q" for column in range(features.shape[1])]
    return xgboost.DMatrix(features, feature_types=types, enable_categorical=True, nthread=1, **about_rows)


@dataclass(frozen=True)
class LightgbmLearner:
    """LightGBM with squared error."""

    suffix: ClassVar[str] = "txt"
    uses_text: ClassVar[bool] = True
    boosted: ClassVar[bool] = True
    model: Any

    @classmethod
    def fit(
        cls, rows: TrainingRows, options: LightgbmOptions, *, n_trees: int, seed: int, n_threads: int = 1
    ) -> "LightgbmLearner":
        import lightgbm

        settings = {
            "objective": "regression",
            "learning_rate": options.learning_rate,
            "num_leaves": options.num_leaves,
            "min_child_samples": options.min_child_samples,
            # LightGBM's own default, 100, would never split a category of a small table.
            "min_data_per_group": options.min_child_samples,
            "subsample": options.subsample,
            "subsample_freq": 1,
            "colsample_bytree": options.colsample_bytree,
            "reg_lambda": options.reg_lambda,
            "seed": seed,
            "num_threads": n_threads,
            "deterministic": True,
            "force_row_wise": True,  # else LightGBM times both ways and may choose differently each time
            "verbosity": -1,
        }
        data = lightgbm.Dataset(
            rows.features, rows.target, weight=rows.weights, categorical_feature=rows.categorical
        )
        return cls(lightgbm.train(settings, data, n_trees))

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict(features, num_threads=1)

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        return np.column_stack(
            [self.model.predict(features, num_iteration=n, num_threads=1) for n in n_trees]
        )

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict(features, pred_contrib=True)[:, :-1]

    def save(self, path: Path) -> None:
        self.model.save_model(path)

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "LightgbmLearner":
        import lightgbm

        return cls(lightgbm.Booster(model_file=path))


@dataclass(frozen=True)
class CatboostLearner:
    """CatBoost with Huber loss."""

    suffix: ClassVar[str] = "cbm"
    uses_text: ClassVar[bool] = True
    boosted: ClassVar[bool] = True
    model: Any
    categorical: list[int]

    @classmethod
    def fit(
        cls, rows: TrainingRows, options: CatboostOptions, *, n_trees: int, seed: int, n_threads: int = 1
    ) -> "CatboostLearner":
        from catboost import CatBoostRegressor

        model = CatBoostRegressor(
            loss_function=f"Huber:delta={options.huber_delta}",
            iterations=n_trees,
            learning_rate=options.learning_rate,
            depth=options.depth,
            rsm=options.colsample_bylevel,
            random_seed=seed,
            thread_count=n_threads,
            allow_writing_files=False,
            verbose=False,
        )
        data = catboost_pool(rows.features, rows.categorical, label=rows.target, weight=rows.weights)
        return cls(model.fit(data), rows.categorical)

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict(catboost_pool(features, self.categorical), thread_count=1)

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        data = catboost_pool(features, self.categorical)
        return np.column_stack([self.model.predict(data, ntree_end=n, thread_count=1) for n in n_trees])

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        data = catboost_pool(features, self.categorical)
        values = self.model.get_feature_importance(data, type="ShapValues")[:, :-1]
        # CatBoost has the categorical features last.
        numeric = np.setdiff1d(np.arange(features.shape[1]), self.categorical)
        in_order = np.empty_like(values)
        in_order[:, [*numeric, *self.categorical]] = values
        return in_order

    def save(self, path: Path) -> None:
        self.model.save_model(str(path))

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "CatboostLearner":
        from catboost import CatBoostRegressor

        return cls(CatBoostRegressor().load_model(str(path)), categorical)


@dataclass(frozen=True)
class HistGradientBoostingLearner:
    """scikit-learn's histogram gradient boosting with squared error; takes codes of categories as numbers."""

    suffix: ClassVar[str] = "skops"
    uses_text: ClassVar[bool] = False
    boosted: ClassVar[bool] = True
    model: Any

    @classmethod
    def fit(
        cls,
        rows: TrainingRows,
        options: HistGradientBoostingOptions,
        *,
        n_trees: int,
        seed: int,
        n_threads: int = 1,
    ) -> "HistGradientBoostingLearner":
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        model = HistGradientBoostingRegressor(
            max_iter=n_trees,
            learning_rate=options.learning_rate,
            max_leaf_nodes=options.max_leaf_nodes,
            min_samples_leaf=options.min_samples_leaf,
            l2_regularization=options.l2_regularization,
            max_features=options.max_features,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(n_threads):
            return cls(model.fit(rows.features, rows.target, rows.weights))

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict(features)

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        wanted = set(n_trees)
        stages = enumerate(self.model.staged_predict(features), start=1)
        return np.column_stack([prediction for n, prediction in stages if n in wanted])

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        return _tree_shap(self.model, features)

    def save(self, path: Path) -> None:
        import skops.io

        skops.io.dump(self.model, path)

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "HistGradientBoostingLearner":
        import skops.io

        return cls(skops.io.load(path, trusted=_BOOSTING_TYPES))


@dataclass(frozen=True)
class RandomForestLearner:
    """scikit-learn's random forest; takes codes of categories as numbers."""

    suffix: ClassVar[str] = "skops"
    uses_text: ClassVar[bool] = False
    boosted: ClassVar[bool] = False
    model: Any

    @classmethod
    def fit(
        cls, rows: TrainingRows, options: RandomForestOptions, *, n_trees: int, seed: int, n_threads: int = 1
    ) -> "RandomForestLearner":
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(
            n_estimators=n_trees,
            min_samples_leaf=options.min_samples_leaf,
            max_features=options.max_features,
            # Trees that see a part of a large table each are as good together, and take a bounded time.
            max_samples=min(len(rows.target), options.max_samples),
            n_jobs=n_threads,
            random_state=seed,
        )
        return cls(model.fit(_filled(rows.features), rows.target, rows.weights))

    def predict(self, features: np.ndarray) -> np.ndarray:
        # Tree by tree: the forest's own predict spends more time on each tree than a single video takes.
        filled = _filled(features)
        return np.mean([tree.tree_.predict(filled)[:, 0] for tree in self.model.estimators_], axis=0)

    def predict_stages(self, features: np.ndarray, n_trees: Sequence[int]) -> np.ndarray:
        filled = _filled(features)
        trees = [tree.tree_.predict(filled)[:, 0] for tree in self.model.estimators_]
        return np.column_stack([np.mean(trees[:n], axis=0) for n in n_trees])

    def shap_values(self, features: np.ndarray) -> np.ndarray:
        return _tree_shap(self.model, _filled(features))

    def save(self, path: Path) -> None:
        import skops.io

        skops.io.dump(self.model, path)

    @classmethod
    def load(cls, path: Path, categorical: list[int]) -> "RandomForestLearner":
        import skops.io

        return cls(skops.io.load(path, trusted=_FOREST_TYPES))


def _filled(features: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.nan_to_num(features, nan=_MISSING), dtype=np.float32)


def _tree_shap(model: Any, features: np.ndarray) -> np.ndarray:
    from shap import TreeExplainer

    return TreeExplainer(model).shap_values(features)


LEARNER_TYPES: dict[str, type[Learner]] = {
    "xgboost": XgboostLearner,
    "lightgbm": LightgbmLearner,
    "catboost": CatboostLearner,
    "hist_gradient_boosting": HistGradientBoostingLearner,
    "random_forest": RandomForestLearner,
}
