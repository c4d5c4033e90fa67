"""Life-cycle targets of a video, derived by fixed rules from the views that it gained on each day.

There is no published standard; these rules use few constants, each with its reason beside it:

- **Peak.** The largest value of the series after a centred three-day median, the level that at least two of three
  neighbouring days reach. A single odd day (views counted in a batch, a counter corrected) cannot outrank a level
  that was kept up, and unlike a mean the median neither flattens a rise of two days or more nor moves its day. At
  both ends, and beside a missing day, there are two days (or one), and the level is the lower of them.
- **Time to peak.** The day of the peak, counted from 1. Of days with an equal level it is the one with most views
  (a first-day spike peaks on day 1, a series that still grows on its last day), then the first.
- **Decay rate.** Minus the least-squares slope of log1p(daily views) by day, from the peak on: 0.1 means that
  daily views fall by a factor exp(-0.1), about 10 %, each day; below zero they rise again. Days after the last
  view are left out (but never so that fewer than `MINIMUM_DAYS_AFTER_PEAK` remain after the peak): a video that
  has died stays at zero, and counting these days would make the rate depend on how long one went on watching.
- **Stage** at the last observed day. The video is *near its peak* if the median of its last week is at least
  `NEAR_PEAK` of the peak, or the peak is at most two days old. Then the stage is ``growth`` if the last week's
  median is more than `RISE` times that of the week before, else ``peak``. If it is not near its peak, ``decay``.

A series whose level is zero throughout (no views, or single views days apart) has no peak and therefore no target
at all. A series with fewer than `MINIMUM_OBSERVED_DAYS` known days has none either. Peak and stage do not change
when all views are multiplied by the same number. All targets describe the observed days only: a peak still to come
is not known.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

STAGES = ("growth", "peak", "decay")

# Daily views follow the week: windows of seven days hold each weekday once.
WEEK = 7
# A peak is not told from one week's rhythm by less than a week.
MINIMUM_OBSERVED_DAYS = WEEK
# More than half of a week, so that its median stands for the week.
MINIMUM_DAYS_OF_WEEK = 4
# The slope of fewer points says more about single days than about the trend.
MINIMUM_DAYS_AFTER_PEAK = 5
# Half of the best day, as in a half-life.
NEAR_PEAK = 0.5
# Growth of 10 % from week to week; less is what an even series shows by chance.
RISE = 1.1
# With the peak in the last three days (the window of the median) a fall is not told from noise yet. This also
# keeps a series that doubles every day or two, whose week's median is far below its last day, out of decay.
DAYS_OF_FRESH_PEAK = 3


def lifecycle_targets(daily_views: npt.ArrayLike) -> pd.DataFrame:
    """Derive all life-cycle targets of each video.

    Args:
        daily_views: (N, D) views gained on day 1..D, NaN where missing. A series may end before the last column.

    Returns:
        One row per video: ``lifecycle_stage`` (one of `STAGES`, "" where undefined), ``time_to_peak_days`` and
        ``decay_rate`` (per day), NaN where undefined.

    Raises:
        ValueError: If a value is negative or infinite, or there is no day.
    """
    views = _checked(daily_views)
    return pd.DataFrame(
        {
            "lifecycle_stage": pd.array(lifecycle_stage(views), dtype="str"),
            "time_to_peak_days": time_to_peak_days(views),
            "decay_rate": decay_rate(views),
        }
    )


def time_to_peak_days(daily_views: npt.ArrayLike) -> np.ndarray:
    """Find the day of the peak.

    Args:
        daily_views: (N, D) as in `lifecycle_targets`.

    Returns:
        (N,) days, counted from 1; NaN with fewer than `MINIMUM_OBSERVED_DAYS` known days or where the
        level is zero throughout.
    """
    return _peaks(_checked(daily_views))[0]


def decay_rate(daily_views: npt.ArrayLike) -> np.ndarray:
    """Measure how fast daily views fall after the peak.

    Args:
        daily_views: (N, D) as in `lifecycle_targets`.

    Returns:
        (N,) rate per day, positive where views fall; NaN without a peak, or with fewer than
        `MINIMUM_DAYS_AFTER_PEAK` known days after it.
    """
    views = _checked(daily_views)
    peak_day, _ = _peaks(views)
    days_since_peak = np.arange(1, views.shape[1] + 1) - peak_day[:, None]
    used = ~np.isnan(views) & (days_since_peak >= 0)
    n_since_peak = used.cumsum(axis=1)  # the peak itself is the first of them
    # Whether a view comes on this day or later.
    still_viewed = np.logical_or.accumulate((views > 0)[:, ::-1], axis=1)[:, ::-1]
    used &= still_viewed | (n_since_peak <= MINIMUM_DAYS_AFTER_PEAK + 1)
    rate = -_slopes(days_since_peak, np.log1p(views), used)
    return np.where(used.sum(axis=1) > MINIMUM_DAYS_AFTER_PEAK, rate, np.nan)


def lifecycle_stage(daily_views: npt.ArrayLike) -> np.ndarray:
    """Tell at which stage of its life each video is on its last observed day.

    Args:
        daily_views: (N, D) as in `lifecycle_targets`.

    Returns:
        (N,) strings out of `STAGES`; "" without a peak, or with fewer than `MINIMUM_DAYS_OF_WEEK` known days in
        the last week or in the week before.
    """
    views = _checked(daily_views)
    peak_day, peak_level = _peaks(views)
    last_day = np.where(~np.isnan(views), np.arange(1, views.shape[1] + 1), 0).max(axis=1, initial=0)
    last_week = _days_before(views, last_day, range(WEEK))
    week_before = _days_before(views, last_day, range(WEEK, 2 * WEEK))
    level, level_before = _median(last_week), _median(week_before)
    near_peak = (level >= NEAR_PEAK * peak_level) | (last_day - peak_day < DAYS_OF_FRESH_PEAK)
    rising = level > RISE * level_before
    defined = ~np.isnan(peak_day)
    for week in (last_week, week_before):
        defined &= (~np.isnan(week)).sum(axis=1) >= MINIMUM_DAYS_OF_WEEK
    return np.select([~defined, near_peak & rising, near_peak], ["", "growth", "peak"], default="decay")


def like_ratio(likes: npt.ArrayLike, views: npt.ArrayLike) -> np.ndarray:
    """Divide likes by views.

    Args:
        likes: (N,) likes, NaN where unknown.
        views: (N,) views, NaN where unknown.

    Returns:
        (N,) ratios in [0, 1]; NaN where a count is unknown or negative, where nobody viewed the video, and where
        likes exceed views, which cannot be: cutting such a ratio off at 1 would invent a value.
    """
    likes, views = np.asarray(likes, dtype=np.float64), np.asarray(views, dtype=np.float64)
    possible = (views > 0) & (likes >= 0) & (likes <= views)
    return np.divide(likes, views, out=np.full(likes.shape, np.nan), where=possible)


def _checked(daily_views: npt.ArrayLike) -> np.ndarray:
    views = np.asarray(daily_views, dtype=np.float64)
    if views.ndim != 2 or not views.shape[1]:
        raise ValueError(f"daily views have shape {views.shape}; expected (videos, days), at least one day")
    if (views < 0).any() or np.isinf(views).any():
        raise ValueError("daily views must be finite and not negative")
    return views


def _peaks(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return day and level of the peak of each series, NaN where it has none."""
    known = ~np.isnan(views)
    levels = np.where(known, _levels(views), -np.inf)
    peak_level = levels.max(axis=1)
    candidates = np.where(levels == peak_level[:, None], views, -np.inf)
    day = np.where(known, candidates, -np.inf).argmax(axis=1) + 1.0
    defined = (known.sum(axis=1) >= MINIMUM_OBSERVED_DAYS) & (peak_level > 0)
    return np.where(defined, day, np.nan), np.where(defined, peak_level, np.nan)


