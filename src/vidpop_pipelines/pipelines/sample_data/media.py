"""Thumbnails and clips of the sample, drawn so that they show what the video is and how good it is.

Hue and layout come from the category, a shift of the hue from the channel. The look latent shows as
saturation, contrast, sharpness, size of the subject and number of text strokes. The motion latent shows in
the clip as speed of the subject, panning of the background, zoom and number of cuts. Both are seen through
noise: a picture tells its latent approximately.
"""

import colorsys
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vidpop_pipelines.pipelines.sample_data.universe import sigmoid, stream
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES

THUMBNAIL_SIZE = (160, 90)
CLIP_SIZE = (112, 200)
FRAMES_PER_SECOND = 8
CLIP_FRAMES = 16
# Shapes are drawn larger and reduced, because Pillow draws without antialiasing.
SUPERSAMPLING = 2
# At these settings a thumbnail takes about 4 kB and a clip 7 kB: 400 of each stay well below 8 MB.
JPEG_QUALITY = 85
# x264's mbtree reads uninitialised memory at this width (found with MALLOC_PERTURB_): with it, the bytes of a
# clip differ from run to run.
H264_OPTIONS = {"crf": "28", "preset": "medium", "x264-params": "mbtree=0"}

FACES = {
    CATEGORIES.index(name)
    for name in ("People & Blogs", "Comedy", "Entertainment", "News & Politics", "Music")
}


@dataclass(frozen=True)
class Scene:
    """What one video looks like.

    Attributes:
        topic: Index into `CATEGORIES`.
        hue: Main hue, 0..1.
        polish: Visible quality of the picture, 0..1.
        pace: Visible amount of motion, 0..1.
    """

    topic: int
    hue: float
    polish: float
    pace: float

    def colour(self, turn: float, brightness: float) -> tuple[int, int, int]:
        """Returns the RGB colour `turn` around the colour wheel from the main hue."""
        rgb = colorsys.hsv_to_rgb((self.hue + turn) % 1, 0.2 + 0.7 * self.polish, brightness)
        return tuple(round(255 * channel) for channel in rgb)


def _scene(video: dict, noise: np.ndarray) -> Scene:
    return Scene(
        topic=int(video["category"]),
        hue=float(video["category"] / len(CATEGORIES) + video["hue_shift"]) % 1,
        polish=float(sigmoid(1.5 * (video["look"] + 0.4 * noise[0]))),
        pace=float(sigmoid(1.5 * (video["motion"] + 0.4 * noise[1]))),
    )


