"""What a channel's earlier videos achieved; no value depends on a video of the same time or later."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HISTORY_FEATURES = [
    "channel_history_count",
    "channel_history_mean",
    "channel_history_recent",
    "channel_history_last",
    "channel_history_spread",
    "channel_history_trend",
    "channel_history_views",
    "channel_days_since_last",
    "channel_videos_last_30_days",
]

# A channel's mean counts as much as the prior once it has so many earlier videos.
PRIOR_VIDEOS = 2.0
_RECENT_VIDEOS = 3
_MONTH_DAYS = 30.0
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")


@dataclass(frozen=True)
class ChannelHistory:
    """Videos whose outcome is known, by channel and time.

    Attributes:
        channels: Channel id to the slice (start, stop) of its videos in the arrays.
        days: (N,) publish time in days since 1970, ascending within each channel.
        outcomes: (N, 2) per video: how far it did better than videos like it (log units), and its log views.
        all_days: (N,) publish times of all videos, ascending.
        all_means: (N + 1, 2) mean of the outcomes of the first n videos by time; row 0 is zero.
    """

    channels: dict[str, tuple[int, int]]
    days: np.ndarray
    outcomes: np.ndarray
    all_days: np.ndarray
    all_means: np.ndarray

    @classmethod
    def fit(cls, videos: pd.DataFrame, surplus: np.ndarray, log_views: np.ndarray) -> "ChannelHistory":
        """Stores the outcomes of the training videos.

        Args:
            videos: N training videos with `channel_id` and `published_at`; those without a channel only
                count in the prior.
            surplus: (N,) how far each did better than videos like it.
            log_views: (N,) log(1 + views).
        """
        days = to_days(videos["published_at"])
        outcomes = np.column_stack([surplus, log_views]).astype(np.float64)
        by_time = np.argsort(days, kind="stable")
        means = np.cumsum(outcomes[by_time], axis=0) / np.arange(1, len(days) + 1)[:, None]
        ids = videos["channel_id"].to_numpy(object)
        known = np.flatnonzero(ids != "")
        order = known[np.lexsort((days[known], ids[known].astype(str)))]
        names, starts, counts = np.unique(ids[order].astype(str), return_index=True, return_counts=True)
        return cls(
            channels={
                str(name): (int(start), int(start + count))
                for name, start, count in zip(names, starts, counts, strict=True)
            },
            days=days[order],
            outcomes=outcomes[order],
            all_days=days[by_time],
            all_means=np.vstack([np.zeros(2), means]),
        )

    def transform(self, videos: pd.DataFrame) -> np.ndarray:
        """Describes each video's channel by its stored videos published strictly before.

        Args:
            videos: M videos with `channel_id` and `published_at`.

        Returns:
            (M, 9) in the order of `HISTORY_FEATURES`. A channel without earlier videos has count 0, the prior
            (the mean over all earlier videos) as its means, and NaN where there is nothing to say.
        """
        days = to_days(videos["published_at"])
        priors = self.all_means[np.searchsorted(self.all_days, days, side="left")]
        result = np.full((len(videos), len(HISTORY_FEATURES)), np.nan)
        result[:, 0] = 0.0
        result[:, 1], result[:, 2], result[:, 6] = priors[:, 0], priors[:, 0], priors[:, 1]
        result[:, 8] = 0.0
        for channel, rows in videos.groupby("channel_id", sort=False).indices.items():
            start, stop = self.channels.get(channel, (0, 0))
            earlier = np.searchsorted(self.days[start:stop], days[rows], side="left")
            seen = earlier > 0
            if seen.any():
                result[rows[seen]] = self._describe(
                    slice(start, stop), earlier[seen], days[rows[seen]], priors[rows[seen]]
                )
        return result

    def _describe(self, own: slice, earlier: np.ndarray, now: np.ndarray, priors: np.ndarray) -> np.ndarray:
        """Describes videos of one channel, each with `earlier` >= 1 videos before it."""
        days, surplus, log_views = self.days[own], self.outcomes[own, 0], self.outcomes[own, 1]
        elapsed = days - days[0]
        sum_surplus, sum_squares = _sum_of_first(surplus, earlier), _sum_of_first(surplus**2, earlier)
        first_recent = np.maximum(earlier - _RECENT_VIDEOS, 0)
        sum_recent = sum_surplus - _sum_of_first(surplus, first_recent)
        variance = np.maximum(sum_squares / earlier - (sum_surplus / earlier) ** 2, 0.0)
        # Least-squares slope per month, held back by one month squared per prior video: two videos of one day
        # would give any slope.
        sum_elapsed = _sum_of_first(elapsed, earlier)
        spread = _sum_of_first(elapsed**2, earlier) - sum_elapsed**2 / earlier
        covariance = _sum_of_first(elapsed * surplus, earlier) - sum_elapsed * sum_surplus / earlier
        slope = covariance / (spread + PRIOR_VIDEOS * _MONTH_DAYS**2) * _MONTH_DAYS
        month_ago = np.searchsorted(days, now - _MONTH_DAYS, side="left")
        prior_surplus, prior_views = PRIOR_VIDEOS * priors.T
        return np.column_stack(
            [
                np.log1p(earlier),
                (sum_surplus + prior_surplus) / (earlier + PRIOR_VIDEOS),
                (sum_recent + prior_surplus) / (earlier - first_recent + PRIOR_VIDEOS),
                surplus[earlier - 1],
                np.where(earlier > 1, np.sqrt(variance), np.nan),
                np.where(earlier > 1, slope, np.nan),
                (_sum_of_first(log_views, earlier) + prior_views) / (earlier + PRIOR_VIDEOS),
                np.log1p(now - days[earlier - 1]),
                np.log1p(earlier - month_ago),
            ]
        )

    def save(self, folder: Path) -> None:
        """Writes `channel_history.safetensors` and `channel_history.json`."""
        from safetensors.numpy import save_file

        arrays = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in ("days", "outcomes", "all_days", "all_means")
        }
        save_file(arrays, folder / "channel_history.safetensors")
        (folder / "channel_history.json").write_text(json.dumps(self.channels))

    @classmethod
    def load(cls, folder: Path) -> "ChannelHistory":
        """Reads what `save` wrote."""
        from safetensors.numpy import load_file

        channels = json.loads((folder / "channel_history.json").read_text())
        arrays = load_file(folder / "channel_history.safetensors")
        return cls(channels={name: tuple(ends) for name, ends in channels.items()}, **arrays)


def _sum_of_first(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns, for each count, the sum of so many first values."""
    return np.append(0.0, np.cumsum(values))[counts]


def to_days(times: pd.Series) -> np.ndarray:
    """Returns times as days since 1970 (float64), NaN where missing."""
    micros = times.to_numpy("datetime64[us]").astype(np.float64)
    return np.where(times.isna().to_numpy(), np.nan, micros / _DAY)
