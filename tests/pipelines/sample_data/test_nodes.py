import io

import numpy as np
import pandas as pd
import pytest

from vidpop_pipelines.pipelines.sample_data import nodes
from vidpop_pipelines.pipelines.sample_data.dirt import PERIODS, SINGLES, draw_dirt, draw_missing_days
from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.texts import compose_texts
from vidpop_pipelines.pipelines.sample_data.universe import draw_daily_views, draw_reactions, draw_videos

PARAMS = SampleDataParameters(videos=203, days=3, image_size=5, video_size=4, text_size=6)


@pytest.fixture(scope="module")
def videos() -> pd.DataFrame:
    return draw_videos(PARAMS)


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    """No defect at all."""
    dirt = draw_dirt(PARAMS)
    return dirt.assign(**{name: -1 if name == "number" else False for name in dirt})


@pytest.mark.parametrize("name", [name for name in PERIODS if name not in ("empty_number", "missing_cover")])
def test_one_video_per_period_has_the_defect(name: str) -> None:
    hit = draw_dirt(SampleDataParameters(videos=5 * 400))[name].to_numpy()
    per_block = hit[: len(hit) // PERIODS[name] * PERIODS[name]].reshape(-1, PERIODS[name]).sum(axis=1)
    # An empty category gives way to the one unknown category.
    assert per_block.tolist().count(1) >= len(per_block) - 1


def test_single_defects_and_a_corrupt_cover_is_not_missing() -> None:
    dirt = draw_dirt(SampleDataParameters(videos=10))
    for name, row in SINGLES.items():
        assert np.flatnonzero(dirt[name]).tolist() == [row]
    assert not (dirt.missing_cover & dirt.corrupt_cover).any()
    assert not (dirt.empty_category & dirt.unknown_category).any()


@pytest.mark.parametrize("days", [2, 3, 7, 30])
def test_missing_days_leave_at_least_one(days: int) -> None:
    params = SampleDataParameters(videos=2000, days=days)
    dirt = draw_dirt(params)
    missing = draw_missing_days(dirt, params)
    assert missing.shape == (2000, days)
    affected = dirt[["missing_first_day", "missing_last_days", "missing_middle_days"]].any(axis=1)
    assert (missing.any(axis=1) == affected).all()
    assert not missing.all(axis=1).any()
    assert missing[dirt.missing_first_day, 0].all()
    assert missing[dirt.missing_last_days & ~dirt.missing_first_day, -1].all()


def test_folds_are_equal_blocks_of_time_newest_first(videos: pd.DataFrame) -> None:
    splits = nodes.make_splits(videos)
    assert splits.columns.tolist() == ["video_id", "fold"]
    assert splits.fold.value_counts().sort_index().tolist() == [41, 41, 40, 41, 40]
    published = videos.published_at.groupby(splits.fold).agg(["min", "max"])
    for fold in range(4):
        assert published.loc[fold, "min"] >= published.loc[fold + 1, "max"]


def test_popularity_is_log2_of_mean_views_per_day(videos: pd.DataFrame, clean: pd.DataFrame) -> None:
    texts = compose_texts(videos, PARAMS)
    daily_views = pd.DataFrame(np.tile([3, 1, 17], (203, 1)), columns=[1, 2, 3])
    table = nodes.make_smtpd_table(videos, texts, daily_views, clean, PARAMS)
    # log2(3 + 1) = 2, log2(4 / 2 + 1) = 1.58496, log2(21 / 3 + 1) = 3.
    np.testing.assert_array_equal(table.iloc[:, 15:], np.tile([2.0, 1.58496, 3.0], (203, 1)))
    assert table.columns[:1].tolist() == ["video_id"]
    assert table.columns[5:10].tolist() == ["user_id", "category", "title", "keywords", "description"]
    assert table.columns[10:15].tolist() == ["duration", "followers", "posts", "title_len", "tag_count"]
    assert (table.title_len == table.title.str.len()).all()
    assert (table.tag_count == table.keywords.str.count(", ") + 1).all()


def test_tables_agree_with_each_other(videos: pd.DataFrame, clean: pd.DataFrame) -> None:
    texts = compose_texts(videos, PARAMS)
    daily_views = draw_daily_views(videos, PARAMS)
    reactions = draw_reactions(videos, daily_views, PARAMS)
    smtpd = nodes.make_smtpd_table(videos, texts, daily_views, clean, PARAMS)
    tabular = nodes.make_tabular_table(videos, texts, daily_views, reactions, clean, PARAMS)
    short_video = nodes.make_short_video_table(videos, texts, reactions, clean)
    views_per_day = tabular.filter(like="views_day_").to_numpy(dtype=float)
    np.testing.assert_array_equal(views_per_day.sum(axis=1), tabular.views)
    np.testing.assert_allclose(smtpd["Day 3"], np.log2(tabular.views / 3 + 1), atol=1e-5)
    assert (smtpd.user_id == tabular.channel_id).all()
    assert (short_video.author == tabular.channel_id).all()
    assert (short_video.video_path == tabular.video_id + ".mp4").all()
    assert (short_video["views"] == tabular.views).all()
    assert (tabular.categories.str.split("|").str[0] == smtpd.category).all()
    assert tabular.categories.str.contains("|", regex=False).mean() == pytest.approx(0.28, abs=0.1)
    assert (pd.to_datetime(tabular.published_at).dt.tz_localize(None) == videos.published_at).all()


def test_mofa_folders_are_a_partition_with_rows_of_nan_where_a_modality_is_missing(
    videos: pd.DataFrame,
) -> None:
    daily_views = draw_daily_views(videos, PARAMS)
    reactions = draw_reactions(videos, daily_views, PARAMS)
    splits = nodes.make_splits(videos)
    dirt = draw_dirt(PARAMS)
    content = {
        name: make() for name, make in nodes.make_mofa_files(videos, reactions, splits, dirt, PARAMS).items()
    }
    ids = {part: content[f"{part}/video_id.txt"].decode().splitlines() for part in ("train", "test")}
    assert ids["test"] == videos.video_id[splits.fold == 0].tolist()
    assert sorted(ids["train"] + ids["test"]) == videos.video_id.tolist()
    missing = {
        "image": dirt.missing_cover | dirt.corrupt_cover,
        "video": dirt.missing_clip | dirt.corrupt_clip,
        "text": dirt.empty_title,
    }
    for part, width in ((p, w) for p in ids for w in (("image", 5), ("video", 4), ("text", 6))):
        array = np.load(io.BytesIO(content[f"{part}/{width[0]}_features.npy"]), allow_pickle=False)
        assert array.dtype == np.float32
        assert array.shape == (len(ids[part]), width[1])
        rows = videos.index[videos.video_id.isin(ids[part])]
        np.testing.assert_array_equal(np.isnan(array).any(axis=1), missing[width[0]][rows])
    counts = np.load(io.BytesIO(content["test/popularity_counts.npy"]), allow_pickle=False)
    expected = reactions.loc[splits.fold == 0, ["views", "likes", "comments"]]
    np.testing.assert_allclose(np.expm1(counts.astype(float)), expected, rtol=1e-4, atol=1e-4)


def test_media_are_drawn_only_when_called(videos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        nodes.media, "render_clip", lambda video, seed, row: calls.append(row) or b"0123456789"
    )
    dirt = draw_dirt(PARAMS)
    clips = nodes.draw_clips(videos, dirt, PARAMS)
    assert calls == []
    assert len(clips) == 202
    assert "sample_00006.mp4" not in clips
    assert clips["sample_00001.mp4"]() == b"0123456789"
    assert clips["sample_00008.mp4"]() == b"01234"
    assert calls == [0, 7]
