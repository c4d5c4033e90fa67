"""Every modality of the committed sample tells something about popularity, and none tells all."""

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def cross_validated_r2(features: np.ndarray, target: np.ndarray, model: object) -> float:
    """Returns the R2 of out-of-fold predictions; the mean scores about 0."""
    folds = KFold(5, shuffle=True, random_state=0)
    return r2_score(target, cross_val_predict(model, features, target, cv=folds))


def ridge(alpha: float = 3.0) -> object:
    return make_pipeline(StandardScaler(), Ridge(alpha))


@pytest.fixture(scope="module")
def tabular(committed: Path) -> pd.DataFrame:
    table = pd.read_csv(committed / "tabular.csv", index_col="video_id", keep_default_na=False)
    return table.assign(log_views=np.log2(table.views + 1))


def thumbnail_statistics(path: Path) -> list[float]:
    image = Image.open(path)
    rgb = np.asarray(image, dtype=float)
    grey = rgb.mean(axis=2)
    saturation = np.asarray(image.convert("HSV"), dtype=float)[..., 1]
    edges = np.abs(np.diff(grey, axis=1)).mean()
    return [saturation.mean(), grey.std(), edges, (grey > 230).mean(), *rgb.mean(axis=(0, 1))]


def clip_statistics(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(
            float
        )
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    return [np.median(change), change.mean(), change.std(), frames.std(), float((change > 8).sum())]


def test_thumbnails_predict_views(committed: Path, tabular: pd.DataFrame) -> None:
    covers = [path for path in sorted((committed / "thumbnails").iterdir()) if path.stem != "sample_00004"]
    features = np.array([thumbnail_statistics(path) for path in covers])
    target = tabular.log_views[[path.stem for path in covers]].to_numpy()
    assert 0.05 < cross_validated_r2(features, target, ridge()) < 0.5


def test_clips_predict_engagement(committed: Path) -> None:
    table = pd.read_csv(committed / "short_video.csv").set_index("video_path")
    clips = [path for path in sorted((committed / "videos").iterdir()) if path.stem != "sample_00008"]
    features = np.array([clip_statistics(path) for path in clips])
    ecr = table.ECR[[path.name for path in clips]].to_numpy()
    views = np.log2(table.views[[path.name for path in clips]].to_numpy() + 1)
    assert 0.2 < cross_validated_r2(features, ecr, ridge()) < 0.8
    assert 0.05 < cross_validated_r2(features, views, ridge()) < 0.5


def test_titles_predict_views(tabular: pd.DataFrame) -> None:
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True), Ridge(1.0)
    )
    r2 = cross_validated_r2(tabular.title.to_numpy(), tabular.log_views.to_numpy(), model)
    assert 0.05 < r2 < 0.5


def test_channel_and_category_predict_views(tabular: pd.DataFrame) -> None:
    channel = np.log(tabular[["channel_avg_views", "channel_video_count"]].to_numpy(dtype=float))
    category = pd.get_dummies(tabular.categories.str.split("|").str[0]).to_numpy(dtype=float)
    assert (
        0.2 < cross_validated_r2(np.hstack([channel, category]), tabular.log_views.to_numpy(), ridge()) < 0.8
    )


@pytest.mark.parametrize("modality", ["image", "video", "text"])
def test_precomputed_features_predict_counts(committed: Path, modality: str) -> None:
    folder = committed / "mofa"
    features = {
        part: np.nan_to_num(np.load(folder / part / f"{modality}_features.npy")) for part in ("train", "test")
    }
    counts = {part: np.load(folder / part / "popularity_counts.npy") for part in ("train", "test")}
    model = ridge(alpha=300).fit(features["train"], counts["train"])
    residual = counts["test"] - model.predict(features["test"])
    deviation = counts["test"] - counts["test"].mean(axis=0)
    nmse = (residual**2).sum(axis=0) / (deviation**2).sum(axis=0)
    assert nmse.mean() < 0.97
    assert nmse.min() > 0.3


def test_first_day_predicts_the_curve_but_does_not_settle_it(committed: Path) -> None:
    scores = pd.read_csv(committed / "smtpd.csv").iloc[:, 15:].dropna().to_numpy()
    first, later = scores[:, :1], scores[:, 1:]
    persistence = np.abs(later - first).mean()
    constant = np.abs(later - np.median(later, axis=0)).mean()
    line = np.mean(
        [np.abs(day - cross_val_predict(Ridge(1e-3), first, day, cv=5)).mean() for day in later.T],
    )
    assert line < 0.75 * constant
    assert line < 0.75 * persistence
    assert line > 0.5
