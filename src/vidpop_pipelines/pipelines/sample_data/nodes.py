"""Nodes that turn the universe of videos into the raw files of every family."""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.sample_data import media
from vidpop_pipelines.pipelines.sample_data.dirt import UNKNOWN_CATEGORY, draw_missing_days
from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.universe import draw_features, stream
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES

N_FOLDS = 5

# File names and functions that make the contents, which a partitioned dataset calls one at a time.
LazyFiles = dict[str, Callable[[], bytes]]


def make_splits(videos: pd.DataFrame) -> pd.DataFrame:
    """Cuts the videos into five equal blocks by publish time.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.

    Returns:
        Columns video_id and fold; fold 0 is the newest block, so that a test on it forecasts the future.
    """
    newest_first = np.argsort(-videos.published_at.astype("int64").to_numpy(), kind="stable")
    fold = np.empty(len(videos), dtype=np.int64)
    fold[newest_first] = np.arange(len(videos)) * N_FOLDS // len(videos)
    return pd.DataFrame({"video_id": videos.video_id, "fold": fold})


def make_smtpd_table(
    videos: pd.DataFrame,
    texts: pd.DataFrame,
    daily_views: pd.DataFrame,
    dirt: pd.DataFrame,
    params: SampleDataParameters,
) -> pd.DataFrame:
    """Lays the videos out as SMTPD does, by position.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        texts: Titles, tags and descriptions.
        daily_views: Views per day, (videos, days).
        dirt: Defects as drawn by `dirt.draw_dirt`.
        params: Seed of the sample and number of days.

    Returns:
        15 columns about the video, then log2(cumulative views / day + 1) for every day.
    """
    numbers = {
        "duration": videos.duration_seconds,
        "followers": videos.followers.astype("Int64").mask(videos.hides_followers),
        "posts": videos.posts,
        "title_len": texts.title.str.len(),
        "tag_count": texts.tags.str.len(),
    }
    table = pd.DataFrame(
        {
            "video_id": videos.video_id,
            "url": "https://example.org/watch/" + videos.video_id,
            "published_at": _iso(videos.published_at),
            "channel_url": "https://example.org/" + videos.channel_id,
            "user_key": videos.channel_id.str.removeprefix("channel_"),
            "user_id": videos.channel_id,
            "category": _category_names(videos, dirt).mask(dirt.empty_category),
            "title": texts.title.mask(dirt.empty_title),
            "keywords": texts.tags.str.join(", ").mask(dirt.empty_keywords),
            "description": texts.description.mask(dirt.empty_description),
        }
        | {
            name: values.astype("Int64").mask(dirt.number == position)
            for position, (name, values) in enumerate(numbers.items())
        }
    )
    days = np.arange(1, params.days + 1)
    popularity = np.log2(daily_views.cumsum(axis=1).to_numpy() / days + 1).round(5)
    popularity[draw_missing_days(dirt, params)] = np.nan
    return table.join(pd.DataFrame(popularity, columns=[f"Day {day}" for day in days]))


def make_tabular_table(
    videos: pd.DataFrame,
    texts: pd.DataFrame,
    daily_views: pd.DataFrame,
    reactions: pd.DataFrame,
    dirt: pd.DataFrame,
    params: SampleDataParameters,
) -> pd.DataFrame:
    """Lays the videos out as a platform's own statistics do.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        texts: Titles, tags and descriptions.
        daily_views: Views per day, (videos, days).
        reactions: Views, likes and comments at the last day.
        dirt: Defects as drawn by `dirt.draw_dirt`.
        params: Seed of the sample.

    Returns:
        One row per video, with texts, channel statistics at crawl time, counts, and views of every day.
    """
    uniform = stream(params.seed, "tabular.categories").random((len(videos), 2))
    category = _category_names(videos, dirt)
    second = np.array(CATEGORIES)[(uniform[:, 1] * len(CATEGORIES)).astype(int)]
    has_second = (uniform[:, 0] < 0.3) & (second != category)
    table = pd.DataFrame(
        {
            "video_id": videos.video_id,
            "title": texts.title.mask(dirt.empty_title),
            "tags": texts.tags.str.join("|").mask(dirt.empty_keywords),
            "categories": category.where(~has_second, category + "|" + second).mask(dirt.empty_category),
            "duration_seconds": videos.duration_seconds,
            "published_at": _iso(videos.published_at),
            "channel_id": videos.channel_id,
            "subscribers": videos.followers.astype("Int64").mask(videos.hides_followers),
            "channel_video_count": videos.posts,
            "channel_avg_views": videos.average_views.astype("int64"),
            "channel_created_at": _iso(videos.created_at),
            "views": reactions.views,
            "likes": reactions.likes.astype("Int64").mask(dirt.disabled_likes),
            "comments": reactions.comments.astype("Int64").mask(dirt.disabled_comments),
        }
    )
    series = daily_views.astype("Int64").mask(dirt.missing_daily_views, axis=0)
    return table.join(series.add_prefix("views_day_"))


