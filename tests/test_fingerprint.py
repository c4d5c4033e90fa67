import hashlib

import numpy as np
import planted

from vidpop_pipelines.fingerprint import (
    combine,
    hash_arrays,
    hash_code,
    hash_file,
    hash_folder,
    hash_large_file,
    hash_test_set,
)


def test_hash_file_is_sha256_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_hash_large_file_sees_size_beginning_end_and_blocks_between(tmp_path):
    path = tmp_path / "video"

    def digest(content: bytes) -> str:
        path.write_bytes(content)
        return hash_large_file(path, n_blocks=3, block_bytes=10)

    small, large = bytes(30), bytes(200)
    changed = [small[:place] + b"x" + small[place + 1 :] for place in range(30)]
    assert len({digest(content) for content in [small, small[1:], *changed]}) == 32
    seen = [digest(large[:place] + b"x" + large[place + 1 :]) != digest(large) for place in range(200)]
    assert np.flatnonzero(seen).tolist() == [*range(10), *range(95, 105), *range(190, 200)]


def test_hash_folder_sees_names_and_sizes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    before = hash_folder(tmp_path)
    (tmp_path / "b").write_bytes(b"")
    with_b = hash_folder(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert len({before, with_b, hash_folder(tmp_path)}) == 3


def test_hash_folder_sees_what_arrays_hold(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    before = hash_folder(tmp_path)
    assert hash_folder(tmp_path) == before
    np.save(tmp_path / "a.npy", np.ones(3))
    assert hash_folder(tmp_path) != before


def test_hash_arrays_sees_dtype_shape_and_content():
    base = np.arange(6)
    others = [base.astype(np.int32), base.reshape(2, 3), base + 1]
    assert len({hash_arrays([array]) for array in [base, *others]}) == 4
    assert hash_arrays([base[::2]]) == hash_arrays([base[::2].copy()])


def test_combine_depends_on_every_part():
    assert combine("a", {"b": 1}) == combine("a", {"b": 1}) != combine("a", {"b": 2})
    assert len(hash_code()) == 64


def test_hash_test_set_sees_test_videos_and_truth_but_no_forecast():
    table = planted.views_table(planted.noise(1, 0.2))
    same = table.assign(y_pred=1.0, fold=3).sample(frac=1, random_state=0)
    is_test = table["split"] == "test"
    assert hash_test_set(table) == hash_test_set(same) == hash_test_set(table[is_test])
    others = [table.assign(y_true=table["y_true"] + 1), table.iloc[1:], table.assign(target="likes")]
    assert len({hash_test_set(other) for other in [table, *others]}) == 4
