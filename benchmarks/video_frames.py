"""How fast frames are sampled from videos, and how fast an epoch reads them, against decoding.

Sampling eight frames is compared with decoding the whole file, in three ways that differ in what becomes of a
picture that is not wanted:

- squares: every frame is decoded, resized and converted as the wanted ones are, and eight are kept;
- arrays: every frame is decoded and converted to RGB in its own size, as `torchvision.io.read_video` did;
- decoding: every frame is decoded and dropped; eight are resized and converted.

The sampled frames must be those of the whole file, bit by bit, with the same times. What can be saved depends on
the keyframes: without one between the beginning and the last wanted frame, all pictures before it that others refer to
must be decoded. An epoch that reads the cache is compared with one that samples from the files, which is already
the fast way. One thread throughout, processor time, the best of several turns; the turns of all alternate, so that
a machine that slows down slows down all.

    python benchmarks/video_frames.py [--videos FOLDER] [--turns 3]

Without a folder, it writes clips of the size and length of Shorts: moving pictures, keyframes where the encoder's
defaults put them.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).parents[1]
SIZE, FRAMES_PER_SECOND = (480, 854), 30
SECONDS = (20, 40, 60)
BATCH_SIZE = 8
SAMPLING_GOAL, EPOCH_GOAL = 3, 20


def write_clips(folder: Path) -> None:
    """Writes clips of textures that move across each other, cut every few seconds."""
    import av

    width, height = SIZE
    for number, seconds in enumerate(SECONDS):
        rng = np.random.default_rng(number)
        with av.open(str(folder / f"{seconds}_seconds.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            texture = None
            for frame in range(seconds * FRAMES_PER_SECOND):
                if texture is None or rng.random() < 1 / (5 * FRAMES_PER_SECOND):
                    texture, speed = _texture(rng), rng.integers(-4, 5, 2)
                start_y, start_x = (np.abs(frame * speed) % (height, width)).tolist()
                picture = texture[start_y : start_y + height, start_x : start_x + width]
                container.mux(
                    stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
                )
            container.mux(stream.encode(None))


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Returns (2 height, 2 width, 3) uint8: large and small structures and some grain."""
    from PIL import Image

    width, height = SIZE
    layers = []
    for cells, strength in ((6, 0.6), (60, 0.3)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        layers.append(strength * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)))
    tile = sum(layers) + rng.normal(0, 4, (height, width, 1))
    return np.tile(tile.clip(0, 255).astype(np.uint8), (2, 2, 1))


