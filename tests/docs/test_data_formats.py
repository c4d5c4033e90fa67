"""docs/data_formats.md says what the code reads and writes."""

import re

import numpy as np
import pandas as pd
import planted
import pytest
from documentation import tables
from tests_project import ROOT

from vidpop_pipelines.evaluation.predictions import build_predictions, predictions_schema
from vidpop_pipelines.evaluation.recompute import recompute_metrics
from vidpop_pipelines.pipelines.short_video import table as short_video
from vidpop_pipelines.pipelines.smtpd import table as smtpd
from vidpop_pipelines.pipelines.tabular import columns as tabular
from vidpop_pipelines.run_record import RunRecord

DOCUMENT = ROOT / "docs/data_formats.md"
CODE = re.compile(r"`([^`]+)`")


def first_column(heading: str, place: int = 0) -> list[str]:
    """Returns the code in the first column of a section's table."""
    return [name for row in tables(DOCUMENT)[heading][place] for name in CODE.findall(row[0])]


@pytest.mark.parametrize(
    ("heading", "synonyms"),
    [
        ("Table of videos (`tabular.csv`), for `ensemble` and `multitask`", tabular._SYNONYMS),
        (
            "Table of short videos (`short_video.csv`) and videos (`short_video.videos`)",
            short_video._SYNONYMS,
        ),
    ],
)
def test_recognised_names_are_those_of_the_code(heading, synonyms):
    documented = {}
    for row in tables(DOCUMENT)[heading][0]:
        field = CODE.findall(row[0])[0]
        documented[field] = [" ".join(CODE.findall(tier)) for tier in row[2].split(" else ")]
    documented.pop("views_day_<d>", None)
    assert documented == synonyms


def test_columns_that_are_never_features_are_those_of_the_code():
    text = DOCUMENT.read_text().partition("because they contain the answer:")[2].partition("\n- ")[0]
    assert CODE.findall(text) == tabular._ANSWERS.split()


def test_smtpd_columns_are_those_of_the_code():
    rows = tables(DOCUMENT)["SMTPD table (`smtpd.csv`) and thumbnails (`smtpd.images`)"][0]
    documented = {CODE.findall(row[1])[0]: int(row[0]) - 1 for row in rows if row[1].startswith("`")}
    assert documented == smtpd._POSITIONS


def test_columns_of_predictions_are_those_of_the_contract():
    documented = first_column("`07_model_output/<pipeline>/predictions.parquet`")
    schema = predictions_schema().columns
    assert {name.replace("<member>", ".+") for name in documented} == set(schema)


def views_with_interval() -> pd.DataFrame:
    table = planted.views_table(planted.noise(1, 0.2))
    return table.assign(lower=table["y_pred"] * 0.5, upper=table["y_pred"] * 2, y_pred_median=1.0)


def further_targets() -> pd.DataFrame:
    """A number and a class, as `multitask` writes them."""
    common = {"steps": [0], "split": "test", "fold": -1}
    ratio, grows = np.linspace(0, 1, 60)[:, None], (np.arange(60) % 2)[:, None]
    parts = [build_predictions(planted.IDS, ratio, target="like_ratio", y_true=ratio**2, **common)]
    for stage, truth in (("growth", grows), ("decay", 1 - grows)):
        probability = np.full((60, 1), 0.5)
        parts.append(
            build_predictions(
                planted.IDS, probability, target=f"lifecycle_stage={stage}", y_true=truth, **common
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("predictions", "published"),
    [
        (planted.curve_table(planted.noise(1, 0.5)), {"amae_1_4": 0}),
        (planted.classifier_table(1, 0.5), {}),
        (views_with_interval(), {}),
        (further_targets(), {}),
        (planted.views_table(planted.noise(1, 0.2), units="log1p"), {"nmse_views": 0}),
    ],
    ids=["curve", "classifier", "views", "further targets", "log counts"],
)
def test_every_metric_is_described(predictions, published):
    documented = first_column("`08_reporting/<pipeline>/metrics.json`")
    patterns = [re.compile(re.sub("<[a-z]+>", r"\\w+", name)) for name in documented]
    targets = "|".join(name.partition("=")[0] for name in predictions["target"].unique())
    for key in recompute_metrics(predictions, published):
        name = re.sub(f"^({targets})_", "", key.partition(".")[0])
        assert any(pattern.fullmatch(name) for pattern in patterns), key


def test_run_json_and_data_report_are_described():
    documented = set(first_column("`08_reporting/<pipeline>/run.json`"))
    of_hook = {"environment", "git_commit", "runtime_parameters"}
    assert set(RunRecord("a family").summary()) | of_hook == documented
    report = first_column("`08_reporting/<pipeline>/data_report.json`")
    assert {"source", "rows_read", "rows_used", "left_out", "missing"} <= set(report)
