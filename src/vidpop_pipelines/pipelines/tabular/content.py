"""What a video's own columns say, as numbers: durations and counts, publish time, wording, interactions."""

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.tabular.channel_history import to_days

# Columns that enter as log(1 + x).
LOG_COLUMNS = ["duration_seconds", "subscribers", "channel_video_count", "channel_avg_views", "age_hours"]


def content_numbers(videos: pd.DataFrame) -> pd.DataFrame:
    """Computes the features that need nothing but the video's own row.

    Args:
        videos: N validated videos.

    Returns:
        N rows of float32 features, NaN where a column is missing.
    """
    logs = log_numbers(videos)
    parts = [
        logs,
        _differences(logs),
        publish_time(videos["published_at"]),
        title_counts(videos["title"]),
        description_counts(videos["description"]),
        _tag_counts(videos),
    ]
    numbers = pd.concat(parts, axis="columns")
    return pd.concat([numbers, _interactions(numbers)], axis="columns").astype(np.float32)


def log_numbers(videos: pd.DataFrame) -> pd.DataFrame:
    """Returns log(1 + x) of durations and counts: they span many orders of magnitude."""
    logs = pd.DataFrame(
        {f"log_{name}": np.log1p(videos[name].to_numpy(np.float64)) for name in LOG_COLUMNS},
        index=videos.index,
    )
    age = to_days(videos["published_at"]) - to_days(videos["channel_created_at"])
    logs["log_channel_days"] = np.log1p(np.maximum(age, 0))
    return logs


def _differences(logs: pd.DataFrame) -> pd.DataFrame:
    """Ratios of counts, as differences of logarithms."""
    return pd.DataFrame(
        {
            "subscribers_per_video": logs["log_subscribers"] - logs["log_channel_video_count"],
            "subscribers_per_channel_day": logs["log_subscribers"] - logs["log_channel_days"],
            "videos_per_channel_day": logs["log_channel_video_count"] - logs["log_channel_days"],
            "average_views_per_subscriber": logs["log_channel_avg_views"] - logs["log_subscribers"],
        }
    )


def publish_time(times: pd.Series) -> pd.DataFrame:
    """Returns hour, weekday and month (UTC) on circles, so that 23 h is next to 0 h, and a weekend flag.

    Args:
        times: (N,) publish times.
    """
    hour = times.dt.hour + times.dt.minute / 60
    turns = {"hour": hour / 24, "weekday": times.dt.day_of_week / 7, "month": (times.dt.month - 1) / 12}
    features = {}
    for name, turn in turns.items():
        angle = 2 * np.pi * turn.astype("float64")
        features |= {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}
    weekend = (times.dt.day_of_week >= 5).where(times.notna()).astype("float64")
    return pd.DataFrame(features | {"weekend": weekend}, index=times.index)


def title_counts(titles: pd.Series) -> pd.DataFrame:
    """Counts what a title is made of; an empty title has zeros."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    length = titles.str.len()
    words = titles.str.lower().str.findall(r"\w+")
    n_words = words.str.len()
    stop_words = np.array([sum(word in ENGLISH_STOP_WORDS for word in title) for title in words])
    return pd.DataFrame(
        {
            "title_length": length,
            "title_words": n_words,
            "title_digits": titles.str.count(r"\d"),
            "title_capitals": _share(titles.str.count(r"[A-Z]"), length),
            "title_not_ascii": _share(titles.str.count(r"[^\x00-\x7f]"), length),
            "title_exclamations": titles.str.count("!"),
            "title_questions": titles.str.count(r"\?"),
            "title_hashtags": titles.str.count("#"),
            "title_brackets": titles.str.count(r"[(\[{【]"),
            "title_separators": titles.str.count(r"[|:\-–—]"),
            # A cheap hint at the language and at whether a title is a sentence.
            "title_english_stop_words": _share(pd.Series(stop_words, titles.index), n_words),
        }
    )


def description_counts(descriptions: pd.Series) -> pd.DataFrame:
    """Counts what a description is made of; an empty one has zeros."""
    return pd.DataFrame(
        {
            "log_description_length": np.log1p(descriptions.str.len()),
            "description_lines": np.log1p(descriptions.str.count("\n")),
            "description_links": descriptions.str.count("https?://"),
            "description_hashtags": descriptions.str.count("#"),
            "description_timestamps": descriptions.str.count(r"\b\d{1,2}:\d{2}\b"),
        }
    )


def _tag_counts(videos: pd.DataFrame) -> pd.DataFrame:
    tags = videos["tags"].str.lower().str.split("|")
    n_tags = videos["tags"].str.count(r"\|") + (videos["tags"] != "")
    titles = videos["title"].str.lower()
    in_title = [
        sum(tag != "" and tag in title for tag in video_tags)
        for video_tags, title in zip(tags, titles, strict=True)
    ]
    return pd.DataFrame(
        {
            "num_tags": videos["num_tags"],
            "mean_tag_length": _share(videos["tags"].str.replace("|", "").str.len(), n_tags),
            "tags_in_title": _share(pd.Series(in_title, videos.index), n_tags),
            "n_categories": videos["categories"].str.count(r"\|") + (videos["categories"] != ""),
        }
    )


def _interactions(numbers: pd.DataFrame) -> pd.DataFrame:
    """Products of attributes whose effects depend on each other."""
    pairs = [
        ("log_subscribers", "log_age_hours"),
        ("log_subscribers", "log_duration_seconds"),
        ("log_subscribers", "num_tags"),
        ("log_duration_seconds", "title_length"),
        ("log_duration_seconds", "log_age_hours"),
        ("title_length", "num_tags"),
    ]
    return pd.DataFrame(
        {f"{left} x {right}": numbers[left].astype("float64") * numbers[right] for left, right in pairs}
    )


def _share(part: pd.Series, whole: pd.Series) -> pd.Series:
    return (part / whole.where(whole > 0)).fillna(0.0).astype("float64")
