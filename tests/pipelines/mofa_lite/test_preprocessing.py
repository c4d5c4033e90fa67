import numpy as np
import pytest
from mofa_folders import make_inputs
from safetensors.numpy import load_file, save_file
from sklearn.preprocessing import QuantileTransformer, StandardScaler, normalize

from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import PreprocessingOptions
from vidpop_pipelines.pipelines.mofa_lite.preprocessing import Preprocessing

PUBLISHED = PreprocessingOptions(
    default=["l2", "standardise"], by_modality={"image": ["rank_gauss", "l2", "standardise"]}
)


def fit(inputs, tmp_path, n_train=50, options=PUBLISHED, rows=None):
    rows = np.arange(len(inputs)) if rows is None else rows
    return Preprocessing.fit(inputs, rows, n_train, options, tmp_path / "features.npy")


def test_the_published_steps_fitted_on_the_training_part(tmp_path):
    inputs = make_inputs()
    fitted, features = fit(inputs, tmp_path)
    start = 0
    for name, width in inputs.widths.items():
        values = inputs.modalities[name].astype(np.float64)
        train = values[:50]
        values = np.where(np.isnan(values), np.nanmedian(train, axis=0), values)
        if name == "image":
            gauss = QuantileTransformer(n_quantiles=50, output_distribution="normal").fit(values[:50])
            values = gauss.transform(values)
        values = normalize(values)
        expected = StandardScaler().fit(values[:50]).transform(values)
        np.testing.assert_allclose(features[:, start : start + width], expected, atol=2e-4, err_msg=name)
        start += width
    # New videos are transformed as the training file was.
    np.testing.assert_allclose(fitted.transform(inputs, np.arange(80)), features, atol=1e-5)


def test_changing_validation_rows_changes_nothing_that_is_fitted(tmp_path):
    inputs = make_inputs()
    before, features = fit(inputs, tmp_path)
    before, features = before.to_arrays(), np.array(features)
    changed = {name: array.copy() for name, array in inputs.modalities.items()}
    for array in changed.values():
        array[50:] = 1e6
    after, after_features = fit(MofaInputs(inputs.video_ids, changed, inputs.rows, inputs.targets), tmp_path)
    after = after.to_arrays()
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    np.testing.assert_array_equal(features[:50], after_features[:50])


def test_training_rows_are_those_given_not_the_first_of_the_file(tmp_path):
    inputs = make_inputs()
    rows = np.random.default_rng(0).permutation(80)
    fitted, features = fit(inputs, tmp_path, rows=rows)
    np.testing.assert_allclose(fitted.transform(inputs, rows), features, atol=1e-5)
    assert np.abs(features[:50].mean(axis=0)).max() < 1e-5
    np.testing.assert_allclose(features[:50].std(axis=0), 1, atol=1e-4)


def test_file_is_mapped_and_preprocessing_survives_safetensors(tmp_path):
    inputs = make_inputs()
    fitted, features = fit(inputs, tmp_path)
    assert isinstance(features, np.memmap)
    save_file(fitted.to_arrays(), tmp_path / "p.safetensors")
    again = Preprocessing.from_dict(fitted.to_dict(), load_file(tmp_path / "p.safetensors"))
    rows = np.arange(80)
    np.testing.assert_array_equal(fitted.transform(inputs, rows), again.transform(inputs, rows))


@pytest.mark.parametrize(
    "steps", [[], ["l2"], ["rank_gauss"], ["standardise"], ["standardise", "rank_gauss"]]
)
def test_constant_and_empty_columns_stay_finite(tmp_path, steps):
    inputs = make_inputs()
    inputs.modalities["audio"][:, 0] = 7
    inputs.modalities["audio"][:50, 1] = np.nan  # no value among the training rows
    inputs.modalities["text"][60] = 0
    _, features = fit(inputs, tmp_path, options=PreprocessingOptions(default=steps))
    assert np.isfinite(features).all()
