"""Everything the tabular models read about a video, as one fitted and saved transformer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.tabular.channel_history import HISTORY_FEATURES, ChannelHistory
from vidpop_pipelines.pipelines.tabular.content import content_numbers
from vidpop_pipelines.pipelines.tabular.text_vectors import TextVectors

# Columns with few different values, which CatBoost, LightGBM, XGBoost and HistGradientBoosting take as they are.
CATEGORICAL = ["category", "definition", "caption", "language"]
# A rarer value tells less about itself than the bucket of unknown ones.
_MAX_VALUES = 31
_MIN_VIDEOS = 5
# What a video's outcome is compared with before its channel is judged by it.
_EXPECTED_FROM = ["log_age_hours", "log_subscribers", "log_channel_avg_views"]


@dataclass(frozen=True)
class TableFeatures:
    """Turns validated videos into a matrix of features; fitted on training videos.

    Attributes:
        numbers: Names of the numeric features, constant ones left out.
        values: Known values of each categorical column; their codes are 1, 2, ..., and 0 is any other.
        category_weights: Names of the categories that have a weight feature of their own.
        text: TF-IDF and SVD of the texts.
        history: Outcomes of earlier videos by channel.
        expectation: Intercept and coefficients of log views on `_EXPECTED_FROM`.
    """

    numbers: list[str]
    values: dict[str, list[str]]
    category_weights: list[str]
    text: TextVectors
    history: ChannelHistory
    expectation: dict[str, float]

    @classmethod
    def fit(cls, videos: pd.DataFrame, n_components: int, seed: int) -> "TableFeatures":
        """Fits on training videos, whose `views` are known.

        Args:
            videos: N validated videos.
            n_components: Size of each text's vector.
            seed: Of the text's SVD.
        """
        content = content_numbers(videos)
        log_views = np.log1p(videos["views"].to_numpy(np.float64))
        expectation = _fit_expectation(content, log_views)
        surplus = log_views - _expected(content, expectation)
        history = ChannelHistory.fit(videos, surplus, log_views)
        numbers = content.join(_history(history, videos))
        categories = _first_category(videos)
        return cls(
            numbers=[name for name in numbers if numbers[name].nunique() > 1],
            values={name: _frequent(categories[name]) for name in CATEGORICAL},
            category_weights=_frequent(videos["categories"].str.split("|").explode()),
            text=TextVectors.fit(videos, n_components, seed),
            history=history,
            expectation=expectation,
        )

    @property
    def categorical(self) -> list[str]:
        """Names of the categorical features: those with at least two values in the training videos."""
        return [name for name, known in self.values.items() if len(known) > 1]

    @property
    def names(self) -> list[str]:
        """Names of all features: numbers, category weights, categories, then texts."""
        weights = [f"category={name}" for name in self.category_weights]
        return [*self.numbers, *weights, *self.categorical, *self.text.names]

    def columns(self, *, text: bool) -> np.ndarray:
        """Returns the numbers of the features, with or without those of texts."""
        n_text = len(self.text.names)
        return np.arange(len(self.names) - (0 if text else n_text))

    def transform(self, videos: pd.DataFrame) -> np.ndarray:
        """Computes the features of M videos.

        Args:
            videos: M validated videos; their views, if any, are not looked at.

        Returns:
            (M, len(names)) float32. Missing numbers are NaN; categorical features are codes.
        """
        content = content_numbers(videos).join(_history(self.history, videos))
        categories = _first_category(videos)
        codes = [
            categories[name].map({value: code for code, value in enumerate(self.values[name], start=1)})
            for name in self.categorical
        ]
        return np.column_stack(
            [
                content[self.numbers].to_numpy(np.float32),
                _category_weights(videos["categories"], self.category_weights),
                *(code.fillna(0).to_numpy(np.float32) for code in codes),
                self.text.transform(videos),
            ]
        )

    def save(self, folder: Path) -> None:
        """Writes `features.json`, the channel history and one skops file per text."""
        config = {
            "numbers": self.numbers,
            "values": self.values,
            "category_weights": self.category_weights,
            "text": list(self.text.blocks),
            "expectation": self.expectation,
        }
        (folder / "features.json").write_text(json.dumps(config, indent=2, ensure_ascii=False))
        self.history.save(folder)
        self.text.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "TableFeatures":
        """Reads what `save` wrote."""
        config = json.loads((folder / "features.json").read_text())
        text = TextVectors.load(folder, config.pop("text"))
        return cls(**config, text=text, history=ChannelHistory.load(folder))


def _history(history: ChannelHistory, videos: pd.DataFrame) -> pd.DataFrame:
    values = history.transform(videos).astype(np.float32)
    return pd.DataFrame(values, columns=HISTORY_FEATURES, index=videos.index)


def _fit_expectation(content: pd.DataFrame, log_views: np.ndarray) -> dict[str, float]:
    """Fits what a video's age and its channel's size lead to expect; unknown columns drop out."""
    from sklearn.linear_model import Ridge

    used = [name for name in _EXPECTED_FROM if content[name].notna().any()]
    means = content[used].mean()
    model = Ridge(alpha=1.0).fit(content[used].fillna(means), log_views) if used else None
    coefficients = {} if model is None else dict(zip(used, map(float, model.coef_), strict=True))
    # A missing value counts as the mean, so that the intercept is the mean of log views.
    return (
        {f"mean_{name}": float(means[name]) for name in used}
        | coefficients
        | {"intercept": float(log_views.mean())}
    )


def _expected(content: pd.DataFrame, expectation: dict[str, float]) -> np.ndarray:
    expected = np.full(len(content), expectation["intercept"])
    for name in _EXPECTED_FROM:
        if name in expectation:
            centred = content[name].astype("float64") - expectation[f"mean_{name}"]
            expected += expectation[name] * centred.fillna(0.0).to_numpy()
    return expected


def _first_category(videos: pd.DataFrame) -> pd.DataFrame:
    """Returns the categorical columns; a video with several categories is in its first one."""
    first = videos["categories"].str.split("|").str[0]
    return videos[["definition", "caption", "language"]].assign(category=first)[CATEGORICAL]


def _frequent(column: pd.Series) -> list[str]:
    counts = column[column != ""].value_counts()
    return sorted(counts.index[counts >= _MIN_VIDEOS][:_MAX_VALUES])


def _category_weights(categories: pd.Series, known: list[str]) -> np.ndarray:
    """Returns the (N, len(known)) weight of each category: 1 for a video's first, 1/2 for its second, ..."""
    column = {name: number for number, name in enumerate(known)}
    weights = np.zeros((len(categories), len(known)), np.float32)
    for row, names in enumerate(categories.str.split("|")):
        for position, name in enumerate(names, start=1):
            if name in column:
                weights[row, column[name]] = 1 / position
    return weights
