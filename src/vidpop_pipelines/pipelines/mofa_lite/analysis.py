"""Nodes of `mofa_lite_analysis`: what the features are like, what they know about the targets, how the test differs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vidpop_pipelines.datasets.npy import NpyFolder
from vidpop_pipelines.features.reduction import nonzero
from vidpop_pipelines.pipelines.mofa_lite.inputs import validate_inputs
from vidpop_pipelines.pipelines.mofa_lite.parameters import MofaLiteParameters

# A value this many interquartile ranges outside of the quartiles is an outlier.
_FENCE = 3.0


@dataclass(frozen=True)
class SampledFolders:
    """Rows of both folders, in memory.

    Attributes:
        train: Features by modality, (n, width) float32, NaN where missing.
        test: The same of the test folder.
        targets: (n, T) of the train rows.
        names: Names of the targets.
    """

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    targets: np.ndarray
    names: list[str]


def sample_folders(
    train_folder: NpyFolder, test_folder: NpyFolder, parameters: MofaLiteParameters
) -> tuple[SampledFolders, pd.DataFrame]:
    """Validates both folders and reads some rows of each, drawn at random where there are more.

    Returns:
        The rows, and the problems of both folders with a column `folder`.
    """
    train, train_problems, _ = validate_inputs(train_folder, parameters.modalities, parameters.targets)
    test, test_problems, _ = validate_inputs(test_folder, list(train.modalities), None)
    rng = np.random.default_rng(parameters.seed)

    def draw(n_rows: int) -> np.ndarray:
        size = min(n_rows, parameters.analysis.max_rows)
        return np.sort(rng.choice(n_rows, size, replace=False))

    rows, test_rows = draw(len(train)), draw(len(test))
    sampled = SampledFolders(
        train={name: train.read(name, rows) for name in train.modalities},
        test={name: test.read(name, test_rows) for name in train.modalities},
        targets=train.targets[rows].astype(np.float64),
        names=parameters.targets,
    )
    problems = [train_problems.assign(folder="train"), test_problems.assign(folder="test")]
    return sampled, pd.concat(problems, ignore_index=True)


def describe_modalities(sampled: SampledFolders) -> pd.DataFrame:
    """Describes each modality in one row.

    Returns:
        Size, missing share, moments, row norms, skewness and kurtosis (medians over columns of absolute skewness and
        of excess kurtosis), share of outliers, constant columns, components that hold 90 % of the variance,
        largest absolute correlation of a column with each target, and drift: the median over columns of the
        Kolmogorov-Smirnov distance between train and test, and what 95 % of columns would stay below by chance.
    """
    table = []
    for name, values in sampled.train.items():
        filled = _fill(values)
        row = {"modality": name, "rows": len(values), "width": values.shape[1]}
        row |= {"missing_share": float(np.isnan(values).mean()), "rows_without_value": _empty_rows(values)}
        row |= {"mean": filled.mean(), "std": filled.std(), "min": filled.min(), "max": filled.max()}
        norms = np.linalg.norm(filled, axis=1)
        row |= {"norm_mean": norms.mean(), "norm_std": norms.std()}
        skewness, kurtosis = _shape(filled)
        row |= {"skewness": np.median(np.abs(skewness)), "kurtosis": np.median(kurtosis)}
        row |= {"outlier_share": _outlier_share(filled).mean(), "constant_columns": _constant(filled)}
        row["components_90"] = _components(filled, 0.9)
        relevance = np.abs(_correlate(filled, sampled.targets)).max(axis=0)
        row |= dict(zip((f"max_r_{target}" for target in sampled.names), relevance, strict=True))
        row["drift"] = float(np.median(_drift(values, sampled.test[name])))
        # Kolmogorov's limit distribution: 1.36 is its 95 % point.
        row["drift_by_chance"] = 1.36 * np.sqrt(1 / len(values) + 1 / len(sampled.test[name]))
        table.append(row)
    return pd.DataFrame(table)


def describe_targets(sampled: SampledFolders) -> pd.DataFrame:
    """Describes each target, and each further target's log ratio to the first, in one row.

    Returns:
        Moments, quantiles, share of zeros, and the correlation with every target.
    """
    from scipy.stats import kurtosis, skew

    columns = dict(zip(sampled.names, sampled.targets.T, strict=True))
    first = sampled.names[0]
    columns |= {f"{name} - {first}": columns[name] - columns[first] for name in sampled.names[1:]}
    table = []
    for name, values in columns.items():
        row = {"target": name, "mean": values.mean(), "std": values.std()}
        row |= {f"quantile_{q}": np.quantile(values, q / 100) for q in (0, 5, 25, 50, 75, 95, 100)}
        row |= {"skewness": skew(values), "kurtosis": kurtosis(values), "zero_share": np.mean(values == 0)}
        correlation = _correlate(values[:, None], sampled.targets)[0]
        row |= dict(zip((f"r_{target}" for target in sampled.names), correlation, strict=True))
        table.append(row)
    return pd.DataFrame(table)


def draw_targets(sampled: SampledFolders) -> Any:
    """Draws the distribution of each target."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import histograms

    return histograms(
        {name: {"train": values} for name, values in zip(sampled.names, sampled.targets.T, strict=True)},
        quantity="ln(count + 1)",
        title="Distribution of the targets",
    )


