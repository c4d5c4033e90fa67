"""Every base learner behind the one interface."""

import numpy as np
import pytest

from vidpop_pipelines.pipelines.ensemble.learners import LEARNER_TYPES, TrainingRows
from vidpop_pipelines.pipelines.ensemble.parameters import Preset

BOOSTING = {"n_estimators": 30, "learning_rate": 0.2, "n_seeds": 1}
PRESET = Preset(
    n_folds=2,
    first_share=0.5,
    text_components=2,
    xgboost=BOOSTING | {"colsample_bytree": 1},
    lightgbm=BOOSTING | {"colsample_bytree": 1},
    catboost=BOOSTING | {"colsample_bylevel": 1},
    hist_gradient_boosting=BOOSTING | {"max_features": 1},
    random_forest={"n_estimators": 10, "max_features": 1},
)


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)).astype(np.float32)
    features[:, 2] = rng.integers(0, 4, 300)
    target = features[:, 0] + 2.0 * (features[:, 2] == 3)
    features[rng.random(300) < 0.1, 1] = np.nan
    return TrainingRows(features, target, np.ones(300), [2])


@pytest.fixture(scope="module", params=LEARNER_TYPES)
def fitted(request, rows):
    options = getattr(PRESET, request.param)
    return LEARNER_TYPES[request.param].fit(rows, options, n_trees=options.n_estimators, seed=1)


def test_it_learns_numbers_and_categories(fitted, rows):
    predicted = fitted.predict(rows.features)
    assert np.mean((predicted - rows.target) ** 2) < 0.2 * np.var(rows.target)
    category = predicted[rows.features[:, 2] == 3].mean() - predicted[rows.features[:, 2] != 3].mean()
    assert category > 1


def test_the_last_stage_is_the_prediction(fitted, rows):
    n_trees = 10 if not fitted.boosted else 30
    stages = fitted.predict_stages(rows.features[:20], [1, n_trees])
    np.testing.assert_allclose(stages[:, 1], fitted.predict(rows.features[:20]), rtol=1e-5, atol=1e-6)
    assert np.abs(stages[:, 0] - stages[:, 1]).max() > 0.01


@pytest.mark.parametrize(
    "fitted", [name for name, kind in LEARNER_TYPES.items() if kind.boosted], indirect=True
)
def test_fewer_trees_equal_the_first_stages(fitted, rows):
    """What the folds say about a number of trees holds for a model that is fitted with so many."""
    name = next(name for name, kind in LEARNER_TYPES.items() if isinstance(fitted, kind))
    fewer = type(fitted).fit(rows, getattr(PRESET, name), n_trees=12, seed=1)
    stage = fitted.predict_stages(rows.features, [12])[:, 0]
    np.testing.assert_allclose(fewer.predict(rows.features), stage, rtol=1e-5, atol=1e-6)


def test_saving_and_loading_gives_equal_predictions(fitted, rows, tmp_path):
    path = tmp_path / f"model.{fitted.suffix}"
    fitted.save(path)
    assert path.read_bytes()[0] != 0x80  # the first byte of a pickle
    again = type(fitted).load(path, rows.categorical)
    np.testing.assert_array_equal(again.predict(rows.features), fitted.predict(rows.features))


def test_shap_values_add_up_to_the_prediction(fitted, rows):
    predicted = fitted.predict(rows.features[:50])
    values = fitted.shap_values(rows.features[:50])
    assert values.shape == (50, 4)
    base = predicted - values.sum(axis=1)  # the same for every video
    np.testing.assert_allclose(base, base[0], atol=1e-4)
    assert np.abs(values[:, [0, 2]]).mean() > 5 * np.abs(values[:, [1, 3]]).mean()


def test_the_same_seed_gives_the_same_model(fitted, rows):
    name = next(name for name, kind in LEARNER_TYPES.items() if isinstance(fitted, kind))
    options = getattr(PRESET, name)
    again = type(fitted).fit(rows, options, n_trees=options.n_estimators, seed=1)
    np.testing.assert_array_equal(again.predict(rows.features), fitted.predict(rows.features))