def decode_whole(path: Path, convert: Callable | None) -> dict[int, np.ndarray | None]:
    """Decodes every frame on one thread; returns them by their time stamps."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return {frame.pts: convert(frame) if convert else None for frame in container.decode(stream)}


def race(path: Path, turns: int) -> dict:
    """Times the ways to get the frames of one file, and compares what they get."""
    import av

    from vidpop_pipelines.features.video import FrameOptions, _Square, read_clip

    options = FrameOptions()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        time_base, aspect = float(stream.time_base), stream.sample_aspect_ratio
    reformatter = av.video.reformatter.VideoReformatter()

    def to_array(frame: av.VideoFrame) -> np.ndarray:
        return reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()

    clip = read_clip(path, options)
    wanted = set(np.rint(clip.timestamps / time_base).astype(int).tolist())

    def decode_only() -> list[np.ndarray]:
        square, first, kept = _Square(options, aspect), [], []

        def keep(frame: av.VideoFrame) -> None:
            first.append(frame.pts)
            if frame.pts - first[0] in wanted:
                kept.append(square(frame))

        decode_whole(path, keep)
        return kept

    ways = {
        "sampling": lambda: read_clip(path, options),
        "squares": lambda: decode_whole(path, _Square(options, aspect)),
        "arrays": lambda: decode_whole(path, to_array),
        "decoding": decode_only,
    }
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - start)

    every = ways["squares"]()
    times = np.array(sorted(every))
    numbers = [int(np.argmin(np.abs((times - times[0]) * time_base - moment))) for moment in clip.timestamps]
    errors = np.abs((times[numbers] - times[0]) * time_base - clip.timestamps) * clip.info.frame_rate
    middles = (np.arange(options.n_frames) + 0.5) * clip.info.duration / options.n_frames
    offsets = np.abs(clip.timestamps - middles) * clip.info.frame_rate
    return {
        "seconds": seconds,
        "frames": len(every),
        "keyframes": clip.info.n_keyframes,
        "duration": clip.info.duration,
        "same_frames": bool(
            all((every[times[n]] == frame).all() for n, frame in zip(numbers, clip.frames, strict=True))
        ),
        "largest_time_error_frames": float(errors.max()),
        "largest_distance_to_middle_frames": float(offsets.max()),
    }


def time_epochs(paths: list[Path], turns: int) -> dict:
    """Times an epoch that reads the cache in random order, one that samples from the files, and filling the cache."""
    import pandas as pd

    from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
    from vidpop_pipelines.features.video import FrameOptions, read_clip
    from vidpop_pipelines.parameters import ComputeOptions
    from vidpop_pipelines.pipelines.short_video.frames import decode_frames
    from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

    options = FrameOptions()
    parameters = ShortVideoParameters(csv="", videos="", max_broken_share=1)
    videos = pd.DataFrame({"video_id": [path.name for path in paths], "path": [str(path) for path in paths]})
    with TemporaryDirectory() as folder:
        cache, instance = EmbeddingStore(Path(folder)), SimpleNamespace(frames=options)
        arguments = (videos, cache, instance, parameters, ComputeOptions())
        start = time.perf_counter()
        usable, frames, _ = decode_frames(*arguments)
        filling = time.perf_counter() - start
        start = time.perf_counter()
        decode_frames(*arguments)
        second = time.perf_counter() - start
        seconds = {"cached epoch": float("inf"), "decoding epoch": float("inf")}
        for turn in range(turns):
            order = np.random.default_rng(turn).permutation(len(frames))
            start = time.process_time()
            for first in range(0, len(order), BATCH_SIZE):
                frames.read(order[first : first + BATCH_SIZE])
            seconds["cached epoch"] = min(seconds["cached epoch"], time.process_time() - start)
            start = time.process_time()
            for number in order:
                read_clip(Path(usable["path"][number]), options)
            seconds["decoding epoch"] = min(seconds["decoding epoch"], time.process_time() - start)
    return {
        "videos": len(frames),
        "seconds": seconds,
        "filling_the_cache_seconds": filling,
        "second_run_seconds": second,
        "ratio": seconds["decoding epoch"] / seconds["cached epoch"],
    }


def print_table(results: dict) -> None:
    ways = ("sampling", "squares", "arrays", "decoding")
    print(f"\nprocessor seconds, one thread{'':14}" + "".join(f"{name:>10}" for name in ways))
    for number, clip in enumerate(results["clips"]):
        of = f"{clip['duration']:5.1f} s, {clip['frames']:4} frames, {clip['keyframes']:2} keyframes"
        print(f"{number:3} {of:38}" + "".join(f"{clip['seconds'][name]:10.3f}" for name in ways))
    for name, ratio in results["ratios"].items():
        goal = ""
        if name == "squares":
            goal = f"; goal {SAMPLING_GOAL}: {'reached' if ratio >= SAMPLING_GOAL else 'MISSED'}"
        print(f"sampling against {name}: {ratio:.2f} times faster{goal}")
    same = all(clip["same_frames"] for clip in results["clips"])
    error = max(clip["largest_time_error_frames"] for clip in results["clips"])
    offset = max(clip["largest_distance_to_middle_frames"] for clip in results["clips"])
    print(
        f"frames {'equal' if same else 'DIFFER FROM'} those of a full decode; times differ by {error:.3f} frames",
        end="",
    )
    print(f", and are at most {offset:.2f} frames from the middles of equal parts")
    epochs = results["epochs"]
    ratio = epochs["ratio"]
    print(
        f"epoch of {epochs['videos']} videos: cached {epochs['seconds']['cached epoch']:.4f} s, sampled from files"
        f" {epochs['seconds']['decoding epoch']:.3f} s, {ratio:.0f} times faster; goal {EPOCH_GOAL}:"
        f" {'reached' if ratio >= EPOCH_GOAL else 'MISSED'}"
    )
    print(
        f"filling the cache {epochs['filling_the_cache_seconds']:.2f} s on {os.cpu_count()} cores,"
        f" second run {epochs['second_run_seconds']:.3f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=Path, help="a folder of videos; default: clips are made")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = given.videos or Path(name)
        if not given.videos:
            write_clips(folder)
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        clips = [race(path, given.turns) for path in paths]
        epochs = time_epochs(paths, given.turns)
    totals = {name: sum(clip["seconds"][name] for clip in clips) for name in clips[0]["seconds"]}
    ratios = {name: total / totals["sampling"] for name, total in totals.items() if name != "sampling"}
    results = {"clips": clips, "ratios": ratios, "epochs": epochs}
    print_table(results)
    path = ROOT / "benchmarks" / "results" / f"video_frames{'_given' if given.videos else ''}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
