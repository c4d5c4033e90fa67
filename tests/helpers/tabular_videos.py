"""Small validated tables of videos made in memory."""

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-01-01", tz="UTC")


def make_videos(n_videos: int = 120, seed: int = 0, n_days: int = 0) -> pd.DataFrame:
    """Returns videos as `table.validate_videos` does; views depend on subscribers, category and channel.

    With days, likes are known too, and the daily views of music fall off faster.
    """
    rng = np.random.default_rng(seed)
    channel = rng.integers(0, max(2, n_videos // 12), n_videos)
    category = np.array(["Music", "Gaming", "Education"])[rng.integers(0, 3, n_videos)]
    subscribers = np.exp(rng.normal(8, 1, n_videos))
    log_views = 2 + 0.7 * np.log(subscribers) + (category == "Music") + 0.3 * (channel % 3)
    days = np.sort(rng.uniform(0, 300, n_videos))
    text = {
        "video_id": [f"v{number:04d}" for number in range(n_videos)],
        "title": [f"{name} video number {number % 7}" for number, name in enumerate(category)],
        "description": ["about it"] * n_videos,
        "tags": [f"{name.lower()}|tag{number % 5}" for number, name in enumerate(category)],
        "categories": category,
        "channel_id": [f"c{number}" for number in channel],
        "definition": "hd",
        "caption": "",
        "language": "",
    }
    numbers = {
        "duration_seconds": rng.integers(20, 2000, n_videos).astype(float),
        "subscribers": subscribers,
        "channel_video_count": rng.integers(1, 500, n_videos).astype(float),
        "channel_avg_views": np.nan,
        "num_tags": 2.0,
        "age_hours": np.nan,
        "views": np.floor(np.exp(log_views + rng.normal(0, 0.3, n_videos))),
        "likes": np.nan,
        "comments": np.nan,
    }
    times = {
        "published_at": START + pd.to_timedelta(days, unit="D"),
        "channel_created_at": START - pd.Timedelta(days=400),
    }
    strings = {name: pd.Series(values, index=range(n_videos), dtype="str") for name, values in text.items()}
    videos = pd.DataFrame(strings | numbers | times)
    if n_days:
        videos["likes"] = np.floor(videos["views"] * rng.uniform(0.01, 0.1, n_videos))
        rate = np.where(category == "Music", 0.3, 0.05) * rng.uniform(0.5, 1.5, n_videos)
        peak = rng.integers(1, 6, n_videos)
        for day in range(1, n_days + 1):
            level = np.exp(-rate * np.abs(day - peak)) * videos["views"] / 5
            videos[f"views_day_{day}"] = np.floor(level)
    return videos