def make_short_video_table(
    videos: pd.DataFrame, texts: pd.DataFrame, reactions: pd.DataFrame, dirt: pd.DataFrame
) -> pd.DataFrame:
    """Lists the clips with their engagement.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        texts: Titles, tags and descriptions.
        reactions: Views and ECR.
        dirt: Defects as drawn by `dirt.draw_dirt`.

    Returns:
        Columns video_path (relative to the folder of clips), author, title, ECR (0..1) and views.
    """
    return pd.DataFrame(
        {
            "video_path": videos.video_id + ".mp4",
            "author": videos.channel_id,
            "title": texts.title.mask(dirt.empty_title),
            "ECR": reactions.ecr.round(4),
            "views": reactions.views,
        }
    )


def make_mofa_files(
    videos: pd.DataFrame,
    reactions: pd.DataFrame,
    splits: pd.DataFrame,
    dirt: pd.DataFrame,
    params: SampleDataParameters,
) -> LazyFiles:
    """Makes the folders `train` and `test` (fold 0) of precomputed features.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        reactions: Views, likes and comments at the last day.
        splits: The fold of every video.
        dirt: Defects as drawn by `dirt.draw_dirt`; a modality that is missing has a row of NaN.
        params: Seed of the sample and widths of the features.

    Returns:
        Per folder one float32 `.npy` per modality, (n, width), the log1p counts of views, likes and comments,
        (n, 3), and the ids.
    """
    modalities = {
        "image": ("look", params.image_size, dirt.missing_cover | dirt.corrupt_cover),
        "video": ("motion", params.video_size, dirt.missing_clip | dirt.corrupt_clip),
        "text": ("wording", params.text_size, dirt.empty_title),
    }
    arrays = {"popularity_counts": np.log1p(reactions[["views", "likes", "comments"]].to_numpy(np.float64))}
    for modality, (latent, width, missing) in modalities.items():
        features = draw_features(videos, latent, width, params)
        features[missing] = np.nan
        arrays[f"{modality}_features"] = features
    files: LazyFiles = {}
    for folder, rows in {"train": splits.fold != 0, "test": splits.fold == 0}.items():
        ids = "".join(f"{video_id}\n" for video_id in videos.video_id[rows])
        files[f"{folder}/video_id.txt"] = ids.encode
        for name, array in arrays.items():
            files[f"{folder}/{name}.npy"] = partial(_npy, array[rows.to_numpy()].astype(np.float32))
    return files


def draw_thumbnails(videos: pd.DataFrame, dirt: pd.DataFrame, params: SampleDataParameters) -> LazyFiles:
    """Prepares the covers; each is drawn when it is saved.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        dirt: Defects as drawn by `dirt.draw_dirt`.
        params: Seed of the sample.

    Returns:
        One JPEG per video that has a cover.
    """
    return _draw_media(media.render_thumbnail, "jpg", videos, dirt.missing_cover, dirt.corrupt_cover, params)


def draw_clips(videos: pd.DataFrame, dirt: pd.DataFrame, params: SampleDataParameters) -> LazyFiles:
    """Prepares the clips; each is drawn when it is saved.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        dirt: Defects as drawn by `dirt.draw_dirt`.
        params: Seed of the sample.

    Returns:
        One MP4 per video that has a clip.
    """
    return _draw_media(media.render_clip, "mp4", videos, dirt.missing_clip, dirt.corrupt_clip, params)


def _draw_media(
    render: Callable[[dict, int, int], bytes],
    suffix: str,
    videos: pd.DataFrame,
    missing: pd.Series,
    corrupt: pd.Series,
    params: SampleDataParameters,
) -> LazyFiles:
    def draw(row: int) -> bytes:
        content = render(videos.iloc[row].to_dict(), params.seed, row)
        return content[: len(content) // 2] if corrupt[row] else content

    return {f"{videos.video_id[row]}.{suffix}": partial(draw, row) for row in np.flatnonzero(~missing)}


def _category_names(videos: pd.DataFrame, dirt: pd.DataFrame) -> pd.Series:
    return videos.category.map(dict(enumerate(CATEGORIES))).mask(dirt.unknown_category, UNKNOWN_CATEGORY)


def _iso(times: pd.Series) -> pd.Series:
    return times.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