def draw_norms(sampled: SampledFolders) -> Any:
    """Draws the distribution of row norms of each modality, train and test."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import histograms

    norms = {
        name: {
            part: np.linalg.norm(_fill(folder[name], sampled.train[name]), axis=1)
            for part, folder in (("train", sampled.train), ("test", sampled.test))
        }
        for name in sampled.train
    }
    return histograms(norms, quantity="Euclidean norm of a row", title="Length of the feature vectors")


def draw_columns(sampled: SampledFolders) -> Any:
    """Draws the distribution of the columns' skewness, by modality."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import boxes

    return boxes(
        {name: _shape(_fill(values))[0] for name, values in sampled.train.items()},
        quantity="skewness of a column (0: symmetric)",
        title="Skewness of the columns of each modality",
    )


def draw_outliers(sampled: SampledFolders) -> Any:
    """Draws the share of outliers in each column, by modality."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import boxes

    return boxes(
        {name: _outlier_share(_fill(values)) for name, values in sampled.train.items()},
        quantity=f"share of a column's values beyond {_FENCE:g} interquartile ranges",
        title="Outliers in the columns of each modality",
        percent=True,
    )


def draw_correlations(sampled: SampledFolders) -> Any:
    """Draws the mean absolute correlation between columns, within and between modalities and with the targets."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import heatmap

    blocks = {name: _fill(values) for name, values in sampled.train.items()}
    blocks |= {name: values[:, None] for name, values in zip(sampled.names, sampled.targets.T, strict=True)}
    means = pd.DataFrame(index=list(blocks), columns=list(blocks), dtype=float)
    for left, a in blocks.items():
        for right, b in blocks.items():
            correlation = np.abs(_correlate(a, b))
            if left == right and len(correlation) > 1:
                correlation = correlation[~np.eye(len(correlation), dtype=bool)]
            means.loc[left, right] = correlation.mean()
    return heatmap(means, title="Mean absolute correlation of columns, within and between modalities")


def draw_relevance(sampled: SampledFolders) -> Any:
    """Draws how strongly the columns of each modality correlate with each target, strongest first."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import ranked_lines

    strengths = {
        name: np.sort(np.abs(_correlate(_fill(values), sampled.targets)), axis=0)[::-1]
        for name, values in sampled.train.items()
    }
    return ranked_lines(
        {
            target: {name: values[:, index] for name, values in strengths.items()}
            for index, target in enumerate(sampled.names)
        },
        quantity="absolute correlation",
        title="Correlation of single columns with the targets, strongest first",
    )


def draw_projection(sampled: SampledFolders) -> Any:
    """Draws each modality on its two main directions, coloured by the first target."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import scatters

    projections = {name: _project(_fill(values)) for name, values in sampled.train.items()}
    return scatters(
        projections, sampled.targets[:, 0], color_name=sampled.names[0], title="Main directions (PCA)"
    )


