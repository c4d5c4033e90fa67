import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kedro.io import DataCatalog
from kedro.validation.exceptions import DataValidationError

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.evaluation.predictions import (
    build_predictions,
    to_matrix,
    validate_forecast,
    validate_predictions,
)


def two_videos(**changes) -> pd.DataFrame:
    """Two videos, days 2 and 3, the truth of the second video missing on day 3."""
    arguments = {
        "video_ids": ["b", "a"],
        "y_pred": [[1.0, 2.0], [3.0, 4.0]],
        "target": "popularity_score",
        "steps": [2, 3],
        "split": "test",
        "fold": 0,
        "y_true": [[1.5, 2.5], [3.5, np.nan]],
        "lower": [[0.0, 1.0], [2.0, 3.0]],
        "upper": [[2.0, 3.0], [4.0, 5.0]],
        "members": {"network": [[1.0, 1.0], [1.0, 1.0]]},
    }
    return build_predictions(**(arguments | changes))


def test_rows_columns_and_dtypes_are_those_of_the_contract():
    table = two_videos()
    expected = {
        "video_id": ["b", "b", "a", "a"],
        "split": ["test"] * 4,
        "fold": [0] * 4,
        "target": ["popularity_score"] * 4,
        "step": [2, 3, 2, 3],
        "y_true": [1.5, 2.5, 3.5, np.nan],
        "y_pred": [1.0, 2.0, 3.0, 4.0],
        "lower": [0.0, 1.0, 2.0, 3.0],
        "upper": [2.0, 3.0, 4.0, 5.0],
        "y_pred_network": [1.0] * 4,
    }
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_dtype=False)
    assert table.dtypes.astype(str).to_dict() == {
        "video_id": "str",
        "split": "str",
        "fold": "int16",
        "target": "str",
        "step": "int16",
        "y_true": "float32",
        "y_pred": "float32",
        "lower": "float32",
        "upper": "float32",
        "y_pred_network": "float32",
    }


def test_table_is_the_same_after_parquet(tmp_path):
    table = two_videos()
    table.to_parquet(tmp_path / "predictions.parquet")
    read = pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(read, table)
    pd.testing.assert_frame_equal(validate_predictions(read), table)


def test_without_intervals_and_truth():
    forecast = two_videos(y_true=None, lower=None, upper=None, members=None)
    assert "y_true" not in forecast and forecast["lower"].isna().all()
    validate_forecast(forecast)
    with pytest.raises(InputError, match="y_true"):
        validate_predictions(forecast)
    with pytest.raises(InputError, match="y_true"):
        validate_forecast(two_videos())


def test_split_and_fold_per_video_and_wide_dtype():
    table = two_videos(
        split=["val", "test"], fold=[1, 2], y_pred=np.full((2, 2), 123456789.0), dtype=np.float64
    )
    assert table["split"].tolist() == ["val", "val", "test", "test"]
    assert table["fold"].tolist() == [1, 1, 2, 2]
    assert table["y_pred"].tolist() == [123456789.0] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"y_pred": [[1.0, 2.0]]},
        {"lower": [1.0, 2.0]},
        {"split": ["test"]},
        {"fold": [1, 2, 3]},
        {"steps": [2]},
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match="shape|values"):
        two_videos(**changes)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("split", "calibration", "one of train, val, test"),
        ("fold", 0.5, "integer"),
        ("step", -1, "negative"),
        ("y_pred", np.nan, r"y_pred: must not be missing \(row 0 of the table; 1 such rows\)"),
        ("y_pred", np.inf, "infinite"),
        ("y_true", np.inf, "infinite"),
        ("y_pred_network", -np.inf, "infinite"),
        ("lower", 9.0, "lower must be at most upper"),
        ("lower", np.nan, "both present or neither"),
        (
            "step",
            3,
            r"row: every \(video_id, split, fold, target, step\) must be there once \(row 0 .* 2 such",
        ),
    ],
)
def test_broken_rules_are_named(column, value, rule):
    table = two_videos().astype({"fold": float} if column == "fold" else {})
    table.loc[0, column] = value
    with pytest.raises(InputError, match=rf"(?s)forecasts/x.parquet.*{rule}"):
        validate_predictions(table, source="forecasts/x.parquet")


