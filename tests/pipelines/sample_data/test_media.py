import io
import os
import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from vidpop_pipelines.pipelines.sample_data.media import (
    CLIP_FRAMES,
    CLIP_SIZE,
    FRAMES_PER_SECOND,
    THUMBNAIL_SIZE,
    draw_frames,
    render_clip,
    render_thumbnail,
)

SEED = 2025
VIDEO = {"category": 7, "hue_shift": 0.01, "look": 0.0, "motion": 0.0}


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)), dtype=float)


def saturation(image: Image.Image) -> float:
    return float(np.asarray(image.convert("HSV"))[..., 1].mean())


def change(video: dict) -> float:
    frames = np.stack([np.asarray(frame.convert("L"), dtype=float) for frame in draw_frames(video, SEED, 0)])
    return float(np.abs(np.diff(frames, axis=0)).mean())


@pytest.mark.parametrize("category", range(15))
def test_thumbnail_is_a_jpeg_that_repeats(category: int) -> None:
    content = render_thumbnail(VIDEO | {"category": category}, SEED, 3)
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size, image.mode) == ("JPEG", THUMBNAIL_SIZE, "RGB")
    assert content == render_thumbnail(VIDEO | {"category": category}, SEED, 3)
    assert content != render_thumbnail(VIDEO | {"category": category}, SEED, 4)
    assert len(content) < 10_000


def test_look_makes_a_thumbnail_colourful_and_rich_in_contrast() -> None:
    dull, fine = (render_thumbnail(VIDEO | {"look": look}, SEED, 0) for look in (-2.0, 2.0))
    assert saturation(Image.open(io.BytesIO(fine))) > 1.5 * saturation(Image.open(io.BytesIO(dull)))
    assert pixels(fine).std() > 1.5 * pixels(dull).std()


def test_category_changes_the_colours() -> None:
    means = [pixels(render_thumbnail(VIDEO | {"category": c}, SEED, 0)).mean(axis=(0, 1)) for c in (2, 7, 12)]
    assert min(np.abs(means[i] - means[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 20


def test_clip_is_an_mp4_that_repeats() -> None:
    content = render_clip(VIDEO, SEED, 3)
    assert content == render_clip(VIDEO, SEED, 3)
    assert content != render_clip(VIDEO, SEED, 4)
    assert len(content) < 15_000
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.average_rate, stream.codec_context.pix_fmt) == (FRAMES_PER_SECOND, "yuv420p")
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == CLIP_FRAMES
    assert decoded[0].shape == (CLIP_SIZE[1], CLIP_SIZE[0], 3)
    drawn = np.stack([np.asarray(frame) for frame in draw_frames(VIDEO, SEED, 3)]).astype(float)
    assert np.abs(np.stack(decoded) - drawn).mean() < 6


def test_clip_does_not_depend_on_what_memory_held_before() -> None:
    script = f"""
import hashlib
from vidpop_pipelines.pipelines.sample_data.media import render_clip
print([hashlib.sha256(render_clip({VIDEO!r}, {SEED}, index)).hexdigest() for index in range(3)])
"""
    # glibc fills new memory with this byte; elsewhere the variable has no effect.
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"MALLOC_PERTURB_": byte},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for byte in ("1", "170")
    }
    assert len(hashes) == 1


def test_motion_makes_a_clip_move_and_cut() -> None:
    still, lively = (change(VIDEO | {"motion": motion}) for motion in (-2.0, 2.0))
    assert lively > 3 * still > 0