def draw_drift(sampled: SampledFolders) -> Any:
    """Draws how far the columns of the test folder are from those of the train folder."""
    from vidpop_pipelines.pipelines.mofa_lite.analysis_figures import boxes

    return boxes(
        {name: _drift(values, sampled.test[name]) for name, values in sampled.train.items()},
        quantity="Kolmogorov-Smirnov distance of a column, train against test (0: same distribution)",
        title="Drift between train and test",
    )


def build_report(
    modalities: pd.DataFrame, targets: pd.DataFrame, problems: pd.DataFrame, *figures: Any
) -> str:
    """Renders the HTML report of the analysis."""
    from vidpop_pipelines.evaluation.report import html_report

    counts = problems.groupby(["folder", "column", "reason"]).size()
    missing = "; ".join(
        f"{folder}, {column}, {reason}: {count}" for (folder, column, reason), count in counts.items()
    )
    notes = [f"Videos with missing values: {missing or 'none'}."]
    tables = {"Modalities": _upright(modalities), "Targets, as ln(count + 1)": _upright(targets)}
    return html_report("MoFA-Lite: features and targets", notes, tables, list(figures))


def _upright(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a wide table turned by 90 degrees, whole numbers without decimals."""
    name = table.columns[0]
    columns = {column: table[column].astype(object) for column in table.columns[1:]}
    turned = pd.DataFrame(columns).T.set_axis(table[name].tolist(), axis=1)
    return turned.rename_axis(name, axis=0).reset_index()


def _fill(values: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Returns float64 with the median of the column (of another array) in the place of NaN."""
    reference = values if reference is None else reference
    median = np.zeros(values.shape[1])
    some = ~np.isnan(reference).all(axis=0)
    median[some] = np.nanmedian(reference[:, some], axis=0)
    return np.where(np.isnan(values), median, values).astype(np.float64)


def _empty_rows(values: np.ndarray) -> int:
    return int(np.isnan(values).all(axis=1).sum())


def _constant(filled: np.ndarray) -> int:
    return int((np.ptp(filled, axis=0) == 0).sum())


def _shape(filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns skewness and excess kurtosis of each column, 0 where it is constant."""
    centred = filled - filled.mean(axis=0)
    scaled = centred / nonzero(centred.std(axis=0))
    spread = np.ptp(filled, axis=0) > 0
    return np.mean(scaled**3, axis=0), np.where(spread, np.mean(scaled**4, axis=0) - 3, 0)


def _outlier_share(filled: np.ndarray) -> np.ndarray:
    low, high = np.quantile(filled, [0.25, 0.75], axis=0)
    reach = _FENCE * (high - low)
    return np.mean((filled < low - reach) | (filled > high + reach), axis=0)


def _correlate(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns the Pearson correlation of all pairs of columns, 0 with a constant one."""
    a, b = ((part - part.mean(axis=0)) / nonzero(part.std(axis=0)) for part in (left, right))
    return a.T @ b / len(a)


def _components(filled: np.ndarray, share: float) -> int:
    variance = np.linalg.svd(_standardise(filled), compute_uv=False) ** 2
    total = variance.sum()
    return int(np.searchsorted(np.cumsum(variance) / total, share) + 1) if total > 0 else 0


def _project(filled: np.ndarray) -> np.ndarray:
    from sklearn.utils.extmath import randomized_svd

    standardised = _standardise(filled)
    width = min(2, filled.shape[1])
    _, _, directions = randomized_svd(standardised, n_components=width, random_state=0)
    return np.pad(standardised @ directions.T, ((0, 0), (0, 2 - width)))


def _standardise(filled: np.ndarray) -> np.ndarray:
    return (filled - filled.mean(axis=0)) / nonzero(filled.std(axis=0))


def _drift(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the Kolmogorov-Smirnov distance of each column; NaN where a side has no value."""
    return np.array([_ks(a[~np.isnan(a)], b[~np.isnan(b)]) for a, b in zip(train.T, test.T, strict=True)])


def _ks(a: np.ndarray, b: np.ndarray) -> float:
    if not len(a) or not len(b):
        return np.nan
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below = [np.searchsorted(part, both, side="right") / len(part) for part in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