def _levels(views: np.ndarray) -> np.ndarray:
    """Return the second largest of each day and its two neighbours, or the only known one."""
    padded = np.pad(views, ((0, 0), (1, 1)), constant_values=np.nan)
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1), axis=-1)  # NaN sorts last
    second_largest = np.maximum((~np.isnan(ordered)).sum(axis=-1, keepdims=True) - 2, 0)
    return np.take_along_axis(ordered, second_largest, axis=-1)[..., 0]


def _median(values: np.ndarray) -> np.ndarray:
    """Median of the known values along the last axis; NaN, without a warning, where there are none."""
    ordered = np.sort(values, axis=-1)  # NaN sorts last
    n_known = (~np.isnan(values)).sum(axis=-1, keepdims=True)
    lower = np.take_along_axis(ordered, np.maximum(n_known - 1, 0) // 2, axis=-1)
    upper = np.take_along_axis(ordered, np.minimum(n_known // 2, values.shape[-1] - 1), axis=-1)
    return ((lower + upper) / 2)[..., 0]


def _days_before(views: np.ndarray, last_day: np.ndarray, offsets: range) -> np.ndarray:
    """Take of each series the days ``last_day - offset``; NaN before day 1."""
    padded = np.pad(views, ((0, 0), (1, 0)), constant_values=np.nan)  # column 0 stands for all days before 1
    columns = np.maximum(last_day[:, None] - np.array(offsets), 0)
    return np.take_along_axis(padded, columns, axis=1)


def _slopes(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Least-squares slope of y by x in each row over the used cells; NaN where fewer than two are used."""
    n = used.sum(axis=1, keepdims=True)
    x, y = np.where(used, x, 0.0), np.where(used, y, 0.0)
    x_centred = np.where(used, x - x.sum(axis=1, keepdims=True) / np.maximum(n, 1), 0.0)
    spread = (x_centred**2).sum(axis=1)
    # The mean of y cancels: the centred x add up to zero.
    return np.divide((x_centred * y).sum(axis=1), spread, out=np.full(len(x), np.nan), where=spread > 0)
