from dataclasses import replace

import numpy as np
import pytest
from smtpd_inputs import make_inputs, preprocessing_options

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.pipelines.smtpd.preprocessing import Preprocessing
from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS

TRAIN = np.arange(40)
DAYS = [2, 3, 4, 5]


def fit(inputs=None, early_popularity=True, rows=TRAIN, days=DAYS, **changes) -> Preprocessing:
    inputs = inputs or make_inputs()
    return Preprocessing.fit(inputs, rows, days, early_popularity, preprocessing_options(**changes), seed=0)


def test_training_numbers_have_mean_zero_and_deviation_one():
    inputs = make_inputs()
    numbers = fit(inputs).transform(inputs)(TRAIN)["numerical"]
    assert numbers.shape == (40, 6)
    known = np.delete(numbers, 1, axis=0)  # row 1 lacks a number, which becomes the mean
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(known[:, [0, 2, 3, 4, 5]].std(axis=0), 1, atol=0.05)
    assert numbers[1, 1] == pytest.approx(0, abs=1e-6)


def test_numbers_as_published_enter_as_they_are_without_early_popularity():
    """Without logarithm and day 1 nothing copies the table's numbers, which pandas gives out as read-only."""
    inputs = make_inputs()
    inputs = replace(inputs, videos=inputs.videos.copy())  # one block of numbers, as a file is read
    numbers = inputs.videos[["duration", "followers", "posts", "title_length", "tag_count"]].to_numpy(float)
    fitted = fit(inputs, early_popularity=False, rows=np.arange(len(numbers)), log_numbers=False)
    np.testing.assert_allclose(fitted.arrays["numerical_mean"], np.nanmean(numbers, axis=0), rtol=1e-6)


def test_nothing_is_learnt_from_rows_outside_the_training_split():
    inputs = make_inputs()
    changed = inputs.videos.copy()
    changed.loc[40:, "followers"] = 1e9
    changed.loc[40:, "category"] = "Shows"
    changed.loc[40:, [f"day_{day}" for day in range(1, 6)]] = 30.0
    vectors = inputs.visual.vectors.copy()
    vectors[40:] = 99
    other = replace(inputs, videos=changed, visual=Embeddings(vectors, inputs.visual.rows))
    first, second = fit(inputs), fit(other)
    assert first.categories == second.categories == ["Gaming", "Music"]
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])
    np.testing.assert_array_equal(first.visual.mean, second.visual.mean)
    np.testing.assert_array_equal(first.visual.components, second.visual.components)


def test_missing_thumbnail_and_text_arrive_as_the_training_mean():
    inputs = make_inputs()
    batch = fit(inputs).transform(inputs)(np.array([3, 4, 5]))
    assert not batch["visual"][0].any() and batch["visual"][1].any()
    assert not batch["text"][1, 2].any() and batch["text"][1, 1].any()


def test_without_reduction_vectors_are_kept_and_missing_ones_are_the_mean():
    inputs = make_inputs()
    options = {"visual_components": None, "text_components": None, "standardise_vectors": False}
    fitted = fit(inputs, **options)
    visual = fitted.transform(inputs)(np.array([3, 5]))["visual"]
    np.testing.assert_array_equal(visual[1], inputs.visual.vectors[5].astype(np.float32))
    np.testing.assert_allclose(visual[0], fitted.visual.mean)


def test_unknown_category_and_empty_title_are_index_zero():
    inputs = make_inputs()
    inputs.videos.loc[50, "category"] = "Never seen"
    batch = fit(inputs).transform(inputs)(np.array([50, 51, 52]))
    assert batch["category"].tolist() == [0, 2, 1]
    assert batch["language"][0] > 0 and batch["language"][1] == 0


