"""Simple statistics of frames and files: what the gradient-boosted baseline knows of a video."""

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.short_video.frames import Frames

# Statistics need no detail: pictures are reduced to about this side before anything is computed.
_SIDE = 56
# Two neighbouring frames whose histograms share less than half of their pixels belong to different shots.
_CUT = 0.5
_BINS = 4  # per colour, 64 in total


def frame_statistics(frames: Frames) -> pd.DataFrame:
    """Describes each video by itself, from its sampled frames and its file; nothing is fitted.

    Colours are 0..1. A video with one frame has no motion and no cuts.

    Args:
        frames: Frames of N videos; read one video at a time.

    Returns:
        N rows, float64, finite:

        - light and colour, means over frames: `brightness`, `contrast` (standard deviation of the lightness of a
          frame), `saturation`, `colourfulness` (Hasler and Suesstrunk 2003), `sharpness` (mean gradient);
          `brightness_change` (standard deviation over frames); `first_brightness` (of what a viewer sees first);
        - movement between neighbouring sampled frames: `motion`, `largest_motion` (absolute difference of lightness),
          `cuts` (number of pairs with different histograms), `cut_share` (share of the pairs), `histogram_change`;
        - file: `duration`, `frame_rate`, `n_frames`, `file_size`, `bit_rate` (of the pictures, per second),
          `bits_per_pixel`, `sound_share` (bytes that are not pictures), `width`, `height`, `aspect`,
          `keyframe_rate` (per second; encoders begin a new shot with one), `keyframe_share` (of the pictures' bytes;
          low where much moves).
    """
    rows = [
        _describe_pixels(frames.read(np.array([number]))[0, :count])
        for number, count in enumerate(frames.counts.tolist())
    ]
    return pd.concat([pd.DataFrame(rows), _describe_files(frames.info)], axis="columns").astype(np.float64)


def _describe_pixels(pixels: np.ndarray) -> dict[str, float]:
    """Describes (n, side, side, 3) uint8."""
    step = max(1, pixels.shape[1] // _SIDE)
    small = pixels[:, ::step, ::step]
    colours = small.astype(np.float32) / 255
    red, green, blue = np.moveaxis(colours, -1, 0)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    strongest = colours.max(axis=-1)
    saturation = (strongest - colours.min(axis=-1)) / np.maximum(strongest, 1e-6)
    down, right = np.gradient(light, axis=(1, 2))
    moved = np.abs(np.diff(light, axis=0)).mean(axis=(1, 2))
    changed = _histogram_changes(small)
    brightness = light.mean(axis=(1, 2))
    return {
        "brightness": brightness.mean(),
        "contrast": light.std(axis=(1, 2)).mean(),
        "saturation": saturation.mean(),
        "colourfulness": _colourfulness(red - green, (red + green) / 2 - blue),
        "sharpness": np.hypot(down, right).mean(),
        "brightness_change": brightness.std(),
        "first_brightness": brightness[0],
        "motion": moved.mean() if len(moved) else 0.0,
        "largest_motion": moved.max(initial=0.0),
        "cuts": (changed > _CUT).sum(),
        "cut_share": (changed > _CUT).mean() if len(changed) else 0.0,
        "histogram_change": changed.mean() if len(changed) else 0.0,
    }


def _histogram_changes(pixels: np.ndarray) -> np.ndarray:
    """Returns (n - 1,) the share of pixels whose colour has no counterpart in the next frame: 0 alike, 1 none."""
    levels = (pixels // (256 // _BINS)).astype(np.int64)
    bins = (levels[..., 0] * _BINS + levels[..., 1]) * _BINS + levels[..., 2]
    histograms = np.stack([np.bincount(frame.ravel(), minlength=_BINS**3) for frame in bins])
    return np.abs(np.diff(histograms, axis=0)).sum(axis=1) / (2 * bins[0].size)


def _colourfulness(red_green: np.ndarray, yellow_blue: np.ndarray) -> float:
    spread = np.hypot(red_green.std(axis=(1, 2)), yellow_blue.std(axis=(1, 2)))
    offset = np.hypot(red_green.mean(axis=(1, 2)), yellow_blue.mean(axis=(1, 2)))
    return (spread + 0.3 * offset).mean()


def _describe_files(info: pd.DataFrame) -> pd.DataFrame:
    bits = 8 * info["video_bytes"]
    kept = ["duration", "frame_rate", "n_frames", "file_size", "width", "height"]
    return info[kept].assign(
        bit_rate=bits / info["duration"],
        bits_per_pixel=bits / (info["width"] * info["height"] * info["n_frames"]),
        sound_share=1 - info["video_bytes"] / info["file_size"],
        aspect=info["width"] / info["height"],
        keyframe_rate=info["n_keyframes"] / info["duration"],
        keyframe_share=info["keyframe_bytes"] / info["video_bytes"],
    )