def _pattern(layout: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the brightness, 0..1, of one of five layouts; y runs from 0 to 1, x on the same scale."""
    match layout:
        case 0:
            return 0.5 + 0.5 * np.sin(2.5 * x + 1.5 * y)
        case 1:
            return sigmoid(30 * (y - 0.6 - 0.08 * np.sin(5 * x)))
        case 2:
            return sigmoid(8 * np.sin(9 * (x + 0.5 * y)))
        case 3:
            return np.clip(1.2 - 1.3 * np.hypot(0.6 * np.sin(1.8 * (x - 0.9)), y - 0.5), 0, 1)
        case _:
            return sigmoid(8 * np.sin(8 * x) * np.sin(8 * y))


def _background(scene: Scene, size: tuple[int, int], layout: int, pan: float) -> Image.Image:
    """Draws a layout in two tones of the main hue, moved sideways by `pan` widths, ready to be drawn on."""
    width, height = size
    x = np.linspace(0, width / height, width)[None, :] + pan * width / height
    y = np.linspace(0, 1, height)[:, None]
    dark = np.array(scene.colour(0.0, 0.45 - 0.3 * scene.polish))
    light = np.array(scene.colour(0.08, 0.5 + 0.45 * scene.polish))
    pixels = dark + _pattern(layout, x, y)[..., None] * (light - dark)
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    return image.resize((SUPERSAMPLING * width, SUPERSAMPLING * height), Image.Resampling.BILINEAR)


def _draw_subject(
    draw: ImageDraw.ImageDraw, scene: Scene, centre: tuple[float, float], radius: float
) -> None:
    """Draws a face, a box or a triangle, as the category has it."""
    (x, y), fill, line = centre, scene.colour(0.45, 0.55 + 0.4 * scene.polish), scene.colour(0.5, 0.15)
    width = max(1, round(radius / 10))
    if scene.topic in FACES:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, line, width)
        for side in (-0.4, 0.4):
            eye = (x + side * radius, y - 0.25 * radius)
            draw.ellipse((eye[0] - width, eye[1] - width, eye[0] + width, eye[1] + width), line)
        mouth = (x - 0.5 * radius, y - 0.2 * radius, x + 0.5 * radius, y + 0.6 * radius)
        draw.chord(mouth, 10, 170, line)
    elif scene.topic % 2:
        draw.rounded_rectangle(
            (x - radius, y - 0.7 * radius, x + radius, y + 0.7 * radius), radius / 4, fill, line, width
        )
    else:
        corners = [(x, y - radius), (x + radius, y + 0.8 * radius), (x - radius, y + 0.8 * radius)]
        draw.polygon(corners, fill, line, width)


def _draw_strokes(draw: ImageDraw.ImageDraw, size: tuple[int, int], words: np.ndarray) -> None:
    """Draws lines of outlined bars that look like a caption; `words` (lines, 3) are widths of words, 0..1."""
    width, height = size
    for line, line_words in enumerate(words):
        x, y = 0.05 * width, height * (0.1 + 0.17 * line)
        for word in line_words:
            end = x + (0.06 + 0.1 * word) * width
            draw.rectangle((x, y, end, y + 0.1 * height), (255, 255, 240), (20, 20, 20), 2)
            x = end + 0.02 * width


def _degrade(
    image: Image.Image, size: tuple[int, int], polish: float, grain: np.random.Generator
) -> Image.Image:
    """Reduces the drawing to its final size, with the blur and grain of a poor camera."""
    image = image.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1.6 * (1 - polish)))
    noise = grain.normal(0, 6 * (1 - polish), (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.rint(np.asarray(image) + noise), 0, 255).astype(np.uint8))


def render_thumbnail(video: dict, seed: int, index: int) -> bytes:
    """Draws a video's cover.

    Args:
        video: The video's row of `universe.draw_videos`: category, hue_shift, look and motion.
        seed: Seed of the sample.
        index: Row number of the video, which selects its random stream.

    Returns:
        A JPEG of `THUMBNAIL_SIZE`.
    """
    random = stream(seed, "thumbnail", index)
    scene = _scene(video, random.standard_normal(2))
    place = random.random(3)
    words = random.random((4, 3))
    image = _background(scene, THUMBNAIL_SIZE, scene.topic % 5, pan=place[0])
    size = image.size
    draw = ImageDraw.Draw(image)
    radius = size[1] * (0.14 + 0.2 * scene.polish)
    _draw_subject(draw, scene, (size[0] * (0.6 + 0.2 * place[1]), size[1] * (0.45 + 0.2 * place[2])), radius)
    _draw_strokes(draw, size, words[: round(4 * scene.polish)])
    buffer = io.BytesIO()
    _degrade(image, THUMBNAIL_SIZE, scene.polish, random).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def draw_frames(video: dict, seed: int, index: int) -> list[Image.Image]:
    """Draws the frames of a video's clip.

    Args:
        video: The video's row of `universe.draw_videos`: category, hue_shift, look and motion.
        seed: Seed of the sample.
        index: Row number of the video, which selects its random stream.

    Returns:
        `CLIP_FRAMES` RGB images of `CLIP_SIZE`.
    """
    random = stream(seed, "clip", index)
    scene = _scene(video, random.standard_normal(2))
    phase = 2 * np.pi * random.random(2)
    n_shots = 1 + round(3.4 * scene.pace)
    shot_of_frame = np.arange(CLIP_FRAMES) * n_shots // CLIP_FRAMES
    frames = []
    for frame, shot in enumerate(shot_of_frame.tolist()):
        seconds = frame / FRAMES_PER_SECOND
        cut = Scene(scene.topic, scene.hue + 0.13 * shot, scene.polish, scene.pace)
        image = _background(cut, CLIP_SIZE, (scene.topic + shot) % 5, pan=0.3 * scene.pace * seconds)
        swing = 2 * np.pi * (0.2 + 1.2 * scene.pace) * seconds + phase
        reach = 0.03 + 0.22 * scene.pace
        width, height = image.size
        centre = (width * (0.5 + reach * np.sin(swing[0])), height * (0.5 + reach * np.sin(swing[1])))
        zoom = 1 + 0.3 * scene.pace * np.sin(1.7 * swing[0])
        _draw_subject(ImageDraw.Draw(image), cut, centre, width * (0.15 + 0.1 * scene.polish) * zoom)
        reduced = image.resize(CLIP_SIZE, Image.Resampling.BOX)
        frames.append(reduced.filter(ImageFilter.GaussianBlur(1.2 * (1 - scene.polish))))
    return frames


def render_clip(video: dict, seed: int, index: int) -> bytes:
    """Draws and encodes a video's clip of two seconds.

    Args:
        video: The video's row of `universe.draw_videos`: category, hue_shift, look and motion.
        seed: Seed of the sample.
        index: Row number of the video, which selects its random stream.

    Returns:
        An H.264 MP4 of `CLIP_FRAMES` frames of `CLIP_SIZE`, without sound.
    """
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        output = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=H264_OPTIONS)
        output.width, output.height = CLIP_SIZE
        output.pix_fmt = "yuv420p"
        # With several threads the encoded bytes depend on the number of processor cores.
        output.thread_count = 1
        for image in draw_frames(video, seed, index):
            container.mux(output.encode(av.VideoFrame.from_image(image)))
        container.mux(output.encode(None))
    return buffer.getvalue()