@pytest.mark.parametrize("constant", [0.0, 60.0, 300.0])
def test_what_no_training_video_has_changes_nothing(constant):
    """A network's weights for it are random: a title in the first language ever seen moved forecasts by a quarter."""
    inputs, rows = make_inputs(1000), np.arange(1000)
    trained, asked = inputs.videos.copy(), inputs.videos.copy()
    trained["posts"], trained["duration"] = np.nan, constant  # never given, never different
    trained["language"] = ""
    asked["posts"], asked["duration"], asked["language"] = 12.0, 4000.0, "en"
    fitted = fit(replace(inputs, videos=trained), rows=rows)
    before = fitted.transform(replace(inputs, videos=trained))(rows)
    after = fitted.transform(replace(inputs, videos=asked))(rows)
    for name in ("numerical", "language"):
        np.testing.assert_array_equal(before[name], after[name])
    columns = [NUMERICAL_FIELDS.index("posts"), NUMERICAL_FIELDS.index("duration")]
    assert not before["numerical"][:, columns].any() and np.isfinite(before["numerical"]).all()
    assert not after["language"].any() and fit(inputs).languages == ["en"]


def test_missing_days_stay_missing_in_the_labels():
    inputs = make_inputs()
    labels = fit(inputs).transform(inputs)(np.array([2]))["labels"]
    assert np.isnan(labels[0]).tolist() == [False, True, False, False]


def test_line_is_the_least_squares_line_on_day_one():
    inputs = make_inputs()
    inputs.videos["day_2"] = 2 * inputs.videos["day_1"] + 1
    line = fit(inputs).line(inputs, np.array([7]))
    assert line[0, 0] == pytest.approx(2 * inputs.videos.loc[7, "day_1"] + 1, rel=1e-5)


def test_without_early_popularity_the_line_is_the_median_and_there_is_no_difficulty():
    inputs = make_inputs()
    fitted = fit(inputs, early_popularity=False, days=[1, *DAYS])
    rows = np.array([0, 59])
    median = inputs.videos["day_1"].iloc[:40].median()
    assert fitted.line(inputs, rows)[:, 0] == pytest.approx([median, median], rel=1e-5)
    assert fitted.difficulty(inputs, rows) is None
    assert fitted.transform(inputs)(rows)["numerical"].shape == (2, 5)


def test_difficulty_follows_the_residuals():
    inputs = make_inputs(n_videos=400)
    small = inputs.videos["day_1"] < 10
    noise = np.random.default_rng(1).normal(0, 1, 400) * np.where(small, 3, 0.3)
    inputs.videos["day_2"] = inputs.videos["day_1"] + noise
    fitted = fit(inputs, rows=np.arange(400))
    difficulty = fitted.difficulty(inputs, np.arange(400))
    assert difficulty.shape == (400, 4) and (difficulty > 0).all()
    assert difficulty[small, 0].mean() > 2 * difficulty[~small, 0].mean()


def test_day_without_training_values_is_an_error():
    inputs = make_inputs()
    inputs.videos.loc[:39, "day_4"] = np.nan
    with pytest.raises(InputError, match="Day 4 has no value"):
        fit(inputs)


def test_table_has_named_columns_and_nan_for_missing_inputs():
    inputs = make_inputs()
    table = fit(inputs).table(inputs, np.array([3, 4]), ["visual", "text", "numerical", "categorical"])
    assert table.loc[0, ["visual_0", "visual_2"]].isna().all()
    assert table.loc[1, ["text_4", "text_5"]].isna().all() and not np.isnan(table.loc[1, "text_3"])
    assert table["early_popularity"].tolist() == pytest.approx(
        inputs.videos["day_1"].iloc[[3, 4]].tolist(), rel=1e-6
    )
    only = fit(inputs).table(inputs, np.array([3]), ["categorical"])
    assert only.to_dict("records") == [{"category": "Music", "language": ""}]


def test_save_and_load_give_the_same_batches(tmp_path):
    inputs = make_inputs()
    fitted = fit(inputs)
    fitted.save(tmp_path, "preprocessing")
    loaded = Preprocessing.load(tmp_path, "preprocessing")
    rows = np.arange(60)
    first, second = fitted.transform(inputs)(rows), loaded.transform(inputs)(rows)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    np.testing.assert_array_equal(fitted.difficulty(inputs, rows), loaded.difficulty(inputs, rows))
