"""Videos whose frames say which ones they are."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

# A number is painted in binary on a grid of 4 x 4 cells in the centre of the picture; the corners say which way is
# up: the top left one is white, the others are black.
_GRID = 4
_CORNERS = {(0, 0): 1, (0, 3): 0, (3, 0): 0, (3, 3): 0}
_BITS = [(row, column) for row in range(_GRID) for column in range(_GRID) if (row, column) not in _CORNERS]
_BACKGROUND = (110, 60, 40)


def paint_number(number: int, size: tuple[int, int]) -> np.ndarray:
    """Returns (height, width, 3) uint8 with a number below 4096."""
    width, height = size
    picture = np.full((height, width, 3), _BACKGROUND, np.uint8)
    cell = min(size) // _GRID
    top, left = (height - _GRID * cell) // 2, (width - _GRID * cell) // 2
    cells = _CORNERS | {place: number >> bit & 1 for bit, place in enumerate(_BITS)}
    for (row, column), bit in cells.items():
        y, x = top + row * cell, left + column * cell
        picture[y : y + cell, x : x + cell] = 235 if bit else 20
    return picture


def read_number(frame: np.ndarray) -> int:
    """Reads the number off a square that was cut from the centre; -1 if it is not upright."""
    side = len(frame) / _GRID
    centres = [int((step + 0.5) * side) for step in range(_GRID)]
    cells = frame.mean(axis=2)[np.ix_(centres, centres)] > 128
    if any(cells[place] != bit for place, bit in _CORNERS.items()):
        return -1
    return sum(int(cells[place]) << bit for bit, place in enumerate(_BITS))


def write_video(
    path: Path,
    n_frames: int = 48,
    *,
    times: Sequence[float] | None = None,
    rate: Fraction | int = 24,
    size: tuple[int, int] = (96, 96),
    codec: str = "libx264",
    gop: int = 12,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    sound: bool = False,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """Writes a video whose frames are numbered 0, 1, ...

    Args:
        path: Its suffix decides the container.
        n_frames: Number of frames.
        times: Seconds at which each frame is displayed; by default at the rate.
        rate: Frames per second.
        size: Stored width and height, before rotation.
        codec: Name of the encoder.
        gop: Longest distance between keyframes.
        rotation: Degrees, clockwise, by which a player is to turn the picture, which is stored turned the other
            way (MP4 only).
        pixel_aspect: Width of a pixel by its height.
        sound: Whether there is a silent sound track as well.
        options: Of the encoder.
        muxer_options: Of the container.
        format: Of the container, where the suffix does not say.

    Returns:
        The path.
    """
    clock = Fraction(1, 12_000)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format, options=muxer_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if any(side % 2 for side in size) else "yuv420p"
        stream.gop_size = gop
        stream.thread_count = 1
        stream.codec_context.time_base = clock if times is not None else 1 / Fraction(rate)
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        tone = container.add_stream("aac", rate=44_100, layout="mono") if sound else None
        shown = (round(size[0] * (pixel_aspect or 1)), size[1])[:: 1 if rotation % 180 == 0 else -1]
        for number in range(len(times) if times is not None else n_frames):
            upright = paint_number(number, shown)
            stored = np.rot90(upright, rotation // 90)
            stored = np.ascontiguousarray(stored[:, np.arange(size[0]) * stored.shape[1] // size[0]])
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = number if times is None else round(times[number] / clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            _add_silence(container, tone, (times[-1] if times else n_frames / rate))
    if rotation:
        _set_rotation(path, rotation)
    return path


def write_sound(path: Path, seconds: float = 1.0, *, cover: bool = False) -> Path:
    """Writes a file with a sound track, and nothing to see but perhaps the cover of an album."""
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=44_100, layout="mono")
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if picture:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = Disposition.attached_pic
        _add_silence(container, sound, seconds)
        if picture:
            frame = av.VideoFrame.from_ndarray(paint_number(0, (64, 64)), format="rgb24")
            container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
    return path


def _add_silence(container, stream, seconds: float) -> None:
    for start in range(0, int(seconds * 44_100), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44_100, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _set_rotation(path: Path, degrees: int) -> None:
    """Writes the matrix of a track header, as phones do (ISO/IEC 14496-12, 8.3.2)."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one, whole = 1 << 16, 1 << 30
    matrix = struct.pack(">9i", cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, whole)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # version 0: 4 bytes of flags, then 36 before the matrix
    content[start : start + len(matrix)] = matrix
    path.write_bytes(content)
