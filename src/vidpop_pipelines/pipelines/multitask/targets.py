"""The five targets: how they follow from a table, in which units they are learned, and which ones it carries.

Every target is learned, and forecast inside this family, on a scale of its own ("link units"):

| target | link units | what the network's output becomes |
|---|---|---|
| `views` | log(1 + views) | trend + output |
| `like_ratio` | the ratio itself | logistic function of the output, hence in (0, 1) |
| `lifecycle_stage` | 0, 1, 2: number of the stage | probabilities, softmax of three outputs |
| `time_to_peak_days` | log(days) | exp of the output, hence positive days |
| `decay_rate` | per day | output |
"""

import numpy as np
import pandas as pd

from vidpop_pipelines.evaluation.data_report import list_problems
from vidpop_pipelines.features.lifecycle import STAGES, lifecycle_targets, like_ratio
from vidpop_pipelines.pipelines.tabular.table import daily_columns

VIEWS, LIKE_RATIO, STAGE = "views", "like_ratio", "lifecycle_stage"
TIME_TO_PEAK, DECAY_RATE = "time_to_peak_days", "decay_rate"
TARGETS = (VIEWS, LIKE_RATIO, STAGE, TIME_TO_PEAK, DECAY_RATE)

# Smallest and largest possible value in link units; the first day is log(1).
LIMITS = {
    VIEWS: (0.0, np.inf),
    LIKE_RATIO: (0.0, 1.0),
    TIME_TO_PEAK: (0.0, np.inf),
    DECAY_RATE: (-np.inf, np.inf),
}
# Fewer training videos that know a target teach a head nothing but their noise.
FEWEST_KNOWN = 20


def derive_targets(videos: pd.DataFrame) -> pd.DataFrame:
    """Derives the targets of N validated videos.

    Returns:
        (N, 5) float64 in link units, columns `TARGETS`, the index of `videos`; NaN where a target is unknown.
    """
    days = daily_columns(videos)
    targets = pd.DataFrame(np.nan, index=videos.index, columns=list(TARGETS))
    targets[VIEWS] = np.log1p(videos["views"].to_numpy(np.float64))
    targets[LIKE_RATIO] = like_ratio(videos["likes"], videos["views"])
    if days:
        life = lifecycle_targets(videos[days])
        number = {name: float(position) for position, name in enumerate(STAGES)}
        targets[STAGE] = life["lifecycle_stage"].map(number).to_numpy(np.float64)
        targets[TIME_TO_PEAK] = np.log(life["time_to_peak_days"].to_numpy(np.float64))
        targets[DECAY_RATE] = life["decay_rate"].to_numpy(np.float64)
    return targets


def to_natural_units(target: str, values: np.ndarray) -> np.ndarray:
    """Turns link units into views, ratios, days or a rate per day, cut to what is possible."""
    values = np.clip(np.asarray(values, np.float64), *LIMITS[target])
    if target == VIEWS:
        return np.expm1(values)
    return np.exp(values) if target == TIME_TO_PEAK else values


def columns_of(target: str) -> list[str]:
    """Returns the names of a target in the predictions table: one, but for the stage one for each class."""
    return [f"{STAGE}={stage}" for stage in STAGES] if target == STAGE else [target]


def mask_targets(videos: pd.DataFrame, targets: pd.DataFrame, rows: np.ndarray) -> dict[str, str]:
    """Tells which targets cannot be learned, and why.

    Args:
        videos: Validated videos.
        targets: Their targets.
        rows: Numbers of the rows that are trained on.

    Returns:
        Target to reason.
    """
    sources = {LIKE_RATIO: (["likes"], "likes")}
    sources |= dict.fromkeys((STAGE, TIME_TO_PEAK, DECAY_RATE), (daily_columns(videos), "daily views"))
    masked = {}
    for name in TARGETS:
        known = targets[name].iloc[rows].dropna()
        columns, what = sources.get(name, (["views"], "views"))
        if not columns or videos[columns].isna().all(axis=None):
            masked[name] = f"the table has no {what}"
        elif len(known) < FEWEST_KNOWN:
            masked[name] = f"known for {len(known)} of the videos to train on; {FEWEST_KNOWN} are needed"
        elif name == STAGE and known.nunique() == 1:
            masked[name] = f"all videos to train on are in the stage '{STAGES[int(known.iloc[0])]}'"
    return masked


def unknown_targets(videos: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    """Lists the videos that do not know a target which the table carries; see `list_problems`.

    A missing or impossible count of likes is a problem of the table already.
    """
    problems = [list_problems(videos["video_id"].iloc[:0], "", "")]
    for name in (STAGE, TIME_TO_PEAK, DECAY_RATE):
        if name in targets:
            ids = videos["video_id"][targets[name].isna().to_numpy()]
            problems.append(list_problems(ids, name, "does not follow from the daily views"))
    return pd.concat(problems, ignore_index=True)
