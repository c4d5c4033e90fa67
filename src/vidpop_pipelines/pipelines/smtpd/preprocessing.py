"""From raw inputs to the arrays a network reads; everything fitted is fitted on the training rows alone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import Embeddings
from vidpop_pipelines.features.language import LANGUAGES
from vidpop_pipelines.features.reduction import VectorReduction, nonzero
from vidpop_pipelines.pipelines.smtpd.inputs import SmtpdInputs
from vidpop_pipelines.pipelines.smtpd.parameters import PreprocessingOptions
from vidpop_pipelines.pipelines.smtpd.table import N_CATEGORIES, NUMERICAL_FIELDS, TEXT_FIELDS

_REDUCTIONS = ("visual", "text", "tree_visual", "tree_text")
# Where the network reads whole vectors, tree models get their main directions: thousands of columns would take
# hours and gigabytes.
_TREE_COMPONENTS = {"visual": 32, "text": 16}
# Ten bins follow the difficulty from small to large videos; a bin needs some rows for a mean.
_DIFFICULTY_BINS, _ROWS_PER_BIN = 10, 20


@dataclass(frozen=True)
class Preprocessing:
    """What one fold's models need to know about its training rows.

    Attributes:
        days: Forecast days.
        early_popularity: Whether day 1 is an input.
        options: What is standardised and reduced.
        categories: Known categories; their position + 1 is the index, 0 is unknown.
        languages: Those of `LANGUAGES` that training titles have; the others are unknown, too.
        arrays: Means, scales and lines by name: `numerical_mean`, `numerical_scale` (n_numerical,),
            `slope`, `intercept` (T,), `target_scale`, `target_mean` (T,), and with early popularity
            `difficulty_centres` (K,), `difficulty` (K, T), see `difficulty`.
        visual: Reduction of thumbnail vectors, for the network.
        text: Reduction of text vectors, the same for the five fields.
        tree_visual: Reduction of thumbnail vectors, for tree models.
        tree_text: The same for texts.
    """

    days: list[int]
    early_popularity: bool
    options: PreprocessingOptions
    categories: list[str]
    languages: list[str]
    arrays: dict[str, np.ndarray]
    visual: VectorReduction
    text: VectorReduction
    tree_visual: VectorReduction
    tree_text: VectorReduction

    @classmethod
    def fit(
        cls,
        inputs: SmtpdInputs,
        rows: np.ndarray,
        days: list[int],
        early_popularity: bool,
        options: PreprocessingOptions,
        seed: int,
    ) -> "Preprocessing":
        """Fits everything on the training rows.

        Args:
            inputs: All videos.
            rows: Numbers of the training rows.
            days: Forecast days.
            early_popularity: Whether day 1 is an input.
            options: What is standardised and reduced.
            seed: Seed of the SVD.
        """
        frequency = inputs.videos["category"].iloc[rows].value_counts()
        known = [
            name for name in frequency.sort_index().sort_values(ascending=False, kind="stable").index if name
        ]
        spoken = set(inputs.videos["language"].iloc[rows])
        numbers = _numbers(inputs, rows, early_popularity, options)
        # A column without any value has no mean; zeros say "the mean" for all its rows.
        empty = np.isnan(numbers).all(axis=0)
        numbers = np.where(empty, 0, numbers)
        mean = np.nanmean(numbers, axis=0)
        # Nothing was learnt about a column that never varied: the network's weights for it are as they were drawn. On
        # this scale every value is the mean.
        scale = nonzero(np.nanstd(numbers, axis=0), constant=np.inf)
        arrays = {"numerical_mean": mean, "numerical_scale": scale}
        arrays |= _fit_offset(inputs, rows, days, early_popularity, options)
        components = {
            "visual": options.visual_components,
            "text": options.text_components,
            "tree_visual": options.visual_components or _TREE_COMPONENTS["visual"],
            "tree_text": options.text_components or _TREE_COMPONENTS["text"],
        }
        reductions = {}
        for name, n_components in components.items():
            embeddings = getattr(inputs, name.removeprefix("tree_"))
            training = Embeddings(embeddings.vectors, embeddings.rows[rows])
            reductions[name] = VectorReduction.fit(training, n_components, options.standardise_vectors, seed)
        return cls(
            days=days,
            early_popularity=early_popularity,
            options=options,
            categories=known[: N_CATEGORIES - 1],
            languages=[name for name in LANGUAGES if name in spoken],
            arrays={name: np.asarray(array, np.float32) for name, array in arrays.items()},
            **reductions,
        )

    def transform(self, inputs: SmtpdInputs) -> "BatchReader":
        """Returns what reads batches of these videos, as `SmtpdNetwork.forward` takes them."""
        rows = np.arange(len(inputs))
        mean, scale = self.arrays["numerical_mean"], self.arrays["numerical_scale"]
        numbers = _numbers(inputs, rows, self.early_popularity, self.options)
        numbers = np.where(np.isnan(numbers), mean, numbers)
        categories = {name: index for index, name in enumerate(self.categories, start=1)}
        languages = {name: LANGUAGES.index(name) + 1 for name in self.languages}
        videos = inputs.videos
        arrays = {
            "numerical": ((numbers - mean) / scale).astype(np.float32),
            "category": videos["category"].map(categories).fillna(0).to_numpy(np.int64),
            "language": videos["language"].map(languages).fillna(0).to_numpy(np.int64),
            "labels": inputs.curves(self.days),
        }
        if self.options.residual:
            arrays["offset"] = self.line(inputs, rows)
        return BatchReader(self, inputs, arrays)

    def line(self, inputs: SmtpdInputs, rows: np.ndarray) -> np.ndarray:
        """Returns the cheap forecast, (B, T): a line in day 1, or each day's median without early popularity."""
        first = inputs.curves([1])[rows] if self.early_popularity else np.zeros((len(rows), 1), np.float32)
        return (self.arrays["intercept"] + self.arrays["slope"] * first).astype(np.float32)

    def difficulty(self, inputs: SmtpdInputs, rows: np.ndarray) -> np.ndarray | None:
        """Returns how far the line was from training videos of similar day 1, (B, T); the intervals' scale.

        Videos that start small are far harder to forecast: with one width for all, an interval that covers 90 %
        of all videos covered 58 % of those with a score below 8 on day 1 (ACTIVE data).

        Args:
            inputs: All videos.
            rows: Numbers of the wanted rows.

        Returns:
            The mean absolute residual, interpolated between bins of day 1; None without early popularity.
        """
        if not self.early_popularity:
            return None
        first = inputs.curves([1])[rows, 0]
        centres = self.arrays["difficulty_centres"]
        by_day = [np.interp(first, centres, column) for column in self.arrays["difficulty"].T]
        return np.column_stack(by_day)

    def table(self, inputs: SmtpdInputs, rows: np.ndarray, modalities: list[str]) -> pd.DataFrame:
        """Returns the same features as a table for tree models; NaN where an input is missing.

        Args:
            inputs: All videos.
            rows: Numbers of the wanted rows.
            modalities: Inputs that take part; early popularity is one of the numerical ones, as in the network.
        """
        columns = {}
        if "numerical" in modalities:
            names = NUMERICAL_FIELDS + (["early_popularity"] if self.early_popularity else [])
            numbers = _numbers(inputs, rows, self.early_popularity, self.options)
            columns = dict(zip(names, numbers.T, strict=True))
        for modality, reduction in (("visual", self.tree_visual), ("text", self.tree_text)):
            if modality in modalities:
                embeddings = getattr(inputs, modality)
                vectors = reduction.apply(embeddings, rows)
                vectors[embeddings.rows[rows] < 0] = np.nan
                vectors = vectors.reshape(len(rows), -1)
                columns |= {f"{modality}_{index}": vectors[:, index] for index in range(vectors.shape[1])}
        if "categorical" in modalities:
            videos = inputs.videos.iloc[rows]
            columns["category"] = (
                videos["category"].where(videos["category"].isin(self.categories), "").to_numpy()
            )
            columns["language"] = videos["language"].to_numpy()
        return pd.DataFrame(columns)

    def save(self, folder: Path, stem: str) -> None:
        """Writes `<stem>.json` and `<stem>.safetensors`."""
        from safetensors.numpy import save_file

        arrays = dict(self.arrays)
        for name in _REDUCTIONS:
            reduction = getattr(self, name)
            arrays[f"{name}.mean"] = reduction.mean
            if reduction.components is not None:
                arrays[f"{name}.components"] = reduction.components
        save_file(
            {key: np.ascontiguousarray(array, np.float32) for key, array in arrays.items()},
            folder / f"{stem}.safetensors",
        )
        settings = {
            "days": self.days,
            "early_popularity": self.early_popularity,
            "options": self.options.model_dump(),
            "categories": self.categories,
            "languages": self.languages,
            "text_fields": TEXT_FIELDS,
        }
        (folder / f"{stem}.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path, stem: str) -> "Preprocessing":
        """Reads what `save` wrote."""
        from safetensors.numpy import load_file

        settings = json.loads((folder / f"{stem}.json").read_text())
        arrays = load_file(folder / f"{stem}.safetensors")
        reductions = {
            name: VectorReduction(arrays.pop(f"{name}.mean"), arrays.pop(f"{name}.components", None))
            for name in _REDUCTIONS
        }
        return cls(
            days=settings["days"],
            early_popularity=settings["early_popularity"],
            options=PreprocessingOptions(**settings["options"]),
            categories=settings["categories"],
            languages=settings["languages"],
            arrays=arrays,
            **reductions,
        )


@dataclass(frozen=True)
class BatchReader:
    """Reads batches; keeps some hundred bytes a video, and reads vectors from their memory map batch by batch.

    Attributes:
        preprocessing: How vectors are reduced.
        inputs: All videos.
        arrays: Everything else, N rows each: `numerical`, `category`, `language`, `labels`, and `offset` for a
            network that learns residuals.
    """

    preprocessing: Preprocessing
    inputs: SmtpdInputs
    arrays: dict[str, np.ndarray]

    def __call__(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the batch of some rows: `arrays`, `visual` (B, width) and `text` (B, 5, width)."""
        return {
            "visual": self.preprocessing.visual.apply(self.inputs.visual, rows),
            "text": self.preprocessing.text.apply(self.inputs.text, rows),
            **{name: array[rows] for name, array in self.arrays.items()},
        }


def _numbers(
    inputs: SmtpdInputs, rows: np.ndarray, early_popularity: bool, options: PreprocessingOptions
) -> np.ndarray:
    numbers = inputs.videos[NUMERICAL_FIELDS].iloc[rows].to_numpy(np.float64)
    if options.log_numbers:
        numbers = np.sign(numbers) * np.log1p(np.abs(numbers))
    if early_popularity:
        numbers = np.column_stack([numbers, inputs.curves([1])[rows]])
    return numbers


def _fit_offset(
    inputs: SmtpdInputs,
    rows: np.ndarray,
    days: list[int],
    early_popularity: bool,
    options: PreprocessingOptions,
) -> dict[str, np.ndarray]:
    """Fits the line (least squares per day) or the median per day, and how far scores are from it."""
    curves = inputs.curves(days)[rows].astype(np.float64)
    empty = np.isnan(curves).all(axis=0)
    if empty.any():
        raise InputError(
            f"Day {days[int(empty.argmax())]} has no value in any of the {len(rows)} training videos.",
            "at least one observed value for each day",
            "use a file with fewer days (columns 16 and on), or more videos.",
        )
    first = inputs.curves([1])[rows, 0].astype(np.float64)
    slope, intercept = np.zeros(len(days)), np.nanmedian(curves, axis=0)
    if early_popularity:
        for step in range(len(days)):
            observed = ~np.isnan(curves[:, step]) & ~np.isnan(first)
            centred = first[observed] - first[observed].mean()
            target = curves[observed, step]
            slope[step] = centred @ target / max(centred @ centred, 1e-12)
            intercept[step] = target.mean() - slope[step] * first[observed].mean()
    line = intercept + slope * (first[:, None] if early_popularity else 0)
    mean, scale = np.zeros(len(days)), np.ones(len(days))
    if options.standardise_targets and options.residual:
        scale = nonzero(np.nanstd(curves - line, axis=0))
    elif options.standardise_targets:
        mean, scale = np.nanmean(curves, axis=0), nonzero(np.nanstd(curves, axis=0))
    arrays = {"slope": slope, "intercept": intercept, "target_mean": mean, "target_scale": scale}
    return arrays | (_fit_difficulty(first, np.abs(curves - line)) if early_popularity else {})


def _fit_difficulty(first: np.ndarray, residuals: np.ndarray) -> dict[str, np.ndarray]:
    """Averages absolute residuals (N, T) in bins of day 1 (N,) that hold equally many videos."""
    n_bins = min(_DIFFICULTY_BINS, max(1, len(first) // _ROWS_PER_BIN))
    bins = np.array_split(np.argsort(first, kind="stable"), n_bins)
    mean = np.nanmean(residuals, axis=0)
    # A bin whose residuals happen to be tiny (or all missing) must not make its intervals vanish.
    low, high = 0.3 * mean, 3 * mean
    rows = [np.clip(_mean_observed(residuals[members], mean), low, high) for members in bins]
    centres = np.array([first[members].mean() for members in bins])
    return {"difficulty_centres": centres, "difficulty": np.maximum(np.array(rows), 1e-6)}


def _mean_observed(values: np.ndarray, default: np.ndarray) -> np.ndarray:
    observed = ~np.isnan(values)
    count = observed.sum(axis=0)
    return np.where(count > 0, np.where(observed, values, 0).sum(axis=0) / np.maximum(count, 1), default)