def test_unknown_column_and_text_as_category_are_refused():
    with pytest.raises(InputError, match="column residual: is not part of the table"):
        validate_predictions(two_videos().assign(residual=0.0))
    with pytest.raises(InputError, match="video_id: must be a text column"):
        validate_predictions(two_videos().astype({"video_id": "category"}))


def test_members_may_be_missing_where_they_give_no_forecast():
    validate_predictions(two_videos(members={"persistence": np.full((2, 2), np.nan)}))


def test_validator_of_a_catalog_entry(tmp_path):
    catalog = DataCatalog.from_config(
        {
            "predictions": {
                "type": "pandas.ParquetDataset",
                "filepath": str(tmp_path / "predictions.parquet"),
                "validator": "vidpop_pipelines.evaluation.predictions.validate_predictions",
            }
        }
    )
    catalog.save("predictions", two_videos())
    pd.testing.assert_frame_equal(catalog.load("predictions"), two_videos())
    with pytest.raises(DataValidationError, match="must not be missing"):
        catalog.save("predictions", two_videos(y_pred=np.full((2, 2), np.nan)))


cells = arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32) | st.just(np.nan))


@given(y_true=cells, order=st.permutations(range(12)))
def test_to_matrix_undoes_build_in_any_row_order(y_true, order):
    y_pred = np.arange(12, dtype=np.float32).reshape(3, 4)
    ids = ["x", "y", "z"]
    table = build_predictions(
        ids, y_pred, target="score", steps=[4, 1, 3, 2], split="val", fold=[0, 1, 2], y_true=y_true
    ).iloc[list(order)]
    matrix = to_matrix(table)
    rows = [list(matrix.video_ids).index(video_id) for video_id in ids]
    by_day = np.argsort([4, 1, 3, 2])
    assert matrix.steps.tolist() == [1, 2, 3, 4]
    assert matrix.folds[rows].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(matrix.columns["y_true"][rows], y_true[:, by_day])
    np.testing.assert_array_equal(matrix.columns["y_pred"][rows], y_pred[:, by_day])


def test_to_matrix_keeps_splits_and_folds_apart():
    table = pd.concat([two_videos(), two_videos(split="val", fold=1, y_pred=[[5.0, 6.0], [7.0, 8.0]])])
    matrix = to_matrix(table)
    assert matrix.video_ids.tolist() == ["b", "a", "b", "a"]
    assert matrix.splits.tolist() == ["test", "test", "val", "val"]
    assert matrix.folds.tolist() == [0, 0, 1, 1]
    assert to_matrix(table, split="val").columns["y_pred"].tolist() == [[5.0, 6.0], [7.0, 8.0]]
    assert to_matrix(table, columns=["y_pred"]).columns.keys() == {"y_pred"}


def test_absent_rows_are_nan_and_members_are_named():
    matrix = to_matrix(two_videos().iloc[[0, 1, 3]])
    np.testing.assert_array_equal(matrix.columns["y_pred"], [[1.0, 2.0], [np.nan, 4.0]])
    assert list(matrix.members()) == ["network"]


def test_to_matrix_refuses_what_is_ambiguous():
    two_targets = pd.concat([two_videos(), two_videos(target="views")])
    assert to_matrix(two_targets, target="views").columns["y_pred"].shape == (2, 2)
    with pytest.raises(InputError, match="'popularity_score', 'views'"):
        to_matrix(two_targets)
    with pytest.raises(InputError, match="'train'"):
        to_matrix(two_videos(), split="train")
    with pytest.raises(InputError, match="repeats rows"):
        to_matrix(pd.concat([two_videos(), two_videos()]))


def test_imports_are_light():
    modules = ("predictions", "metrics", "splits", "intervals", "comparison", "figures")
    code = (
        "import sys\n"
        + "\n".join(f"import vidpop_pipelines.evaluation.{module}" for module in modules)
        + "\nprint([name for name in ('pandera', 'sklearn', 'scipy.stats', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
