"""Small clips made in memory, with a pattern that tiny backbones can learn, and options to train them."""

import numpy as np
import pandas as pd

from vidpop_pipelines.features.video import Clip, FrameOptions, VideoInfo
from vidpop_pipelines.pipelines.short_video.frames import Frames
from vidpop_pipelines.pipelines.short_video.parameters import (
    BackboneOptions,
    ShortVideoInstance,
    ShortVideoParameters,
)

SIZE, N_FRAMES = 32, 4
ARCHITECTURES = ("timesformer", "smolvlm2")

_TARGET_MODULES = {
    "timesformer": ["qkv", "dense", "temporal_dense"],
    "smolvlm2": "q_proj+k_proj+v_proj+o_proj+out_proj+gate_proj+up_proj+down_proj",
}


def make_clip(warm: bool, n_frames: int = N_FRAMES, seed: int = 0) -> Clip:
    """Returns a noisy clip that is reddish if warm, bluish if not."""
    rng = np.random.default_rng(seed)
    colour = np.array([150, 110, 90] if warm else [90, 110, 150])
    frames = np.clip(colour + rng.normal(0, 40, (n_frames, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    info = VideoInfo(
        duration=n_frames / 2,
        frame_rate=24.0,
        width=SIZE,
        height=SIZE,
        rotation=0,
        n_frames=12 * n_frames,
        file_size=5000,
        video_bytes=4000,
        n_keyframes=1,
        keyframe_bytes=1000,
    )
    return Clip(frames=frames, timestamps=np.arange(n_frames) / 2, info=info)


def make_frames(labels: np.ndarray, counts: np.ndarray | None = None) -> Frames:
    """Returns one clip per label, warm for 1; `counts` are their numbers of frames."""
    counts = np.full(len(labels), N_FRAMES) if counts is None else counts
    clips = [
        make_clip(bool(label), int(count), seed)
        for seed, (label, count) in enumerate(zip(labels, counts, strict=True))
    ]
    return Frames.from_clips(clips, N_FRAMES)


def make_labels(n_videos: int) -> pd.DataFrame:
    """Returns labels 0 and 1 in turn, of which a quarter each has one of the four roles."""
    rows = np.arange(n_videos)
    label = (rows % 2).astype(float)
    table = pd.DataFrame(
        {"video_id": [f"v{row}" for row in rows], "label": label, "metric": label + rows / 1000}
    )
    for number, role in enumerate(("train", "validation", "calibration", "test")):
        table[role] = rows // 2 % 4 == number
    return table


def frame_options(architecture: str) -> FrameOptions:
    return FrameOptions(
        n_frames=N_FRAMES, size=SIZE, fit="crop" if architecture == "timesformer" else "squash", min_frames=2
    )


def backbone_options(architecture: str, **changes) -> BackboneOptions:
    values = {
        "model": "tiny",
        "prompt": "Is this popular?" if architecture == "smolvlm2" else None,
        "lora": {"rank": 8, "alpha": 16, "target_modules": _TARGET_MODULES[architecture]},
    }
    return BackboneOptions(**values | changes)


def make_instance(architecture: str, **training) -> ShortVideoInstance:
    settings = {
        "epochs": 3,
        "batch_size": 8,
        "optimizer": "paged_adamw_8bit",
        "learning_rate": 0.01,
        "scheduler": "cosine",
        "precision": "fp32",
        "n_threads": 1,
    }
    return ShortVideoInstance(
        architecture=architecture,
        backbone=backbone_options(architecture),
        frames=frame_options(architecture),
        training=settings | training,
    )


def make_parameters(**changes) -> ShortVideoParameters:
    return ShortVideoParameters(**{"csv": "unused", "videos": "unused"} | changes)
