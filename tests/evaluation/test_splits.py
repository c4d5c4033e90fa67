import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.splits import ROLES, assign_folds, assign_roles, check_given_folds

IDS = [f"video{number:03d}" for number in range(100)]

id_lists = st.lists(st.text(min_size=1, max_size=5), min_size=10, max_size=40, unique=True)


@st.composite
def grouped_ids(draw):
    ids = draw(id_lists)
    labels = st.sampled_from([*"abcdefghijklmnopqrstuvwxyz", "", None])
    return ids, draw(st.lists(labels, min_size=len(ids), max_size=len(ids)))


def fold_by_id(folds: pd.DataFrame) -> dict[str, int]:
    return dict(zip(folds["video_id"], folds["fold"], strict=True))


@settings(max_examples=40)
@given(ids=id_lists, n_folds=st.integers(3, 10), seed=st.integers(0, 99), random=st.randoms())
def test_random_folds_are_even_and_independent_of_row_order(ids, n_folds, seed, random):
    folds = assign_folds(ids, n_folds=n_folds, seed=seed)
    assert folds["video_id"].tolist() == ids
    sizes = np.bincount(folds["fold"], minlength=n_folds)
    assert len(sizes) == n_folds and sizes.max() - sizes.min() <= 1
    shuffled = random.sample(ids, len(ids))
    assert fold_by_id(assign_folds(shuffled, n_folds=n_folds, seed=seed)) == fold_by_id(folds)


@settings(max_examples=40)
@given(data=grouped_ids(), fold=st.integers(0, 2), random=st.randoms())
def test_no_group_is_in_two_folds_or_roles(data, fold, random):
    ids, groups = data
    try:
        folds = assign_folds(ids, n_folds=3, seed=0, groups=groups)
        roles = assign_roles(folds, fold, "honest", groups)
    except InputError as error:
        assert "Too few groups" in str(error)
        assume(False)
    named = pd.Series(groups).replace("", None).notna().to_numpy()
    by_group = roles.loc[named, list(ROLES)].groupby(np.array(groups, dtype=object)[named]).any()
    assert (by_group.sum(axis=1) == 1).all()
    assert (folds[named].groupby(np.array(groups, dtype=object)[named])["fold"].nunique() == 1).all()

    order = random.sample(range(len(ids)), len(ids))
    shuffled_groups = [groups[row] for row in order]
    shuffled = assign_folds([ids[row] for row in order], n_folds=3, seed=0, groups=shuffled_groups)
    assert fold_by_id(shuffled) == fold_by_id(folds)
    shuffled_roles = assign_roles(shuffled, fold, "honest", shuffled_groups)
    pd.testing.assert_frame_equal(
        shuffled_roles.set_index("video_id").loc[ids], roles.set_index("video_id").loc[ids]
    )


@settings(max_examples=40)
@given(ids=id_lists, n_folds=st.integers(3, 5), fold=st.integers(0, 4), random=st.randoms())
def test_honest_roles_are_disjoint_and_complete(ids, n_folds, fold, random):
    assume(fold < n_folds)
    folds = assign_folds(ids, n_folds=n_folds, seed=1)
    roles = assign_roles(folds, fold, "honest")
    assert (roles[list(ROLES)].sum(axis=1) == 1).all()
    assert roles["video_id"].tolist() == ids
    assert roles["test"].tolist() == (folds["fold"] == fold).tolist()
    held_out = roles["validation"] | roles["calibration"]
    assert held_out.tolist() == (folds["fold"] == (fold + 1) % n_folds).tolist()
    assert abs(int(roles["validation"].sum()) - int(roles["calibration"].sum())) <= 1
    shuffled = assign_roles(folds.sample(frac=1, random_state=random.randint(0, 99)), fold, "honest")
    pd.testing.assert_frame_equal(
        shuffled.set_index("video_id").loc[ids], roles.set_index("video_id").loc[ids]
    )


def test_every_video_is_tested_once_over_all_folds():
    folds = assign_folds(IDS, seed=0)
    tested = sum(assign_roles(folds, fold, "honest")["test"].astype(int) for fold in range(5))
    assert tested.tolist() == [1] * 100


def test_published_protocol_validates_on_the_test_fold():
    folds = assign_folds(IDS, seed=0)
    roles = assign_roles(folds, 4, "published")
    assert roles["validation"].tolist() == roles["test"].tolist() == (folds["fold"] == 4).tolist()
    assert roles["train"].tolist() == (folds["fold"] != 4).tolist()
    assert not roles["calibration"].any()


