"""The client against a server that answers as MLflow's does; the real one is asked in test_what_if_page.py."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from fake_model import answering

from vidpop_pipelines.what_if.client import ModelClient, Refused, Unanswered


@contextlib.contextmanager
def speaking(words: bytes) -> Iterator[str]:
    """Greets whoever connects, as servers of other protocols do; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(words)
                        connection.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            # Closing alone does not wake a thread that waits for connections.
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def proxied(monkeypatch):
    """Sets an HTTP proxy, as companies do."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return lambda address: monkeypatch.setenv("http_proxy", address)


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


@pytest.mark.parametrize(
    ("status", "content"),
    [(500, b"{}"), (200, b"<html>"), (200, b"{}"), (200, b"[]"), (200, b'{"predictions": null}')],
)
def test_everything_else_is_a_fault_of_the_server(status, content):
    with answering(lambda _: (status, content)) as (url, _), pytest.raises(Unanswered, match=url):
        ModelClient(url).ask([{}])


def test_absent_server_does_not_answer():
    with answering(lambda _: (200, b"")) as (url, _):
        pass
    assert not ModelClient(url).is_ready()
    with pytest.raises(Unanswered, match="No model answers"):
        ModelClient(url).ask([{}])


def test_this_machine_is_asked_past_a_proxy(proxied):
    proxied("http://127.0.0.1:9")
    with answering(lambda _: (200, b'{"predictions": []}')) as (url, _):
        for address in (url, url.replace("127.0.0.1", "localhost")):
            assert ModelClient(address).is_ready() and ModelClient(address).ask([{}]) == []


def test_another_machine_is_asked_through_the_proxy(proxied):
    with answering(lambda _: (200, b'{"predictions": []}')) as (url, got):
        proxied(url)
        assert ModelClient("http://model.invalid").ask([{}]) == []
    assert got == [("http://model.invalid/invocations", {"dataframe_records": [{}]})]


def test_server_of_another_protocol_does_not_answer():
    with speaking(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        assert not ModelClient(url).is_ready()
        with pytest.raises(Unanswered, match=f"No model answers at {url}"):
            ModelClient(url).ask([{}])


@pytest.mark.parametrize(
    "address", ["127.0.0.1:5001", "localhost:5001", "http://[", "http://a b", "http://h:x", ""]
)
def test_what_is_no_address_does_not_answer(address):
    assert not ModelClient(address).is_ready()
    with pytest.raises(Unanswered, match="No model answers"):
        ModelClient(address).ask([{}])
