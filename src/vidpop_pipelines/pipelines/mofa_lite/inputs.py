"""What the MoFA-Lite models read: features of each modality, memory-mapped, and the targets; and its validation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.datasets.npy import NpyFolder, open_npy
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.data_report import PROBLEM_COLUMNS, list_problems
from vidpop_pipelines.fingerprint import combine, hash_arrays

FEATURES = "_features"
TARGETS = "popularity_counts"
IDS = "video_id"
# Rows that are checked at a time.
_CHUNK = 1024


@dataclass(frozen=True)
class MofaInputs:
    """Features and, where they are known, targets of N videos.

    Attributes:
        video_ids: (N,) ids, str.
        modalities: Features by modality, (M, width) each, as a rule memory-mapped; M >= N rows of the files.
        rows: (N,) row in the files of each video.
        targets: (N, T) float32 log counts; None where they are to be forecast.
    """

    video_ids: np.ndarray
    modalities: dict[str, np.ndarray]
    rows: np.ndarray
    targets: np.ndarray | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def widths(self) -> dict[str, int]:
        """Numbers per video by modality."""
        return {name: array.shape[1] for name, array in self.modalities.items()}

    def read(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Returns the features of some videos, (B, width) float32; NaN where they are missing."""
        return np.asarray(self.modalities[modality][self.rows[rows]], np.float32)

    def fingerprint(self) -> str:
        """Returns a digest of all content."""
        # In blocks: hashing a memory map as a whole would copy it.
        blocks = np.array_split(np.arange(len(self)), -(-len(self) // _CHUNK))
        features = [
            hash_arrays(self.read(name, block) for block in blocks) for name in sorted(self.modalities)
        ]
        targets = [] if self.targets is None else [self.targets]
        return combine(sorted(self.modalities), self.video_ids.tolist(), features, hash_arrays(targets))

    def save(self, folder: Path) -> None:
        """Writes ids, rows and targets; the features stay in their files."""
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        if self.targets is not None:
            np.save(folder / "targets.npy", self.targets, allow_pickle=False)
        files = {name: str(array.filename) for name, array in self.modalities.items()}
        content = {"modalities": files, "video_ids": self.video_ids.tolist()}
        (folder / "config.json").write_text(json.dumps(content, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> "MofaInputs":
        """Reads what `save` wrote, and maps the features."""
        content = json.loads((folder / "config.json").read_text())
        targets = folder / "targets.npy"
        return cls(
            video_ids=np.array(content["video_ids"], dtype=object),
            modalities={name: open_npy(Path(file)) for name, file in content["modalities"].items()},
            rows=np.load(folder / "rows.npy", allow_pickle=False),
            targets=np.load(targets, allow_pickle=False) if targets.is_file() else None,
        )

    def __reduce__(self) -> tuple:
        # Worker processes map the files themselves: pickled, a memory map would travel as a copy of its content.
        files = {
            name: Path(array.filename) if isinstance(array, np.memmap) else array
            for name, array in self.modalities.items()
        }
        return _rebuild, (self.video_ids, files, self.rows, self.targets)


def _rebuild(
    video_ids: np.ndarray, files: dict[str, Any], rows: np.ndarray, targets: np.ndarray | None
) -> MofaInputs:
    modalities = {name: open_npy(file) if isinstance(file, Path) else file for name, file in files.items()}
    return MofaInputs(video_ids, modalities, rows, targets)


def validate_inputs(
    folder: NpyFolder, modalities: list[str] | None, targets: list[str] | None
) -> tuple[MofaInputs, pd.DataFrame, dict[str, Any]]:
    """Checks the files of a folder against each other.

    Args:
        folder: The memory-mapped files.
        modalities: Which take part; None for all.
        targets: Names of the targets; None for videos to be forecast, whose counts are not read.

    Returns:
        Inputs without the videos that lack a target; problems (columns of `list_problems`); and a summary with
        `source`, `rows_read` and per modality its width and the share of NaN.

    Raises:
        InputError: Naming the file, and row and column where it is about a value.
    """
    chosen = _choose_modalities(folder, modalities)
    n_rows = _check_shapes(folder, chosen, targets)
    ids = _video_ids(folder, n_rows)
    problems = [pd.DataFrame(columns=PROBLEM_COLUMNS)]
    shares = {}
    for name, array in chosen.items():
        missing = _count_missing(array, _file(folder, name + FEATURES))
        shares[name] = {"width": array.shape[1], "missing_share": float(missing.sum() / array.size)}
        for reason, rows in (
            ("no value", missing == array.shape[1]),
            ("some values are NaN", (missing > 0) & (missing < array.shape[1])),
        ):
            problems.append(list_problems(ids[rows], name, reason))
    rows, counts = np.arange(n_rows), None
    if targets is not None:
        counts = np.array(folder.arrays[TARGETS], np.float32)
        _check_finite(counts, 0, _file(folder, TARGETS))
        unlabelled = np.isnan(counts)
        without = unlabelled.any(axis=1)
        problems = [part[~part["video_id"].isin(ids[without])] for part in problems]
        for column, target in enumerate(targets):
            # Each video once, for the first target that it lacks.
            first = unlabelled[:, column] & ~unlabelled[:, :column].any(axis=1)
            problems.append(list_problems(ids[first], target, "no value", left_out=True))
        rows, counts = rows[~without], counts[~without]
        _check_labelled(len(rows), _file(folder, TARGETS))
    inputs = MofaInputs(ids.to_numpy(object)[rows], chosen, rows, counts)
    summary = {"source": str(folder.path), "rows_read": n_rows, "modalities": shares}
    return inputs, pd.concat(problems, ignore_index=True).astype({"left_out": bool}), summary


def _file(folder: NpyFolder, stem: str) -> Path:
    return folder.path / f"{stem}.npy"


def _choose_modalities(folder: NpyFolder, wanted: list[str] | None) -> dict[str, np.ndarray]:
    found = {
        stem.removesuffix(FEATURES): array for stem, array in folder.arrays.items() if stem.endswith(FEATURES)
    }
    absent = [name for name in wanted or [] if name not in found]
    if absent or not found:
        raise InputError(
            f"{folder.path}: no file {absent[0] if absent else '<modality>'}{FEATURES}.npy.",
            f"one file per modality; there are {', '.join(found) or 'none'}",
            "add the file, or choose others with mofa_lite.modalities.",
        )
    # One order whatever the user writes, so that the same choice is the same model.
    return {name: found[name] for name in sorted(wanted or found)}


def _check_shapes(folder: NpyFolder, chosen: dict[str, np.ndarray], targets: list[str] | None) -> int:
    shapes = {name + FEATURES: array.shape for name, array in chosen.items()}
    if targets is not None:
        if TARGETS not in folder.arrays:
            raise InputError(f"{_file(folder, TARGETS)}: no such file.", "the log counts of the videos")
        shapes[TARGETS] = folder.arrays[TARGETS].shape
    for stem, shape in shapes.items():
        if len(shape) != 2:
            raise InputError(
                f"{_file(folder, stem)}: {len(shape)} dimensions, shape {shape}.",
                "2 dimensions: one row per video",
                "reshape the array; a single number per video is a column, shape (N, 1).",
            )
    if targets is not None and shapes[TARGETS][1] != len(targets):
        raise InputError(
            f"{_file(folder, TARGETS)}: {shapes[TARGETS][1]} columns.",
            f"{len(targets)} columns: {', '.join(targets)}",
            "name the columns with mofa_lite.targets, for example mofa_lite.targets=views+likes.",
        )
    n_rows = {f"{stem}.npy": shape[0] for stem, shape in shapes.items()}
    if len(set(n_rows.values())) > 1:
        counted = ", ".join(f"{name} {count}" for name, count in n_rows.items())
        raise InputError(
            f"{folder.path}: files of different numbers of rows ({counted}).",
            "row i of every file about the same video i",
            "write the files again from the same list of videos.",
        )
    return next(iter(n_rows.values()))


def _video_ids(folder: NpyFolder, n_rows: int) -> pd.Series:
    file = folder.path / f"{IDS}.txt"
    if IDS not in folder.lines:
        return pd.Series([str(row) for row in range(n_rows)], dtype=object)
    ids = pd.Series([line.strip() for line in folder.lines[IDS]], dtype=object)
    if len(ids) != n_rows:
        raise InputError(f"{file}: {len(ids)} lines.", f"{n_rows} lines, one per row of the arrays")
    if (ids == "").any():
        raise InputError(f"{file}: line {int((ids == '').idxmax()) + 1} is empty.", "an id in every line")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(
            f"{file}: line {repeated.index[0] + 1} repeats the id {repeated.iloc[0]}.",
            "every video once: a video in two folds would leak from training into the test",
            "remove the repeated rows from all files.",
        )
    return ids


def _count_missing(array: np.ndarray, file: Path) -> np.ndarray:
    """Returns the number of NaN in each row."""
    missing = np.empty(len(array), np.int64)
    for start in range(0, len(array), _CHUNK):
        # As the models read it: what float32 cannot hold is infinite to them.
        with np.errstate(over="ignore"):
            block = np.asarray(array[start : start + _CHUNK], np.float32)
        _check_finite(block, start, file)
        missing[start : start + _CHUNK] = np.isnan(block).sum(axis=1)
    if missing.sum() == array.size:
        raise InputError(f"{file}: every value is NaN.", "numbers", "leave the modality out.")
    return missing


def _check_finite(block: np.ndarray, start: int, file: Path) -> None:
    infinite = np.argwhere(np.isinf(block))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"{file}: row {start + row}, column {column} is infinite ({len(infinite)} such values in these rows).",
            "finite numbers, or NaN for a missing value (counted from 0)",
            "correct the values; NaN are imputed by the training median.",
        )


def _check_labelled(n_labelled: int, file: Path) -> None:
    if n_labelled == 0:
        raise InputError(f"{file}: no row has all its targets.", "numbers")
