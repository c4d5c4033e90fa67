import numpy as np
import pytest

from vidpop_pipelines.datasets.npy import NpyDataset, NpyFolderDataset, open_npy
from vidpop_pipelines.errors import InputError


def write(path, array, **options):
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.arange(6, dtype=np.float16).reshape(2, 3),
    ],
    ids=["float32", "fortran float64", "int16", "big endian", "float16"],
)
def test_numbers_of_any_kind_are_mapped_not_read(tmp_path, array):
    mapped = open_npy(write(tmp_path / "a.npy", array))
    assert isinstance(mapped, np.memmap) and mapped.dtype == array.dtype
    np.testing.assert_array_equal(mapped, array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "Python objects"),
        (np.zeros((0, 4)), "empty, shape (0, 4)"),
        (np.zeros((4, 0)), "empty, shape (4, 0)"),
        (np.array([["a"]]), "dtype <U1"),
        (np.array([[1j]]), "dtype complex128"),
        (np.array([[True]]), "dtype bool"),
    ],
)
def test_other_contents_are_errors_that_name_the_file(tmp_path, array, message):
    path = write(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(InputError) as error:
        open_npy(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_a_pickle_in_a_npy_file_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = write(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        open_npy(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"1.0 2.0\n3.0 4.0\n", b"\x93NUMPY"])
def test_text_and_stumps_are_no_npy_files(tmp_path, content):
    path = tmp_path / "text.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a .npy file"):
        open_npy(path)


def test_truncated_and_missing_files(tmp_path):
    path = write(tmp_path / "a.npy", np.zeros((100, 10)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="cannot be read"):
        open_npy(path)
    with pytest.raises(InputError, match="no such file"):
        open_npy(tmp_path / "absent.npy")


def test_dataset_writes_what_it_reads_and_leaves_no_other_file(tmp_path):
    dataset = NpyDataset(str(tmp_path / "new" / "a.npy"))
    assert not dataset.exists()
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    dataset.save(array)
    np.testing.assert_array_equal(dataset.load(), array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_folder_opens_only_what_is_asked_for(tmp_path):
    write(tmp_path / "b_features.npy", np.ones((2, 1)))
    write(tmp_path / "a_features.npy", np.ones((2, 1)))
    write(tmp_path / "other.npy", np.array([None]), allow_pickle=True)
    (tmp_path / "video_id.txt").write_text("\ufeffx\ny\n")
    folder = NpyFolderDataset(str(tmp_path), ["*_features.npy"], ["video_id.txt", "absent.txt"]).load()
    assert list(folder.arrays) == ["a_features", "b_features"]
    assert folder.lines == {"video_id": ["x", "y"]}


def test_folder_must_exist_and_is_read_only(tmp_path):
    dataset = NpyFolderDataset(str(tmp_path / "absent"), ["*.npy"])
    with pytest.raises(InputError, match="no such folder"):
        dataset.load()
    with pytest.raises(InputError, match="read only"):
        dataset.save(object())


def test_preview_of_a_folder_names_its_arrays(tmp_path):
    write(tmp_path / "a_features.npy", np.ones((2, 3), np.float32))
    preview = NpyFolderDataset(str(tmp_path), ["*_features.npy"]).preview()
    assert preview["columns"] == ["array", "shape", "dtype"]
    assert preview["data"] == [["a_features", "(2, 3)", "float32"]]
