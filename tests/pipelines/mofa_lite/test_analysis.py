import numpy as np
import pytest
from mofa_folders import make_arrays, small_parameters, write_folder

from vidpop_pipelines.datasets.npy import NpyFolderDataset
from vidpop_pipelines.pipelines.mofa_lite import analysis


@pytest.fixture
def sampled(tmp_path):
    train, test = make_arrays(), make_arrays(60, seed=1)
    test["text_features"] = test["text_features"] + 2
    folders = [
        NpyFolderDataset(str(write_folder(tmp_path / name, arrays)), ["*.npy"]).load()
        for name, arrays in (("train", train), ("test", test))
    ]
    return analysis.sample_folders(*folders, small_parameters())


def test_modalities_are_described_one_per_row(sampled):
    table = analysis.describe_modalities(sampled[0]).set_index("modality")
    assert table["width"].to_dict() == {"audio": 3, "image": 6, "text": 5}
    assert table.at["image", "rows_without_value"] == 1
    assert table.at["image", "missing_share"] == pytest.approx(1 / 80)
    # Only image and text are in the targets, and only text has moved by two standard deviations.
    assert table["max_r_views"].idxmin() == "audio" and table.at["image", "max_r_views"] > 0.5
    assert table.at["text", "drift"] > 0.5 > table.at["text", "drift_by_chance"] > table.at["audio", "drift"]


def test_targets_are_described_with_their_log_ratios(sampled):
    table = analysis.describe_targets(sampled[0]).set_index("target")
    assert list(table.index) == ["views", "likes", "comments", "likes - views", "comments - views"]
    assert table.at["views", "r_views"] == pytest.approx(1)
    assert table.at["likes", "r_views"] > 0.8
    difference = sampled[0].targets[:, 1] - sampled[0].targets[:, 0]
    assert table.at["likes - views", "mean"] == pytest.approx(difference.mean())


def test_problems_of_both_folders_are_listed(sampled):
    problems = sampled[1]
    assert problems.groupby("folder").size().to_dict() == {"train": 2, "test": 2}


def test_small_numbers_by_hand():
    values = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0], [100.0, 5.0]])
    np.testing.assert_allclose(analysis._outlier_share(values), [0.2, 0])
    assert analysis._constant(values) == 1
    skewness, kurtosis = analysis._shape(values)
    assert skewness[0] > 1.4 and skewness[1] == kurtosis[1] == 0
    np.testing.assert_allclose(analysis._correlate(values, -values[:, :1]), [[-1], [0]], atol=1e-12)
    np.testing.assert_allclose(analysis._drift(values[:, :1], values[:, :1] + 1.5), [0.4])
    assert np.isnan(analysis._drift(values[:, :1] * np.nan, values[:, :1])).all()
    assert analysis._components(np.diag([1.0, 1, 0, 0]) - 0.5, 0.9) == 2


def test_rows_are_drawn_where_there_are_many(tmp_path):
    folder = NpyFolderDataset(str(write_folder(tmp_path, make_arrays())), ["*.npy"]).load()
    sampled, _ = analysis.sample_folders(folder, folder, small_parameters(analysis={"max_rows": 30}))
    assert sampled.targets.shape == (30, 3) and sampled.test["text"].shape == (30, 5)
    match = (sampled.train["audio"][0] == make_arrays()["audio_features"]).all(axis=1)
    np.testing.assert_allclose(sampled.targets[0], make_arrays()["popularity_counts"][match][0])


@pytest.mark.parametrize(
    "name", ["targets", "norms", "columns", "outliers", "correlations", "relevance", "projection", "drift"]
)
def test_figures_have_titles_axes_and_data(sampled, name):
    figure = getattr(analysis, f"draw_{name}")(sampled[0])
    assert figure.data and figure.layout.title.text
    figure.to_json()


def test_correlations_are_strong_where_the_targets_are_made_of_the_columns(sampled):
    (cells,) = analysis.draw_correlations(sampled[0]).data
    table = dict(zip(cells.x, np.array(cells.z), strict=True))
    # Rows and columns are audio, image, text, views, likes, comments.
    assert table["views"][3] == pytest.approx(1)
    assert table["image"][3] > table["audio"][3]
    np.testing.assert_allclose(np.array(cells.z), np.array(cells.z).T, atol=1e-9)
