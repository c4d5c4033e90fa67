"""The frames of all videos, decoded once into a memory-mapped cache, so that no epoch decodes."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from vidpop_pipelines.datasets.embedding_store import KEY_DTYPE, EmbeddingStore, RowTable
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.data_report import list_problems
from vidpop_pipelines.features.encoding import Unusable, encode_unique, in_threads, unreadable_now
from vidpop_pipelines.features.video import Clip, FrameOptions, VideoInfo, read_clip, too_short
from vidpop_pipelines.fingerprint import hash_arrays, hash_large_file
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters

_PATH_COLUMN = "video_path"
# Decoded videos that wait for their turn, and how much is written to disk at once: both bound the memory.
_AHEAD = 8
_BATCH_BYTES = 2**24


class HasFrames(Protocol):
    """Parameters or a trained classifier: whoever says which frames a network sees."""

    frames: FrameOptions


@dataclass(frozen=True)
class Frames:
    """Frames of N videos.

    Attributes:
        pixels: (M, n_frames, size, size, 3) uint8 RGB, memory-mapped read-only, one row per different file. A video of
            fewer than n_frames frames repeats its last one, which nothing should look at.
        rows: (N,) int64 into `pixels`.
        counts: (N,) int64, frames that each video has.
        timestamps: (N, n_frames) float32, seconds from the first frame of the video; NaN where it has no frame.
        info: N rows with the columns of `VideoInfo`, float64.
        digests: (N,) of the files' contents and the options, `KEY_DTYPE`.
    """

    pixels: np.ndarray
    rows: np.ndarray
    counts: np.ndarray
    timestamps: np.ndarray
    info: pd.DataFrame
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __deepcopy__(self, memo: dict) -> "Frames":
        # Kedro deep-copies what passes between nodes, which would read the memory map into memory.
        return self

    @property
    def durations(self) -> np.ndarray:
        """Returns (N,) seconds, float32."""
        return self.info["duration"].to_numpy(np.float32)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Reads the frames of some videos.

        Args:
            rows: (B,) numbers of videos, 0..N-1.

        Returns:
            (B, n_frames, size, size, 3) uint8, a copy.
        """
        return np.asarray(self.pixels[self.rows[rows]])

    def fingerprint(self) -> str:
        """Returns a digest of all content; nothing is read, since the key of a row stands for it."""
        return hash_arrays([self.digests.view(np.uint8)])

    @classmethod
    def from_records(cls, records: np.ndarray, rows: np.ndarray, digests: np.ndarray) -> "Frames":
        """Assembles the frames of N videos.

        Args:
            records: (M,) of `record_dtype`.
            rows: (N,) int64 into `records`.
            digests: (N,) what stands for their content.
        """
        counts = records["count"][rows].astype(np.int64)
        timestamps = records["timestamps"][rows].astype(np.float32)
        timestamps[np.arange(timestamps.shape[1]) >= counts[:, None]] = np.nan
        info = pd.DataFrame({name: records[name][rows].astype(np.float64) for name in VideoInfo._fields})
        return cls(records["pixels"], rows, counts, timestamps, info, digests)

    @classmethod
    def from_clips(cls, clips: Sequence[Clip], n_frames: int) -> "Frames":
        """Keeps clips in memory, for a handful of videos that are asked about.

        Args:
            clips: N clips of frames of the same size.
            n_frames: Frames per video; no clip has more.
        """
        size = clips[0].frames.shape[1]
        records = make_records(clips, record_dtype(FrameOptions(n_frames=n_frames, size=size)))
        digests = [hashlib.sha256(record.tobytes()).digest() for record in records]
        return cls.from_records(records, np.arange(len(clips)), np.array(digests, KEY_DTYPE))


