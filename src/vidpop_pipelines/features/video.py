"""A few evenly spaced frames of a video file, decoded with as little work as the codec allows.

Importing this module is cheap; PyAV (FFmpeg) is imported when the first file is read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from pydantic import Field

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.fingerprint import combine
from vidpop_pipelines.parameters import Parameters

# No format but these is a video of its own: without the list, a text file could pass as a playlist that names
# other files, and a picture as a video of one frame.
_FORMATS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,h264,hevc,obu,ivf,m4v,h263,wtv,"
    "rm,mxf,nut,dv"
)
# A file that ends so much earlier than its header says is truncated; some headers are rounded to whole seconds.
_MISSING_SHARE, _MISSING_SECONDS = 0.05, 0.5


class FrameOptions(Parameters):
    """Which frames of a video a network sees, and how they become squares.

    Attributes:
        n_frames: Frames per video; eight as in the published systems. Each is from the middle of one of so many
            equal parts of the video.
        size: Side of the square in pixels.
        fit: `crop` resizes the short side and cuts out the centre, as TimeSformer's processor does; `squash` resizes
            both sides, as SmolVLM2's does, so that nothing of an upright video is lost.
        min_frames: A video of fewer frames is too short to be used.
    """

    n_frames: int = Field(default=8, ge=1)
    size: int = Field(default=224, ge=8)
    fit: Literal["crop", "squash"] = "crop"
    min_frames: int = Field(default=2, ge=1)

    @property
    def fingerprint(self) -> str:
        """Hex digest of what determines the frames of a video. (The shortest one allowed does not.)"""
        return combine({"version": 1, **self.model_dump(exclude={"min_frames"})})


class VideoInfo(NamedTuple):
    """What is known of a video without decoding it, and the size of its picture.

    Attributes:
        duration: Seconds from the beginning of the first frame to the end of the last.
        frame_rate: Mean number of frames per second.
        width: Pixels, as displayed: after rotation, and as wide as the pixels' aspect makes it.
        height: Pixels, as displayed.
        rotation: Degrees, clockwise, by which the stored picture is turned for display: 0, 90, 180 or 270.
        n_frames: Number of frames.
        file_size: Bytes of the whole file, sound included.
        video_bytes: Bytes of the compressed pictures.
        n_keyframes: Number of pictures that are compressed on their own. Encoders begin a new shot with one.
        keyframe_bytes: Bytes of those.
    """

    duration: float
    frame_rate: float
    width: int
    height: int
    rotation: int
    n_frames: int
    file_size: int
    video_bytes: int
    n_keyframes: int
    keyframe_bytes: int


@dataclass(frozen=True)
class Clip:
    """Sampled frames of one video.

    Attributes:
        frames: (n, size, size, 3) uint8 RGB, upright. All different frames of the file: n is at most
            `FrameOptions.n_frames`, and less if the video has fewer or one of them stands for very long.
        timestamps: (n,) float64, seconds from the first frame of the video, increasing.
        info: About the file.
    """

    frames: np.ndarray
    timestamps: np.ndarray
    info: VideoInfo


def read_clip(source: Path | BinaryIO, options: FrameOptions) -> Clip:
    """Samples evenly spaced frames.

    All packets of the file are read (not decoded) to learn the time of every frame; then each run of pictures
    is entered at its keyframe and decoded up to the last frame wanted of it, without the pictures in between that no
    other picture refers to. The frames are exactly those of a full decode. One thread, so that many files can be
    read at once.

    Args:
        source: A file, or an open one that can seek.
        options: Which frames, and their size.

    Returns:
        The frames that are displayed at the middle of each of `n_frames` equal parts of the video; all frames
        where it has fewer.

    Raises:
        InputError: With the reason alone, since only the caller knows the name: no file, zero bytes, not a video,
            no video stream, truncated, undecodable, too short.
    """
    import av

    file_size = _file_size(source)
    try:
        with _open(source) as container:
            stream = _video_stream(container)
            index = _read_index(container, stream)
            if len(index.pts) < options.min_frames:
                raise InputError(too_short(len(index.pts), options))
            square = _Square(options, stream.sample_aspect_ratio)
            wanted = index.choose(options.n_frames).tolist()
            frames = _decode_wanted(container, stream, index, wanted, square) if index.timed else {}
        if len(frames) < len(wanted):
            # Times or keyframes are not what the file says they are: trust no shortcut.
            with _open(source) as container:
                frames = _decode_in_order(container, _video_stream(container), index, wanted, square)
    except av.FFmpegError as error:
        raise InputError(f"cannot be decoded ({error.strerror})") from error
    if len(frames) < min(len(wanted), options.min_frames):
        raise InputError(f"cannot be decoded ({len(frames)} of {len(wanted)} frames came out)")
    times = sorted(frames)
    return Clip(
        frames=np.stack([frames[time] for time in times]),
        timestamps=(np.array(times) - index.pts[0]) * index.time_base,
        info=index.describe(square, file_size),
    )


def too_short(n_frames: int, options: FrameOptions) -> str:
    """Says that a video has too few frames."""
    return f"too short: {n_frames} frame{'s' * (n_frames != 1)}, fewer than {options.min_frames}"


def _file_size(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        try:
            with open(source, "rb") as file:
                size = file.seek(0, 2)
        except FileNotFoundError:
            raise InputError("file not found") from None
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from error
    else:
        size = source.seek(0, 2)
        source.seek(0)
    if not size:
        raise InputError("zero bytes")
    return size


def _open(source: Path | BinaryIO) -> Any:
    import av

    if not isinstance(source, Path):
        source.seek(0)
    # The prefix keeps FFmpeg from reading a colon in the name as a protocol.
    target = f"file:{source}" if isinstance(source, Path) else source
    try:
        return av.open(target, options={"format_whitelist": _FORMATS}, metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(f"not a video, or its header is broken or cut off ({error.strerror})") from error


def _video_stream(container: Any) -> Any:
    from av.stream import Disposition

    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:  # the latter is a cover of a song
        raise InputError("no video stream")
    if stream.codec_context is None:
        raise InputError("a video stream of an unknown codec")
    # Files are read in parallel, so threads within one would only compete.
    stream.codec_context.thread_count = 1
    # Opened now, before `skip_frame` is set: some decoders only look at it when they are opened.
    stream.codec_context.open(strict=False)
    return stream


class _Index:
    """When each frame of a video is displayed, in units of its time base; from the packets, nothing decoded.

    Args:
        packets: (pts, duration, is_keyframe, size) of each packet, as stored.
        stream: Of the packets.
    """

    def __init__(self, packets: list[tuple[int | None, int, bool, int]], stream: Any):
        rate = stream.average_rate or stream.guessed_rate or 25
        self.sizes = np.array([packet[3] for packet in packets], np.int64)
        self.is_keyframe = np.array([packet[2] for packet in packets], bool)
        self.timed = all(packet[0] is not None for packet in packets)
        if not self.timed:  # some formats have no times: the frames are as fast as the header says
            self.time_base, self.pts, self.last_ticks = float(1 / rate), np.arange(len(packets)), 1
            return
        self.time_base = float(stream.time_base)
        stored = np.array([packet[0] for packet in packets], np.int64)
        self.keyframes = np.sort(stored[self.is_keyframe])
        # What is shown before the first keyframe refers to pictures that are not in the file.
        self.pts = np.unique(stored[stored >= self.keyframes[0]]) if len(self.keyframes) else self.keyframes
        usual = np.median(np.diff(self.pts)) if len(self.pts) > 1 else 1 / (rate * stream.time_base)
        last = max(packets, key=lambda packet: packet[0], default=(0, 0))[1]
        self.last_ticks = last or max(1, round(usual))

    @property
    def length(self) -> int:
        """From the beginning of the first frame to the end of the last."""
        return int(self.pts[-1] - self.pts[0]) + self.last_ticks

    def choose(self, n_frames: int) -> np.ndarray:
        """Returns the times of the frames displayed in the middle of equal parts; of all, if they are no more."""
        if len(self.pts) <= n_frames:
            return self.pts
        # In whole numbers: the middle of a part is often the very moment at which a frame begins.
        middles = self.pts[0] + (2 * np.arange(n_frames) + 1) * self.length // (2 * n_frames)
        return np.unique(self.pts[np.searchsorted(self.pts, middles, side="right") - 1])

    def keyframe_before(self, pts: int) -> int:
        """Returns the time of the keyframe that decoding of a frame begins at."""
        return int(self.keyframes[np.searchsorted(self.keyframes, pts, side="right") - 1])

    def describe(self, square: "_Square", file_size: int) -> VideoInfo:
        """Sums up the packets."""
        duration = self.length * self.time_base
        return VideoInfo(
            duration=duration,
            frame_rate=len(self.pts) / duration,
            width=square.width,
            height=square.height,
            rotation=square.rotation,
            n_frames=len(self.pts),
            file_size=file_size,
            video_bytes=int(self.sizes.sum()),
            n_keyframes=int(self.is_keyframe.sum()),
            keyframe_bytes=int(self.sizes[self.is_keyframe].sum()),
        )


def _read_index(container: Any, stream: Any) -> _Index:
    """Reads all packets.

    Raises:
        InputError: If the file ends before its header says.
    """
    packets, end, expected = [], 0.0, (container.duration or 0) / 1e6
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise InputError("truncated or damaged (a packet is not complete)")
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index == stream.index and not packet.is_discard:
            packets.append((packet.pts, packet.duration or 0, packet.is_keyframe, packet.size))
    end -= (container.start_time or 0) / 1e6
    timed = not packets or any(packet[0] is not None for packet in packets)
    if timed and end < expected * (1 - _MISSING_SHARE) - _MISSING_SECONDS:
        raise InputError(f"truncated: it ends after {end:.1f} of {expected:.1f} seconds")
    return _Index(packets, stream)


class _Square:
    """Turns decoded frames into upright squares, and remembers what it saw.

    Args:
        options: Size and fit.
        pixel_aspect: Width of a pixel by its height; None for square ones.
    """

    def __init__(self, options: FrameOptions, pixel_aspect: Any):
        from av.video.reformatter import VideoReformatter

        self._options = options
        self._pixel_aspect = float(pixel_aspect or 1)
        self._reformatter = VideoReformatter()
        self.width = self.height = self.rotation = 0

    def __call__(self, frame: Any) -> np.ndarray:
        """Returns (size, size, 3) uint8."""
        from av.video.reformatter import Interpolation

        if frame.is_corrupt:
            raise InputError("damaged: a picture is not complete")
        size = self._options.size
        quarters = round(frame.rotation / 90) % 4  # counterclockwise, as numpy turns
        shown = frame.width * self._pixel_aspect, frame.height
        self.width, self.height = (round(side) for side in (shown[::-1] if quarters % 2 else shown))
        self.rotation = -90 * quarters % 360
        scale = [size / min(shown)] * 2 if self._options.fit == "crop" else [size / side for side in shown]
        width, height = (max(size, round(side * factor)) for side, factor in zip(shown, scale, strict=True))
        resized = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            # Widened when it shrinks a picture, hence without aliasing; the same bits on every processor.
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
            threads=1,
        ).to_ndarray()
        top, left = (height - size) // 2, (width - size) // 2
        return np.rot90(resized[top : top + size, left : left + size], quarters)


def _decode_wanted(
    container: Any, stream: Any, index: "_Index", wanted: list[int], square: Callable[[Any], np.ndarray]
) -> dict[int, np.ndarray]:
    """Decodes no more than the frames of some times need; fewer come back where times or keyframes are wrong."""
    import av

    context = stream.codec_context
    left, entered = set(wanted), None
    found: dict[int, np.ndarray] = {}
    packets: Iterator[Any] = iter(())
    for pts in wanted:
        keyframe = index.keyframe_before(pts)
        if keyframe != entered:
            # Formats that cannot seek exactly go to an earlier keyframe, which costs time only.
            try:
                container.seek(keyframe, stream=stream)
            except av.FFmpegError:  # a format without a way to seek
                return found
            packets, entered = container.demux(stream), keyframe
        while pts in left:
            packet = next(packets, None)
            if packet is None:
                break
            # A picture that none refers to need not be decoded to decode another.
            context.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in left else "NONREF"
            for frame in packet.decode():
                if frame.pts in left:
                    found[frame.pts] = square(frame)
                    left.discard(frame.pts)
    return found


def _decode_in_order(
    container: Any, stream: Any, index: "_Index", wanted: list[int], square: Callable[[Any], np.ndarray]
) -> dict[int, np.ndarray]:
    """Decodes everything; a frame stands for the times up to the next one."""
    waiting = list(wanted)
    found, latest = {}, None
    for number, frame in enumerate(container.decode(stream)):
        moment = frame.pts if index.timed else number
        if moment is None:
            continue
        while waiting and latest and moment > waiting[0]:
            found[latest[0]] = square(latest[1])
            waiting.pop(0)
        if not waiting:
            break
        latest = moment, frame
    if waiting and latest:
        found[latest[0]] = square(latest[1])
    return found
