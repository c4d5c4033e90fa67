"""What is missing or broken in the sample, as it would be in crawled data.

The universe itself is complete; the tables and files that are made of it have these holes.
"""

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.universe import stream

# One video in so many, at a random place among them.
PERIODS = {
    "missing_cover": 50,
    "empty_title": 80,
    "empty_keywords": 40,
    "empty_description": 40,
    "empty_category": 25,
    "empty_number": 25,
    "missing_first_day": 80,
    "missing_last_days": 50,
    "missing_middle_days": 20,
    "disabled_likes": 80,
    "disabled_comments": 50,
    "missing_daily_views": 80,
}

# Exactly one video each, by row number; a sample has at least ten rows.
SINGLES = {"corrupt_cover": 3, "missing_clip": 5, "corrupt_clip": 7, "unknown_category": 9}

# A category that YouTube has used, outside the fifteen.
UNKNOWN_CATEGORY = "Shows"

# Columns 10-14 of the SMTPD layout; `empty_number` blanks one of them.
N_NUMBERS = 5


def draw_dirt(params: SampleDataParameters) -> pd.DataFrame:
    """Draws which video has which defect.

    Args:
        params: Size and seed of the sample.

    Returns:
        One row per video and one boolean column per defect, except ``number`` (int): which of the five
        numbers is empty, -1 for none.
    """
    dirt = {name: _one_in(period, name, params) for name, period in PERIODS.items()}
    dirt |= {name: np.arange(params.videos) == row for name, row in SINGLES.items()}
    dirt["missing_cover"] &= ~dirt["corrupt_cover"]
    dirt["empty_category"] &= ~dirt["unknown_category"]
    number = stream(params.seed, "dirt.number").integers(0, N_NUMBERS, size=params.videos)
    dirt["number"] = np.where(dirt.pop("empty_number"), number, -1)
    return pd.DataFrame(dirt)


def _one_in(period: int, name: str, params: SampleDataParameters) -> np.ndarray:
    n_blocks = -(-params.videos // period)
    place = stream(params.seed, f"dirt.{name}").integers(0, period, size=n_blocks)
    mask = np.zeros(n_blocks * period, dtype=bool)
    mask[np.arange(n_blocks) * period + place] = True
    return mask[: params.videos]


def draw_missing_days(dirt: pd.DataFrame, params: SampleDataParameters) -> np.ndarray:
    """Draws the days on which the crawler did not see a video; never all days of a video.

    Args:
        dirt: Defects as drawn by `draw_dirt`.
        params: Seed of the sample and number of days.

    Returns:
        Boolean array of shape (videos, days), True where the popularity is missing.
    """
    uniform = stream(params.seed, "dirt.days").random((len(dirt), 2))
    longest = max(1, params.days // 6)
    length = 1 + np.floor(longest * uniform[:, 0])
    start = np.floor((params.days - length) * uniform[:, 1])
    day = np.arange(params.days)
    first = dirt.missing_first_day.to_numpy()
    last = dirt.missing_last_days.to_numpy() & ~first
    middle = dirt.missing_middle_days.to_numpy() & ~first & ~last
    missing = first[:, None] & (day == 0)
    missing |= last[:, None] & (day >= (params.days - length)[:, None])
    missing |= middle[:, None] & (day >= start[:, None]) & (day < (start + length)[:, None])
    return missing
