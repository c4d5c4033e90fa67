import io
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vidpop_pipelines.pipelines import sample_data
from vidpop_pipelines.pipelines.sample_data.dirt import UNKNOWN_CATEGORY
from vidpop_pipelines.pipelines.sample_data.media import render_clip, render_thumbnail
from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.universe import draw_videos
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES

TABLES = ("smtpd.csv", "tabular.csv", "short_video.csv", "splits.csv")
README = Path(sample_data.__file__).parent / "README.md"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def frames(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(
            float
        )


def test_same_parameters_give_the_same_bytes(generate: Callable[..., Path], tmp_path: Path) -> None:
    first = contents(generate(tmp_path / "first", videos=12))
    assert first == contents(generate(tmp_path / "second", videos=12))
    assert len(first) >= 4 + 2 * 5 + 2 * 10
    assert first != contents(generate(tmp_path / "other", videos=12, seed=7))
    # A smaller sample into the same folder leaves nothing of the larger one.
    smaller = contents(generate(tmp_path / "first", videos=10))
    assert "videos/sample_00012.mp4" in first
    assert not [name for name in smaller if re.search("sample_0001[12]", name)]
    assert smaller["videos/sample_00001.mp4"] == first["videos/sample_00001.mp4"]


@pytest.mark.parametrize("name", TABLES)
def test_committed_tables_are_what_the_pipeline_writes(
    default_tables: Path, committed: Path, name: str
) -> None:
    assert (default_tables / name).read_bytes() == (committed / name).read_bytes()


def test_committed_features_are_what_the_pipeline_writes(default_tables: Path, committed: Path) -> None:
    written = sorted(path.relative_to(default_tables) for path in (default_tables / "mofa").rglob("*.*"))
    assert written == sorted(path.relative_to(committed) for path in (committed / "mofa").rglob("*.*"))
    for path in written:
        if path.suffix == ".npy":
            # Linear algebra libraries differ in the last bits.
            new, old = np.load(default_tables / path), np.load(committed / path)
            np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)
        else:
            assert (default_tables / path).read_bytes() == (committed / path).read_bytes()


@pytest.mark.parametrize("row", [0, 57, 211, 399])
def test_committed_media_are_what_the_pipeline_draws(committed: Path, row: int) -> None:
    params = SampleDataParameters()
    video = draw_videos(params).iloc[row].to_dict()
    thumbnail = (committed / "thumbnails" / f"{video['video_id']}.jpg").read_bytes()
    clip = (committed / "videos" / f"{video['video_id']}.mp4").read_bytes()
    # Pictures, not bytes: another release of the JPEG or H.264 library may encode them differently.
    drawn = np.asarray(Image.open(io.BytesIO(render_thumbnail(video, params.seed, row))), dtype=float)
    assert np.abs(drawn - np.asarray(Image.open(io.BytesIO(thumbnail)), dtype=float)).mean() < 1
    assert np.abs(frames(render_clip(video, params.seed, row)) - frames(clip)).mean() < 1


def test_committed_sample_is_small(committed: Path) -> None:
    sizes = [path.stat().st_size for path in committed.rglob("*") if path.is_file()]
    assert sum(sizes) <= 8_000_000
    assert len(sizes) <= 820


def test_smtpd_table_is_valid(committed: Path) -> None:
    table = pd.read_csv(committed / "smtpd.csv", dtype=str)
    assert table.shape == (400, 45)
    assert table.video_id.is_unique
    assert table.video_id.str.fullmatch(r"sample_\d{5}").all()
    numbers = table.iloc[:, 10:].apply(pd.to_numeric).to_numpy()
    assert (numbers[~np.isnan(numbers)] >= 0).all()
    assert not np.isnan(numbers[:, 5:]).all(axis=1).any()
    assert set(table.category.dropna()) == {*CATEGORIES, UNKNOWN_CATEGORY}


def count_defects(sample: Path) -> dict[str, int]:
    """Counts the defects from the files alone, as a user would find them."""
    smtpd, tabular = pd.read_csv(sample / "smtpd.csv"), pd.read_csv(sample / "tabular.csv")
    scores = smtpd.iloc[:, 15:].isna().to_numpy()
    covers = list((sample / "thumbnails").iterdir())
    clips = list((sample / "videos").iterdir())
    features = {
        modality: np.concatenate(
            [np.load(sample / "mofa" / part / f"{modality}_features.npy") for part in ("train", "test")]
        )
        for modality in ("image", "video", "text")
    }
    return {
        "cover missing": len(smtpd) - len(covers),
        "cover corrupt": sum(not is_readable_image(path) for path in covers),
        "clip missing": len(smtpd) - len(clips),
        "clip corrupt": sum(not is_readable_clip(path) for path in clips),
        "title empty": smtpd.title.isna().sum(),
        "keywords empty": smtpd.keywords.isna().sum(),
        "description empty": smtpd.description.isna().sum(),
        "category empty": smtpd.category.isna().sum(),
        "category unknown": (smtpd.category == UNKNOWN_CATEGORY).sum(),
        "numbers empty, followers": smtpd.followers.isna().sum(),
        "numbers empty, others": smtpd[["duration", "posts", "title_len", "tag_count"]].isna().sum().sum(),
        "day 1 missing": scores[:, 0].sum(),
        "videos with missing days": scores.any(axis=1).sum(),
        "missing days in all": scores.sum(),
        "subscribers hidden": tabular.subscribers.isna().sum(),
        "likes disabled": tabular.likes.isna().sum(),
        "comments disabled": tabular.comments.isna().sum(),
        "daily views missing": tabular.views_day_1.isna().sum(),
        **{f"{name} features NaN": np.isnan(array).all(axis=1).sum() for name, array in features.items()},
    }


def is_readable_image(path: Path) -> bool:
    try:
        Image.open(path).load()
    except OSError:
        return False
    return True


def is_readable_clip(path: Path) -> bool:
    try:
        with av.open(str(path)) as container:
            next(container.decode(video=0))
    except av.error.InvalidDataError:
        return False
    return True


def test_defects_are_those_that_the_readme_lists(committed: Path) -> None:
    listed = dict(re.findall(r"^\| ([\w ,]+) \| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE))
    counted = count_defects(committed)
    assert {name: int(count) for name, count in listed.items()} == counted
    assert counted["cover corrupt"] == 1
    assert min(counted.values()) >= 1
