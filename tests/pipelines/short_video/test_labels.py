import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.short_video.labels import label_videos, split_videos
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

ROLES = ["train", "validation", "calibration", "test"]


def parameters(**changes) -> ShortVideoParameters:
    return ShortVideoParameters(csv="", videos="", **changes)


def make_videos(metric, authors=None) -> pd.DataFrame:
    n = len(metric)
    ids = [f"v{number:03}" for number in range(n)]
    return pd.DataFrame({"video_id": ids, "author": authors or [""] * n, "metric": np.array(metric, float)})


def fold_table(videos: pd.DataFrame, folds) -> pd.DataFrame:
    return pd.DataFrame({"video_id": videos["video_id"], "fold": folds})


class TestSplits:
    def test_every_fold_has_the_same_distribution(self):
        metric = np.random.default_rng(0).lognormal(3, 2, 200)
        videos = make_videos(metric)
        splits = split_videos(videos, None, parameters())
        assert splits["video_id"].equals(videos["video_id"])
        thirds = pd.qcut(metric, 5, labels=False)
        counts = pd.crosstab(splits["fold"], thirds)
        assert counts.shape == (5, 5)
        assert (counts == 8).all(axis=None)

    @settings(max_examples=30)
    @given(
        metric=st.lists(st.integers(0, 30), min_size=5, max_size=60), seed=st.integers(0, 9), data=st.data()
    )
    def test_the_order_of_the_rows_does_not_count(self, metric, seed, data):
        videos = make_videos(metric)
        shuffled = videos.iloc[data.draw(st.permutations(range(len(metric))))].reset_index(drop=True)
        first, second = (split_videos(table, None, parameters(seed=seed)) for table in (videos, shuffled))
        merged = first.merge(second, on="video_id")
        assert merged["fold_x"].equals(merged["fold_y"])
        sizes = np.bincount(first["fold"], minlength=5)
        assert sizes.max() - sizes.min() <= 1

    def test_another_seed_is_another_split(self):
        videos = make_videos(range(100))
        first, second = (split_videos(videos, None, parameters(seed=seed))["fold"] for seed in (0, 1))
        assert not first.equals(second)

    def test_authors_stay_together(self):
        rng = np.random.default_rng(1)
        authors = [f"author {number}" if number else "" for number in rng.integers(0, 40, 300)]
        videos = make_videos(rng.normal(size=300), authors)
        splits = split_videos(videos, None, parameters(group_by="author"))
        named = videos["author"] != ""
        assert (splits[named].groupby(videos["author"])["fold"].nunique() == 1).all()
        assert splits.loc[~named, "fold"].nunique() > 1  # unknown authors are not one author
        assert np.bincount(splits["fold"]).min() > 40
        means = videos["metric"].groupby(splits["fold"]).mean()
        assert means.abs().max() < 0.4

    def test_a_given_split(self):
        videos = make_videos(range(6), [*"aabbcc"])
        ids = [f"v00{number}" for number in (5, 4, 3, 2, 1, 0, 9)]
        given_splits = pd.DataFrame({"video_id": ids, "fold": list("0012120")})
        splits = split_videos(videos, given_splits, parameters())
        assert splits["fold"].tolist() == [2, 1, 2, 1, 0, 0]
        by_author = split_videos(videos, given_splits, parameters(group_by="author", n_folds=3))
        assert (by_author.groupby(videos["author"])["fold"].nunique() == 1).all()
        with pytest.raises(InputError, match="has no fold for 1 of 6 videos"):
            split_videos(videos, given_splits.iloc[1:], parameters())

    def test_too_few(self):
        with pytest.raises(InputError, match="4 usable videos cannot be split into 5 folds"):
            split_videos(make_videos(range(4)), None, parameters())
        with pytest.raises(InputError, match="2 different authors cannot be split into 3 folds"):
            options = parameters(group_by="author", n_folds=3)
            split_videos(make_videos(range(9), [*"aaaaabbbb"]), None, options)


class TestLabels:
    def test_by_hand(self):
        # Fold 0 is tested on, fold 1 halved, 2 to 4 are trained on: metrics 1 to 9 and their quantiles.
        videos = make_videos([100, -100, 5, 0, 11, *range(1, 10)])
        splits = fold_table(videos, [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
        table, thresholds = label_videos(videos, splits, parameters(share=0.25))
        assert thresholds == {"low": 3.0, "high": 7.0}
        middle = np.nan
        expected = [1, 0, middle, 0, 1, 0, 0, 0, middle, middle, middle, 1, 1, 1]
        np.testing.assert_array_equal(table["label"], expected)
        assert table["metric"].tolist() == videos["metric"].tolist()
        assert table["test"].tolist() == [True] * 3 + [False] * 11
        assert table["train"].sum() == 9
        assert (table[ROLES].sum(axis="columns") == 1).all()

    @settings(max_examples=40)
    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=25, max_size=60, unique=True),
        st.floats(0.05, 0.5),
        st.integers(0, 99),
    )
    def test_thresholds_ignore_all_but_the_training_videos(self, metric, share, seed):
        videos, options = make_videos(metric), parameters(share=share)
        splits = split_videos(videos, None, options)
        table, thresholds = label_videos(videos, splits, options)
        others = ~table["train"].to_numpy()
        noise = np.random.default_rng(seed).normal(0, 1e9, others.sum())
        changed = videos.copy()
        changed.loc[others, "metric"] = noise
        table_of_changed, thresholds_of_changed = label_videos(changed, splits, options)
        assert thresholds_of_changed == thresholds
        train = table["train"]
        assert table_of_changed.loc[train, "label"].equals(table.loc[train, "label"])
        labels = table.loc[train]
        low, high = (labels.loc[labels["label"] == value, "metric"] for value in (0, 1))
        assert low.max() < high.min()
        for chosen in (low, high):
            assert abs(len(chosen) - share * len(labels)) <= 1

    def test_published_protocol_tests_on_the_validation_videos(self):
        videos = make_videos(range(30))
        options = parameters(protocol="published", fold=2)
        table, _ = label_videos(videos, split_videos(videos, None, options), options)
        assert table["validation"].equals(table["test"])
        assert not table["calibration"].any()

    def test_authors_get_one_role(self):
        videos = make_videos(np.arange(100) % 37, [f"author {number // 4}" for number in range(100)])
        options = parameters(group_by="author")
        table, _ = label_videos(videos, split_videos(videos, None, options), options)
        roles = table[ROLES].to_numpy().argmax(axis=1)
        assert (pd.Series(roles).groupby(videos["author"]).nunique() == 1).all()

    def test_many_equal_metrics(self):
        # More than two thirds are zero: both thresholds are, and what is more is popular.
        videos = make_videos([0] * 40 + list(range(1, 11)))
        table, thresholds = label_videos(videos, split_videos(videos, None, parameters()), parameters())
        assert thresholds == {"low": 0.0, "high": 0.0}
        assert (table["label"] == (videos["metric"] > 0)).all()

    def test_one_label_only(self):
        videos = make_videos([3.0] * 30)
        with pytest.raises(InputError, match="(?s)No training video is popular.*1 differ in the metric"):
            label_videos(videos, split_videos(videos, None, parameters()), parameters())