def decode_frames(
    videos: pd.DataFrame,
    cache: EmbeddingStore,
    options: HasFrames,
    parameters: ShortVideoParameters,
    compute: ComputeOptions,
) -> tuple[pd.DataFrame, Frames, pd.DataFrame]:
    """Decodes each video once over all runs, and leaves out those without usable frames.

    Files are told apart by their content (`hash_large_file` reads at most 4 MiB of each), so a file that was moved
    or renamed is not decoded again, and one that was replaced is. Several are decoded at once, in threads: FFmpeg
    works without the interpreter. Every 16 MiB are on disk before the next, so a killed run goes on where it was.

    Args:
        videos: Validated videos; `video_id` and `path` are used.
        cache: Where decoded frames are kept; one table for each choice of options.
        options: Which frames.
        parameters: `max_broken_share` is used.
        compute: Where videos are decoded: on a dask cluster, else in this process.

    Returns:
        The videos with frames, in their order with index 0..N-1; their frames; and the problems of the others.

    Raises:
        InputError: If too large a share is missing, broken or too short, or if a file changes while it is read or is
            not there for a dask worker.
    """
    reader, paths = _ClipReader(options.frames), [Path(path) for path in videos["path"]]
    inspected = in_threads(reader.inspect, paths, ahead=_AHEAD)
    files = list(tqdm(inspected, "Reading videos", total=len(paths), unit="file", mininterval=1))
    reasons = [file.problem for file in files]
    _check_share(videos, reasons, parameters)  # a wrong folder shows before anything is decoded
    readable = [number for number, file in enumerate(files) if file.key]
    keys = np.array([files[number].key for number in readable], dtype=KEY_DTYPE)
    tables = _ClipTables(cache.folder)
    batch_size = max(1, _BATCH_BYTES // reader.record.itemsize)
    found, broken = encode_unique(
        keys,
        [(paths[number], files[number].key) for number in readable],
        _read_clips,
        reader,
        tables,
        batch_size=batch_size,
        description="videos",
        compute=compute,
    )
    records = tables.table(reader).vectors()
    for number, row in zip(readable, found, strict=True):
        # Asked of all, because an earlier run may have called a stored one long enough.
        reasons[number] = broken[files[number].key] if row < 0 else _refuse(records[row], options.frames)
    _check_share(videos, reasons, parameters)
    usable = np.array([not reason for reason in reasons], dtype=bool)
    left_out = list_problems(
        videos.loc[~usable, "video_id"],
        _PATH_COLUMN,
        pd.Series(reasons, index=videos.index)[~usable],
        left_out=True,
    )
    kept = usable[readable]
    frames = Frames.from_records(records, found[kept], keys[kept])
    videos = videos[usable].reset_index(drop=True)
    return videos, frames, pd.concat([left_out, _same_content(videos, frames)], ignore_index=True)


def record_dtype(options: FrameOptions) -> np.dtype:
    """Returns what the cache holds of a video: its frames, their times, and what is known of the file."""
    picture = (options.n_frames, options.size, options.size, 3)
    fields = [
        ("pixels", "u1", picture),
        ("timestamps", "<f8", (options.n_frames,)),
        ("count", "<i8"),
        *((name, "<f8") for name in VideoInfo._fields),
    ]
    return np.dtype(fields)


def make_records(clips: Sequence[Clip], dtype: np.dtype) -> np.ndarray:
    """Returns (n,) records of clips; where a clip is short, its last frame is repeated."""
    records = np.zeros(len(clips), dtype)
    for record, clip in zip(records, clips, strict=True):
        filled = np.minimum(np.arange(len(record["pixels"])), len(clip.frames) - 1)
        record["pixels"], record["timestamps"] = clip.frames[filled], clip.timestamps[filled]
        record["count"] = len(clip.frames)
        for name, value in clip.info._asdict().items():
            record[name] = value
    return records


class _File(NamedTuple):
    key: bytes | None  # None where the file cannot be read
    problem: str  # "" where all is well


class _ClipReader:
    """Makes records of files, as an encoder makes vectors of texts."""

    def __init__(self, options: FrameOptions):
        self.options = options
        self.record = record_dtype(options)
        self.fingerprint = options.fingerprint
        self.description: Mapping[str, Any] = options.model_dump(exclude={"min_frames"})

    def inspect(self, path: Path) -> _File:
        """Reads what tells the file from others."""
        try:
            content = hash_large_file(path)
        except FileNotFoundError:
            return _File(None, "file not found")
        except OSError as error:
            return _File(None, f"cannot be read: {error.strerror}")
        return _File(hashlib.sha256(f"{self.fingerprint}{content}".encode()).digest(), "")

    def read(self, path: Path, key: bytes) -> Clip | Unusable:
        """Decodes a file."""
        if not path.is_file():
            raise unreadable_now(path, "file not found")
        try:
            clip = read_clip(path, self.options)
        except InputError as reason:
            return Unusable(str(reason))
        if self.inspect(path).key != key:
            remedy = "run again when it is at rest."
            raise InputError(f"{path} changed while it was being read.", remedy=remedy)
        return clip

    def encode(self, inputs: Sequence[Clip]) -> np.ndarray:
        """Returns (n,) records."""
        return make_records(inputs, self.record)


def _read_clips(reader: _ClipReader, sources: Iterable[tuple[Path, bytes]], ahead: int) -> Iterator[Any]:
    """Decodes files, some at once; few wait in memory, however many make a batch."""
    return in_threads(lambda source: reader.read(*source), sources, ahead=min(ahead, _AHEAD))


class _ClipTables(EmbeddingStore):
    """Tables of records, one per choice of frames."""

    def table(self, encoder: _ClipReader) -> RowTable:
        """Returns the table of a reader."""
        description = {"fingerprint": encoder.fingerprint, **encoder.description}
        return RowTable(self.folder / encoder.fingerprint[:16], encoder.record, description)


def _refuse(record: np.void, options: FrameOptions) -> str:
    n_frames = int(record["n_frames"])
    return too_short(n_frames, options) if n_frames < options.min_frames else ""


def _same_content(videos: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Reports videos that are the same file as an earlier one: one may be trained on, the other tested on."""
    _, first, inverse = np.unique(frames.rows, return_index=True, return_inverse=True)
    earlier = first[inverse]
    repeated = earlier != np.arange(len(frames))
    reasons = "the same content as " + videos["video_id"].iloc[earlier].set_axis(videos.index)
    return list_problems(videos.loc[repeated, "video_id"], _PATH_COLUMN, reasons[repeated])


def _check_share(videos: pd.DataFrame, reasons: list[str], parameters: ShortVideoParameters) -> None:
    broken = videos[[bool(reason) for reason in reasons]]
    if len(broken) < len(videos) and len(broken) <= parameters.max_broken_share * len(videos):
        return
    most = Counter(filter(None, reasons)).most_common(3)
    counts = "; ".join(f"{count} times: {reason}" for reason, count in most)
    first = ", ".join(repr(str(path)) for path in broken["path"].head(3))
    raise InputError(
        f"{len(broken)} of {len(videos)} videos cannot be used, e.g. {first} ({counts}).",
        f"usable files, at most {parameters.max_broken_share:.0%} missing, broken or too short"
        " (short_video.max_broken_share)",
        "check that short_video.videos is the folder that the paths of the table start from; repair or copy the files"
        " again, or raise short_video.max_broken_share to leave them out.",
    )
