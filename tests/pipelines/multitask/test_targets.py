"""Targets in link units, and which of them a table carries."""

import numpy as np
import pytest
from tabular_videos import make_videos

from vidpop_pipelines.pipelines.multitask.targets import (
    TARGETS,
    columns_of,
    derive_targets,
    mask_targets,
    to_natural_units,
    unknown_targets,
)

ALL_ROWS = np.arange(40)
DAYS = [f"views_day_{day}" for day in range(1, 15)]


def test_targets_of_a_hand_made_video():
    videos = make_videos(40, n_days=14)
    videos.loc[0, ["views", "likes"]] = [99.0, 9.9]
    videos.loc[0, DAYS] = 8e5 * np.exp(-0.5 * np.arange(14))
    targets = derive_targets(videos).iloc[0]
    assert targets["views"] == pytest.approx(np.log(100))
    assert targets["like_ratio"] == pytest.approx(0.1)
    assert targets["lifecycle_stage"] == 2.0  # decay
    assert targets["time_to_peak_days"] == pytest.approx(0.0)  # log of day 1
    assert targets["decay_rate"] == pytest.approx(0.5, abs=0.001)


def test_natural_units_undo_link_units_and_keep_to_what_is_possible():
    assert to_natural_units("views", np.log1p([0.0, 99.0])) == pytest.approx([0, 99])
    assert to_natural_units("views", np.array([-1.0])) == pytest.approx([0])
    assert to_natural_units("like_ratio", np.array([-0.2, 0.5, 1.2])) == pytest.approx([0, 0.5, 1])
    assert to_natural_units("time_to_peak_days", np.log([0.5, 7.0])) == pytest.approx([1, 7])
    assert to_natural_units("decay_rate", np.array([-0.1])) == pytest.approx([-0.1])
    assert columns_of("lifecycle_stage") == [
        f"lifecycle_stage={name}" for name in ("growth", "peak", "decay")
    ]


def test_a_table_with_everything_masks_nothing():
    videos = make_videos(40, n_days=14)
    targets = derive_targets(videos)
    assert mask_targets(videos, targets, ALL_ROWS) == {}


def test_targets_without_their_columns_are_masked():
    videos = make_videos(40)
    masked = mask_targets(videos, derive_targets(videos), ALL_ROWS)
    assert masked == {"like_ratio": "the table has no likes"} | dict.fromkeys(
        TARGETS[2:], "the table has no daily views"
    )


def test_targets_that_too_few_training_videos_know_are_masked():
    """The rows that are trained on count: what only the others know can't be learned."""
    videos = make_videos(40, n_days=14)
    videos.loc[:24, "likes"] = np.nan
    videos[DAYS] = 8e5 * np.exp(-0.5 * np.arange(14))
    masked = mask_targets(videos, derive_targets(videos), ALL_ROWS[:30])
    assert masked["like_ratio"] == "known for 5 of the videos to train on; 20 are needed"
    assert masked["lifecycle_stage"] == "all videos to train on are in the stage 'decay'"


def test_videos_without_a_life_cycle_are_listed():
    videos = make_videos(40, n_days=14)
    videos.loc[7, DAYS] = 0.0
    unknown = unknown_targets(videos, derive_targets(videos))
    assert unknown["video_id"].tolist() == ["v0007"] * 3
    assert set(unknown["column"]) == set(TARGETS[2:])
