"""Everything the SMTPD models read about a set of videos, in one object."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.fingerprint import combine, hash_arrays
from vidpop_pipelines.pipelines.smtpd.table import NUMERICAL_FIELDS, TEXT_FIELDS, day_columns


@dataclass(frozen=True)
class SmtpdInputs:
    """Inputs and, where they are known, the popularity curves of N videos.

    Attributes:
        videos: N rows: `video_id`, `user_id`, `category`, `language`, five numbers (NaN where empty),
            `day_1` .. `day_D` (NaN where missing).
        visual: One vector per thumbnail; rows (N,), -1 where there is none.
        text: One vector per text; rows (N, 5) in the order of `TEXT_FIELDS`, -1 where the text is empty.
    """

    videos: pd.DataFrame
    visual: Embeddings
    text: Embeddings

    def __len__(self) -> int:
        return len(self.videos)

    def curves(self, days: list[int]) -> np.ndarray:
        """Returns the popularity scores of some days, (N, len(days)) float32 with NaN for missing ones."""
        names = [f"day_{day}" for day in days]
        return self.videos.reindex(columns=names).to_numpy(np.float32)

    @property
    def n_days(self) -> int:
        """Number of days of the curves."""
        return len(day_columns(self.videos))

    def fingerprint(self) -> str:
        """Returns a digest of all content: values, and vectors by what was encoded rather than where it lies."""
        text = self.videos.select_dtypes(exclude="number")
        numbers = self.videos.select_dtypes("number").to_numpy(np.float64)
        vectors = [
            embeddings.vectors[np.unique(embeddings.rows[embeddings.rows >= 0])]
            for embeddings in (self.visual, self.text)
        ]
        return combine(
            text.to_csv(index=False),
            hash_arrays([numbers, self.visual.rows >= 0, self.text.rows >= 0, *vectors]),
        )

    def save(self, folder: Path) -> None:
        """Writes tables and row numbers; the vectors stay in the embedding cache, which is only added to."""
        self.videos.to_parquet(folder / "videos.parquet")
        maps = {}
        for name, embeddings in (("visual", self.visual), ("text", self.text)):
            np.save(folder / f"{name}_rows.npy", embeddings.rows, allow_pickle=False)
            vectors = embeddings.vectors
            maps[name] = {"shape": vectors.shape}
            if len(vectors):
                maps[name] |= {"filename": str(vectors.filename), "offset": vectors.offset}
        (folder / "config.json").write_text(json.dumps(maps, indent=2))

    @classmethod
    def load(cls, folder: Path) -> "SmtpdInputs":
        """Reads what `save` wrote, and maps the vectors.

        Raises:
            InputError: If the embedding cache was deleted since.
        """
        maps = json.loads((folder / "config.json").read_text())
        parts = {
            name: Embeddings(_map_vectors(stored), np.load(folder / f"{name}_rows.npy", allow_pickle=False))
            for name, stored in maps.items()
        }
        return cls(pd.read_parquet(folder / "videos.parquet"), **parts)

    @classmethod
    def assemble(
        cls, videos: pd.DataFrame, languages: np.ndarray, visual: Embeddings, text: Embeddings
    ) -> "SmtpdInputs":
        """Joins table, languages and vectors of the same videos.

        Args:
            videos: Output of `validate_videos`, N rows.
            languages: Language of each title, (N,) strings, "" where the title is empty.
            visual: Thumbnail vectors.
            text: Text vectors.

        Raises:
            ValueError: If the parts are not about the same number of videos.
        """
        if visual.rows.shape != (len(videos),) or text.rows.shape != (len(videos), len(TEXT_FIELDS)):
            raise ValueError(f"{len(videos)} videos, but rows {visual.rows.shape} and {text.rows.shape}")
        kept = videos[["video_id", "user_id", "category", *NUMERICAL_FIELDS, *day_columns(videos)]].copy()
        kept.insert(3, "language", languages)
        return cls(kept, visual, text)


def _map_vectors(stored: dict) -> np.ndarray:
    shape = tuple(stored["shape"])
    if not shape[0]:
        return np.empty(shape, np.float16)
    path = Path(stored["filename"])
    if not path.is_file():
        raise InputError(f"{path}: the embedding cache is gone.", remedy="run the training pipeline again.")
    return np.memmap(path, np.float16, mode="r", offset=stored["offset"], shape=shape)
