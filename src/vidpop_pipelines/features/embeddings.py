"""Embeddings of texts and pictures, and what an encoder that makes them must offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Embeddings:
    """Vectors of the unique inputs, and which of them belongs to which video.

    Args:
        vectors: (n_unique, hidden_size) float16, memory-mapped read-only, one row per unique input.
        rows: (n_videos,) or (n_videos, n_fields) int64 into ``vectors``; -1 where the input is missing.

    Raises:
        ValueError: If a row points outside ``vectors``.
    """

    vectors: np.ndarray
    rows: np.ndarray

    def __post_init__(self):
        if self.rows.size and (self.rows.min() < -1 or self.rows.max() >= len(self.vectors)):
            raise ValueError(f"rows must lie in -1..{len(self.vectors) - 1}")

    def __deepcopy__(self, memo: dict) -> "Embeddings":
        # Kedro deep-copies what passes between nodes, which would read the memory map into memory.
        return self


class Encoder(Protocol):
    """Turns inputs into vectors; frozen, so the same input gives the same vector in every run."""

    @property
    def hidden_size(self) -> int:
        """Width of a vector."""

    @property
    def description(self) -> Mapping[str, Any]:
        """Everything that determines the vectors: kind, version, weights, preprocessing, precision; JSON."""

    @property
    def fingerprint(self) -> str:
        """Hex digest of `description`; encoders of the same fingerprint share stored vectors."""

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encodes one batch.

        Args:
            inputs: Texts or RGB pictures, at least one.

        Returns:
            (n, hidden_size) float32.
        """


class TextEncoder(Encoder, Protocol):
    """An encoder of strings."""

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Returns (n,) int64, the work that each text makes; texts of like length share a batch."""


class ImageEncoder(Encoder, Protocol):
    """An encoder of pictures; `encode` takes prepared ones too."""

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Returns an array of fixed shape: the part of the work that threads do ahead of `encode`."""
