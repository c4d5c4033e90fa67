"""From cached frames to the inputs of each backbone, through the backbone's own processor.

Imports transformers inside functions only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vidpop_pipelines.pipelines.short_video.parameters import BackboneOptions

if TYPE_CHECKING:
    from vidpop_pipelines.pipelines.short_video.frames import Frames

Batch = dict[str, np.ndarray]


class InputMaker(Protocol):
    """Makes the arguments of a network's forward from frames."""

    def __call__(self, frames: "Frames", rows: np.ndarray) -> Batch:
        """Returns arrays with the videos of `rows` on the first axis."""

    def save(self, folder: Path) -> None:
        """Writes the processor, as `save_pretrained` does."""


@dataclass(frozen=True)
class TimesformerInputs:
    """`pixel_values` (B, T, 3, H, W) float32, normalised and cut by TimeSformer's own processor.

    TimeSformer has no mask for time: of a video with fewer than T frames, frames are repeated evenly.
    """

    processor: Any

    def __call__(self, frames: "Frames", rows: np.ndarray) -> Batch:  # noqa: D102
        pixels = frames.read(rows)
        n_frames = pixels.shape[1]
        clips = []
        for clip, count in zip(pixels, frames.counts[rows], strict=True):
            spread = np.arange(n_frames) * count // n_frames
            clips.append(clip if count == n_frames else clip[spread])
        values = self.processor(videos=clips, return_tensors="np")["pixel_values"]
        return {"pixel_values": np.asarray(values, np.float32)}

    def save(self, folder: Path) -> None:  # noqa: D102
        self.processor.save_pretrained(folder)


@dataclass(frozen=True)
class SmolVlmInputs:
    """Prompt and frames of SmolVLM2: `input_ids`, `attention_mask` (B, L), `pixel_values` (B, T, 3, H, W).

    Only videos of equally many frames go through the processor together, because in a batch it would tell shorter ones
    that they have as many frames as the longest. Padding comes last: of tokens on the tokenizer's side, of frames as
    zeros, which the network skips.
    """

    processor: Any
    prompt: str

    def __call__(self, frames: "Frames", rows: np.ndarray) -> Batch:  # noqa: D102
        pixels, counts = frames.read(rows), frames.counts[rows]
        timestamps, durations = frames.timestamps[rows], frames.durations[rows]
        videos: list[Batch] = [{}] * len(rows)
        for count in np.unique(counts):
            alike = np.flatnonzero(counts == count)
            processed = self._process(pixels[alike, :count], timestamps[alike, :count], durations[alike])
            for position, video in zip(alike, processed, strict=True):
                videos[position] = video
        return self._pad(videos)

    def text(self) -> str:
        """Returns the conversation by the chat template: the video, the question, and the answer to be given."""
        content = [{"type": "video"}, {"type": "text", "text": self.prompt}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )

    def _process(self, clips: np.ndarray, seconds: np.ndarray, durations: np.ndarray) -> Iterator[Batch]:
        """Yields the inputs of each of K videos with T frames, without padding."""
        from transformers.video_utils import VideoMetadata

        # Milliseconds as frame numbers: the processor works times out from numbers and frame rate.
        metadata = [
            VideoMetadata(
                total_num_frames=len(times),
                fps=1000.0,
                frames_indices=np.rint(times * 1000).astype(int).tolist(),
                duration=float(duration),
            )
            for times, duration in zip(seconds, durations, strict=True)
        ]
        inputs = self.processor(
            text=[self.text()] * len(clips),
            videos=list(clips),
            video_metadata=metadata,
            padding=True,
            return_tensors="np",
        )
        for tokens, mask, pixel_values in zip(
            *(inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")), strict=True
        ):
            yield {"input_ids": tokens[mask == 1], "pixel_values": np.asarray(pixel_values)}

    def _pad(self, videos: list[Batch]) -> Batch:
        tokenizer = self.processor.tokenizer
        length = max(len(video["input_ids"]) for video in videos)
        n_frames = max(len(video["pixel_values"]) for video in videos)

        left = tokenizer.padding_side == "left"
        input_ids = np.full((len(videos), length), tokenizer.pad_token_id, np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, video in enumerate(videos):
            tokens = video["input_ids"]
            place = slice(length - len(tokens), None) if left else slice(len(tokens))
            input_ids[row, place], attention_mask[row, place] = tokens, 1
        pixel_values = np.zeros((len(videos), n_frames, *videos[0]["pixel_values"].shape[1:]), np.float32)
        for row, video in zip(pixel_values, videos, strict=True):
            row[: len(video["pixel_values"])] = video["pixel_values"]
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "pixel_values": pixel_values,
        }

    def save(self, folder: Path) -> None:  # noqa: D102
        self.processor.save_pretrained(folder)


def load_inputs(architecture: str, source: str | Path, options: BackboneOptions) -> InputMaker:
    """Loads the processor of a backbone.

    Args:
        architecture: `timesformer` or `smolvlm2`.
        source: Id on the hub, or a folder.
        options: Revision and prompt.
    """
    if architecture == "timesformer":
        from transformers import AutoVideoProcessor

        return TimesformerInputs(AutoVideoProcessor.from_pretrained(source, revision=options.revision))
    from transformers import AutoProcessor

    return SmolVlmInputs(AutoProcessor.from_pretrained(source, revision=options.revision), options.prompt)


@dataclass(frozen=True)
class LabelledBatches:
    """Reads batches of labelled videos for the training.

    Attributes:
        inputs: Makes the network's arguments.
        frames: The videos.
        labels: (N,) 1 popular, 0 not, NaN unlabelled.
    """

    inputs: Callable[["Frames", np.ndarray], Batch]
    frames: "Frames"
    labels: np.ndarray

    def __call__(self, rows: np.ndarray) -> Batch:
        """Returns the inputs of some videos and their `labels` (B,) int64."""
        return self.inputs(self.frames, rows) | {"labels": self.labels[rows].astype(np.int64)}
