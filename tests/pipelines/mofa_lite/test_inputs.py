import pickle

import numpy as np
import pytest
from mofa_folders import WIDTHS, make_arrays, write_folder

from vidpop_pipelines.datasets.npy import NpyFolderDataset
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.mofa_lite.inputs import MofaInputs, validate_inputs

TARGETS = ["views", "likes", "comments"]


def validate(folder, modalities=None, targets=TARGETS):
    files = ["*_features.npy", "popularity_counts.npy"]
    return validate_inputs(NpyFolderDataset(str(folder), files, ["video_id.txt"]).load(), modalities, targets)


def test_modalities_are_found_counted_and_mapped(tmp_path):
    inputs, problems, summary = validate(write_folder(tmp_path, make_arrays()))
    assert inputs.widths == WIDTHS and len(inputs) == 80
    assert inputs.video_ids[:2].tolist() == ["0", "1"]
    assert all(isinstance(array, np.memmap) for array in inputs.modalities.values())
    assert problems.to_dict("records") == [
        {"video_id": "3", "column": "image", "reason": "no value", "left_out": False},
        {"video_id": "5", "column": "text", "reason": "some values are NaN", "left_out": False},
    ]
    assert summary["rows_read"] == 80
    assert summary["modalities"]["image"] == {"width": 6, "missing_share": pytest.approx(1 / 80)}


def test_named_modalities_in_any_order_are_the_same_model(tmp_path):
    folder = write_folder(tmp_path, make_arrays())
    assert list(validate(folder, ["text", "audio"])[0].widths) == ["audio", "text"]


def test_video_without_a_target_is_left_out_once_and_reported(tmp_path):
    arrays = make_arrays()
    arrays["popularity_counts"][3] = np.nan  # whose image is missing too
    arrays["popularity_counts"][7, 2] = np.nan
    inputs, problems, _ = validate(write_folder(tmp_path, arrays, [f"v{row}" for row in range(80)]))
    assert len(inputs) == 78 and not {"v3", "v7"} & set(inputs.video_ids)
    assert problems[problems["left_out"]].drop(columns="left_out").to_dict("records") == [
        {"video_id": "v3", "column": "views", "reason": "no value"},
        {"video_id": "v7", "column": "comments", "reason": "no value"},
    ]
    assert "v3" not in set(problems[~problems["left_out"]]["video_id"])
    # Row 4 of the file is row 3 of the inputs.
    np.testing.assert_array_equal(inputs.read("text", np.array([3]))[0], arrays["text_features"][4])


def test_float64_fortran_order_and_integers_read_like_float32(tmp_path):
    arrays = make_arrays()
    arrays["image_features"] = np.abs(np.nan_to_num(arrays["image_features"])).round()
    plain, _, _ = validate(write_folder(tmp_path / "plain", arrays))
    arrays["text_features"] = np.asfortranarray(arrays["text_features"].astype(np.float64))
    arrays["image_features"] = arrays["image_features"].astype(np.int32)
    other, _, _ = validate(write_folder(tmp_path / "other", arrays))
    assert plain.fingerprint() == other.fingerprint()


def bad(name, change):
    def make(arrays):
        arrays[name] = change(arrays[name])
        return arrays

    return make


def with_value(row, column, value):
    def change(array):
        array[row, column] = value
        return array

    return change


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (bad("text_features", lambda a: a[:-1]), ["text_features.npy 79", "audio_features.npy 80"]),
        (bad("popularity_counts", lambda a: a[:-1]), ["popularity_counts.npy 79"]),
        (bad("text_features", lambda a: a[:, 0]), ["text_features.npy: 1 dimensions, shape (80,)"]),
        (bad("text_features", lambda a: a[None]), ["3 dimensions"]),
        (bad("popularity_counts", lambda a: a[:, :2]), ["2 columns", "views, likes, comments"]),
        (bad("text_features", with_value(9, 4, np.inf)), ["text_features.npy: row 9, column 4 is infinite"]),
        (
            bad("text_features", lambda a: with_value(9, 4, 1e300)(a.astype(np.float64))),
            ["row 9, column 4 is infinite"],
        ),
        (bad("text_features", lambda a: a * np.nan), ["text_features.npy: every value is NaN"]),
        (bad("popularity_counts", lambda a: a * np.nan), ["no row has all its targets"]),
        (bad("popularity_counts", with_value(2, 1, -np.inf)), ["popularity_counts.npy: row 2, column 1"]),
        (bad("text_features", lambda a: a.astype(object)), ["text_features.npy: holds Python objects"]),
        (bad("text_features", lambda a: a[:0]), ["text_features.npy: empty"]),
    ],
)
def test_bad_arrays_are_errors_that_name_file_and_place(tmp_path, make, messages):
    with pytest.raises(InputError) as error:
        validate(write_folder(tmp_path, make(make_arrays())))
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([f"v{row}" for row in range(79)], "79 lines"),
        ([f"v{max(row, 1)}" for row in range(80)], "line 2 repeats the id v1"),
        ([f"v{row}" if row else " " for row in range(80)], "line 1 is empty"),
    ],
)
def test_bad_ids_are_errors(tmp_path, ids, message):
    with pytest.raises(InputError) as error:
        validate(write_folder(tmp_path, make_arrays(), ids))
    assert message in str(error.value)


def test_absent_files_are_named_with_what_there_is(tmp_path):
    arrays = make_arrays()
    folder = write_folder(tmp_path / "a", arrays)
    with pytest.raises(InputError, match="no file video_features.npy") as error:
        validate(folder, ["text", "video"])
    assert "there are audio, image, text" in str(error.value)
    del arrays["popularity_counts"]
    with pytest.raises(InputError, match="popularity_counts.npy: no such file"):
        validate(write_folder(tmp_path / "b", arrays))
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="there are none"):
        validate(tmp_path / "c")


def test_inputs_survive_saving_and_travel_to_workers_without_their_features(tmp_path):
    inputs, _, _ = validate(write_folder(tmp_path / "data", make_arrays(9000)))
    (tmp_path / "saved").mkdir()
    inputs.save(tmp_path / "saved")
    sent = pickle.dumps(inputs)
    assert len(sent) < 400_000 < sum(array.nbytes for array in inputs.modalities.values())
    for again in (MofaInputs.load(tmp_path / "saved"), pickle.loads(sent)):
        assert again.fingerprint() == inputs.fingerprint()
        assert all(isinstance(array, np.memmap) for array in again.modalities.values())