def test_seed_changes_the_folds_and_python_does_not():
    assert fold_by_id(assign_folds(IDS, seed=0)) != fold_by_id(assign_folds(IDS, seed=1))
    # Python's own hash() of a text differs from process to process; the folds must not.
    code = (
        "from vidpop_pipelines.evaluation.splits import assign_folds\n"
        "print(assign_folds([f'video{number:03d}' for number in range(100)], seed=0)['fold'].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(assign_folds(IDS, seed=0)["fold"].tolist())


def test_assignment_is_pinned():
    # Changing this changes every stored result: the same ids and seed must give the same folds for ever.
    assert assign_folds(list("abcdefghij"), seed=0)["fold"].tolist() == [0, 0, 2, 3, 2, 4, 3, 1, 1, 4]


def test_groups_are_balanced_largest_first():
    # Sizes 6, 3, 3, 2, 2, 2 over three folds: 6 | 3 + 2 | 3 + 2, and the last 2 to a fold of 5.
    sizes = {"A": 6, "B": 3, "C": 3, "D": 2, "E": 2, "F": 2}
    groups = [group for group, size in sizes.items() for _ in range(size)]
    folds = assign_folds([str(row) for row in range(18)], n_folds=3, seed=0, groups=groups)
    assert sorted(np.bincount(folds["fold"])) == [5, 6, 7]


def test_videos_without_a_group_are_alone():
    folds = assign_folds(IDS, seed=0, groups=[None, "", np.nan, pd.NA] * 25)
    assert np.bincount(folds["fold"]).tolist() == [20] * 5


def test_order_gives_contiguous_blocks_fold_0_the_newest():
    published = pd.date_range("2024-01-01", periods=100)
    folds = assign_folds(IDS, seed=0, order=published)
    assert folds["fold"].tolist() == [fold for fold in (4, 3, 2, 1, 0) for _ in range(20)]
    backwards = assign_folds(IDS[::-1], seed=0, order=published[::-1])
    assert fold_by_id(backwards) == fold_by_id(folds)


def test_equal_times_are_ordered_by_id():
    order = [1] * 6
    ids = list("cafbed")
    folds = assign_folds(ids, n_folds=3, seed=0, order=order)
    assert fold_by_id(folds) == {"f": 0, "e": 0, "d": 1, "c": 1, "b": 2, "a": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"video_ids": ["a", "b", "a", "c"]}, "more than once, e.g. a"),
        ({"video_ids": ["a", None, "b", "c"]}, "row 2: video_id is empty"),
        ({"video_ids": ["a"]}, r"Too few videos \(1\) to form 5 folds"),
        ({"video_ids": IDS, "n_folds": 2}, "n_folds is 2"),
        ({"video_ids": IDS, "groups": ["u1", "u2"] * 50}, r"Too few groups \(2\) to form 5 folds"),
        ({"video_ids": IDS, "groups": ["u"] * 100, "order": range(100)}, "by group and by order"),
        ({"video_ids": IDS, "order": [np.nan] * 2 + [1.0] * 98}, "2 of 100 .* e.g. video000"),
        ({"video_ids": IDS[:4], "order": range(4)}, "4 videos cannot be cut into 5 blocks"),
    ],
)
def test_folds_that_cannot_be_are_explained(arguments, message):
    with pytest.raises(InputError, match=message):
        assign_folds(**({"seed": 0} | arguments))


def test_texts_are_no_order():
    with pytest.raises(ValueError, match="text"):
        assign_folds(IDS, seed=0, order=[f"2024-1-{day}" for day in range(100)])


def test_roles_that_cannot_be_are_explained():
    folds = assign_folds(IDS, seed=0)
    with pytest.raises(InputError, match="no fold 5"):
        assign_roles(folds, 5, "honest")
    with pytest.raises(InputError, match="'fair'"):
        assign_roles(folds, 0, "fair")
    with pytest.raises(InputError, match="1 groups have videos in more than one fold, e.g. user7"):
        assign_roles(folds, 0, "honest", ["user7"] * 100)
    with pytest.raises(InputError, match=r"Too few videos \(1\) to form a validation and a calibration half"):
        assign_roles(assign_folds(IDS[:5], seed=0), 0, "honest")


def test_given_folds_are_put_into_the_order_of_the_videos():
    given_folds = pd.DataFrame(
        {"video_id": ["a", "b", "c", "d", "left out"], "fold": ["0", "1", "2", "0", "1"]}
    )
    checked = check_given_folds(given_folds, ["d", "c", "b", "a"], "splits.csv")
    assert checked.to_dict("list") == {"video_id": ["d", "c", "b", "a"], "fold": [0, 2, 1, 0]}


@pytest.mark.parametrize(
    ("given_folds", "message"),
    [
        ({"video_id": ["a", "b"], "split": [0, 1]}, "splits.csv has no column fold"),
        ({"video_id": ["a", "b", "d"], "fold": [0, 1, 2]}, "no fold for 1 of 3 videos, e.g. c"),
        ({"video_id": ["a", "b", "c"], "fold": [0, 1.5, 2]}, "row 2, column fold: '1.5'"),
        ({"video_id": ["a", "b", "c"], "fold": [0, 1, "x"]}, "row 3, column fold: 'x'"),
        ({"video_id": ["a", "b", "c"], "fold": [0, 1, None]}, "row 3, column fold"),
        ({"video_id": ["a", "b", "c"], "fold": [0, -1, 2]}, "row 2, column fold: '-1'"),
        ({"video_id": ["a", "b", "c"], "fold": [0, 1, 1]}, "splits.csv uses 2 folds"),
        ({"video_id": ["a", "b", "c"], "fold": [0, 1, 3]}, "splits.csv uses the folds 0, 1, 3"),
        (
            {"video_id": ["a", "b", "c", "a"], "fold": [0, 1, 2, 1]},
            "splits.csv names 1 videos more than once",
        ),
    ],
)
def test_bad_given_folds_are_explained(given_folds, message):
    with pytest.raises(InputError, match=message):
        check_given_folds(pd.DataFrame(given_folds), ["a", "b", "c"], "splits.csv")
