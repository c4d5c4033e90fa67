"""The client against a server that answers as MLflow's does; the real one is asked in test_what_if_page.py."""

import json

import pytest
from fake_model import answering

from vidpop_pipelines.what_if.client import ModelClient, Refused, Unanswered


def test_videos_are_asked_in_one_request():
    with answering(lambda _: (200, b'{"predictions": [{"video_id": "a"}]}')) as (url, got):
        assert ModelClient(f"{url}/").ask([{"title": "a"}, {"title": None}]) == [{"video_id": "a"}]
        assert ModelClient(url).is_ready()
    assert got == [("/invocations", {"dataframe_records": [{"title": "a"}, {"title": None}]})]


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("Video 0, field 'day_1': got -3.0.\nExpected: 0 to 50.", "day_1", "got -3.0. Expected: 0 to 50."),
        (
            "Failed to predict data '  title\n0 a'. \nError: Video 3, field 'thumbnail': no picture.",
            "thumbnail",
            "no picture.",
        ),
        ("Model is missing inputs ['day_1'].", None, "Model is missing inputs ['day_1']."),
    ],
)
def test_refusal_names_field_and_reason(message, field, said):
    content = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message}).encode()
    with answering(lambda _: (400, content)) as (url, _), pytest.raises(Refused) as refused:
        ModelClient(url).ask([{}])
    assert (refused.value.field, refused.value.message) == (field, said)


def test_refusal_without_a_reason_is_one_too():
    with answering(lambda _: (400, b"<html>")) as (url, _), pytest.raises(Refused, match="does not say why"):
        ModelClient(url).ask([{}])


@pytest.mark.parametrize(("status", "content"), [(500, b"{}"), (200, b"<html>"), (200, b"{}"), (200, b"[]")])
def test_everything_else_is_a_fault_of_the_server(status, content):
    with answering(lambda _: (status, content)) as (url, _), pytest.raises(Unanswered, match=url):
        ModelClient(url).ask([{}])


def test_absent_server_does_not_answer():
    with answering(lambda _: (200, b"")) as (url, _):
        pass
    assert not ModelClient(url).is_ready()
    with pytest.raises(Unanswered, match="No model answers"):
        ModelClient(url).ask([{}])
