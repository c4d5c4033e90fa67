"""The page without a browser: Streamlit runs it against a server that answers as a model does."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from fake_model import answering
from streamlit.testing.v1 import AppTest

import vidpop_pipelines.what_if
from vidpop_pipelines.what_if.launch import Settings

PAGE = Path(vidpop_pipelines.what_if.__file__).with_name("page.py")
INPUTS = [
    {"name": "title", "type": "string", "required": False},
    {"name": "duration", "type": "double", "required": False},
    {"name": "day_1", "type": "double", "required": True},
]
OUTPUTS = ["video_id", "day", "y_pred", "lower", "upper"]


def forecast(videos: list[dict]) -> tuple[int, bytes]:
    """Ten times the views of day 1 by day 2, a title doubles them; refuses negative durations."""
    rows = []
    for number, video in enumerate(videos):
        if (video["duration"] or 0) < 0:
            return 400, json.dumps({"message": f"Video {number}, field 'duration': negative."}).encode()
        views = (2 ** video["day_1"] - 1) * 10 * (2 if video["title"] else 1)
        score = np.log2(views / 2 + 1)
        rows.append({"video_id": "", "day": 2, "y_pred": score, "lower": score - 1, "upper": score + 1})
    return 200, json.dumps({"predictions": rows}).encode()


def open_page(monkeypatch, url: str, inputs: list[dict]) -> AppTest:
    settings = Settings("smtpd_ep", "3", url, inputs, OUTPUTS, 0.9)
    monkeypatch.setattr(sys, "argv", ["page.py", json.dumps(asdict(settings))])
    return AppTest.from_file(str(PAGE), default_timeout=60).run()


@pytest.fixture
def page(monkeypatch):
    with answering(forecast) as (url, _):
        yield open_page(monkeypatch, url, INPUTS)


def test_page_starts_with_a_forecast_and_follows_the_inputs(page):
    assert not page.exception
    assert page.metric[0].label == "Views until day 2" and page.metric[0].value == "10,000"
    assert any("90% interval: 5,000 to 20,000" in text.value for text in page.markdown)
    page.text_input(key="title").input("Bread").run()
    assert page.metric[0].value == "20,000" and page.metric[0].delta == "+100.0% against before"
    page.number_input(key="day_1").set_value(500).run()
    assert page.metric[0].value == "10,000" and page.metric[0].delta == "-50.0% against before"


def test_held_forecast_stays_the_one_to_compare_with(page):
    page.toggle(key="_hold").set_value(True).run()
    page.number_input(key="day_1").set_value(2000).run()
    page.number_input(key="day_1").set_value(3000).run()
    assert page.metric[0].value == "30,000" and page.metric[0].delta == "+200.0% against before"
    page.toggle(key="_hold").set_value(False).run()
    assert page.metric[0].delta == "+50.0% against before"


def test_refused_value_is_said_at_its_field_and_gone_when_mended(page):
    page.number_input(key="duration").set_value(-1).run()
    assert [error.value for error in page.sidebar.error] == ["negative."]
    assert "**Duration (seconds)**: negative." in page.main.error[0].value and not page.metric
    page.number_input(key="duration").set_value(10).run()
    assert not page.error and page.metric[0].value == "10,000"


def test_required_input_is_asked_for(monkeypatch):
    required = [column | {"required": True} for column in INPUTS]
    with answering(forecast) as (url, posted):
        page = open_page(monkeypatch, url, required)
        assert page.info[0].value == "Enter Title, Duration (seconds): the model needs it."
        assert not page.metric and not posted
        page.text_input(key="title").input("Bread").run()
        page.number_input(key="duration").set_value(10).run()
        assert page.metric[0].value == "20,000"


def test_model_that_is_gone_is_said_without_a_traceback(monkeypatch):
    with answering(lambda _: (500, b"")) as (url, _):
        page = open_page(monkeypatch, url, INPUTS)
    assert not page.exception
    assert page.error[0].value.startswith(f"The model's server at {url} failed with status 500.")


def test_server_of_another_family_is_said_without_a_traceback(monkeypatch):
    content = b'{"predictions": [{"video_id": "", "popular": true, "y_pred": 0.5}]}'
    with answering(lambda _: (200, content)) as (url, _):
        page = open_page(monkeypatch, url, INPUTS)
    assert not page.exception and not page.metric
    assert "without day, lower, upper: it serves another model" in page.error[0].value
