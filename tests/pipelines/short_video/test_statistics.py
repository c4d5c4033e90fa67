import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidpop_pipelines.features.video import Clip, VideoInfo
from vidpop_pipelines.pipelines.short_video.frames import Frames
from vidpop_pipelines.pipelines.short_video.statistics import frame_statistics

INFO = VideoInfo(
    duration=4.0,
    frame_rate=25.0,
    width=90,
    height=160,
    rotation=0,
    n_frames=100,
    file_size=12_000,
    video_bytes=9_000,
    n_keyframes=2,
    keyframe_bytes=3_000,
)
GREY, RED, WHITE = (128, 128, 128), (255, 0, 0), (255, 255, 255)


def plain(*colours) -> Clip:
    """A clip whose frames are of one colour each."""
    pixels = np.array(colours, np.uint8)[:, None, None] * np.ones((1, 32, 32, 1), np.uint8)
    return Clip(pixels, np.arange(len(colours), dtype=float), INFO)


def describe(*clips: Clip):
    return frame_statistics(Frames.from_clips(clips, n_frames=4))


def test_plain_colours_by_hand():
    table = describe(plain(GREY, GREY, RED, RED))
    row = table.iloc[0]
    grey, red = 128 / 255, 0.299
    assert row["brightness"] == pytest.approx((grey + red) / 2, abs=1e-5)
    assert row["brightness_change"] == pytest.approx((grey - red) / 2, abs=1e-5)
    assert row["first_brightness"] == pytest.approx(grey, abs=1e-5)
    assert row["saturation"] == pytest.approx(0.5, abs=1e-5)
    assert row["colourfulness"] == pytest.approx(0.3 * np.hypot(1, 0.5) / 2, abs=1e-5)
    assert row["motion"] == pytest.approx((grey - red) / 3, abs=1e-5)
    assert row["largest_motion"] == pytest.approx(grey - red, abs=1e-5)
    assert row[["cuts", "cut_share", "histogram_change"]].tolist() == pytest.approx([1, 1 / 3, 1 / 3])
    assert row[["contrast", "sharpness"]].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_the_file_by_hand():
    row = describe(plain(GREY)).iloc[0]
    assert row["bit_rate"] == 18_000
    assert row["bits_per_pixel"] == pytest.approx(72_000 / (90 * 160 * 100))
    assert row["sound_share"] == 0.25
    assert row["aspect"] == 0.5625
    assert row["keyframe_rate"] == 0.5
    assert row["keyframe_share"] == pytest.approx(1 / 3)
    assert row[["duration", "frame_rate", "n_frames"]].tolist() == [4, 25, 100]


def test_an_edge_makes_contrast_and_sharpness():
    clip = plain(GREY)
    clip.frames[:, :, :16] = 0
    clip.frames[:, :, 16:] = 255
    row = describe(clip).iloc[0]
    assert row["contrast"] == pytest.approx(0.5, abs=1e-5)
    assert row["sharpness"] == pytest.approx(0.5 * 2 / 32, abs=1e-5)


def test_repeated_frames_of_a_short_video_do_not_count():
    clip = plain(GREY, WHITE)
    short, whole = describe(clip), describe(clip, plain(GREY, WHITE, WHITE, WHITE))
    assert short.iloc[0].equals(whole.iloc[0])
    assert short["motion"][0] == pytest.approx(127 / 255, abs=1e-5)
    assert whole["motion"][1] == pytest.approx(127 / 255 / 3, abs=1e-5)
    assert describe(plain(RED))[["motion", "largest_motion", "cuts"]].to_numpy().tolist() == [[0, 0, 0]]


@settings(max_examples=20)
@given(st.lists(arrays(np.uint8, (3, 16, 16, 3)), min_size=1, max_size=3), st.randoms())
def test_a_video_is_described_by_itself(pixels, random):
    clips = [Clip(item, np.arange(3.0), INFO) for item in pixels]
    together = describe(*clips)
    assert np.isfinite(together.to_numpy()).all()
    order = list(range(len(clips)))
    random.shuffle(order)
    shuffled = describe(*(clips[number] for number in order))
    np.testing.assert_array_equal(shuffled.to_numpy(), together.to_numpy()[order])
