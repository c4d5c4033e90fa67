import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from fake_model import answering
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from tests_project import hear_hangups

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.registry import Version
from vidpop_pipelines.what_if.launch import read_signature, show_page

# In place of the page: a process that ends well, and has started one that does not.
LAUNCH = """
import sys
from vidpop_pipelines.what_if import launch

STUBBORN = "trap '' TERM HUP INT; echo shown; exec sleep 60"
launch.read_signature = lambda *_: {"inputs": [], "outputs": [], "coverage": None}
launch._page_command = lambda *_: (["sh", "-c", 'sh -c "$1" & wait', "sh", STUBBORN], None)
launch.show_page("ensemble", "7", "127.0.0.1", 0, sys.argv[1])
"""


def register(monkeypatch, outputs: list[str], parameters: dict[str, str]) -> None:
    """Lets version 7 of every model have one input and these outputs."""
    signature = ModelSignature(
        Schema([ColSpec("double", "day_1", required=True)]),
        Schema([ColSpec("double", name) for name in outputs]),
    )
    monkeypatch.setattr("mlflow.models.get_model_info", lambda _: SimpleNamespace(signature=signature))
    monkeypatch.setattr(
        "vidpop_pipelines.registry.read_version", lambda *_: Version("7", "run", {}, {}, parameters)
    )


def test_page_knows_inputs_outputs_and_coverage_of_the_version(monkeypatch):
    register(monkeypatch, ["day", "y_pred"], {"interval.coverage": "0.8"})
    assert read_signature("smtpd_ep", "7") == {
        "inputs": [{"type": "double", "name": "day_1", "required": True}],
        "outputs": ["day", "y_pred"],
        "coverage": 0.8,
    }
    register(monkeypatch, ["predicted_views"], {})
    assert read_signature("ensemble", "7")["coverage"] is None


def test_model_without_a_form_is_an_error_that_names_those_with_one(monkeypatch):
    register(monkeypatch, ["target", "y_pred"], {})
    with pytest.raises(
        InputError, match="(?s)mofa_lite has none.*smtpd_ep, smtpd_no_ep, ensemble or multitask"
    ):
        read_signature("mofa_lite", "7")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_server_that_was_named_must_answer(monkeypatch, url):
    register(monkeypatch, ["predicted_views"], {})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(InputError, match=f"(?s)No model answers at {url}.*such as http://"):
        show_page("ensemble", "7", "127.0.0.1", 0, url)


@contextlib.contextmanager
def launched(*before: str) -> Iterator[subprocess.Popen]:
    """Runs LAUNCH, over a server that answers, until its page is shown."""
    with answering(lambda _: (200, b"")) as (url, _):
        process = subprocess.Popen(
            [*before, sys.executable, "-c", LAUNCH, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_hangups,
        )
        try:
            assert process.stdout.readline().startswith("the page is on http://127.0.0.1:")
            assert process.stdout.readline() == "shown\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_all_processes(number):
    with launched() as process:
        # A closed terminal may send it twice.
        process.send_signal(number)
        process.send_signal(number)
        # Ends when no process is left that could write.
        assert process.communicate(timeout=20) == ("", "") and process.returncode == 0


def test_ignored_signal_stays_ignored():
    """As under nohup."""
    with launched("sh", "-c", 'trap "" HUP; exec "$@"', "sh") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.communicate(timeout=20) == ("", "") and process.returncode == 0


def test_port_that_is_taken_is_said_before_a_server_is_started(monkeypatch):
    register(monkeypatch, ["predicted_views"], {})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"can't listen on 127.0.0.1:{port}"):
            show_page("ensemble", "7", "127.0.0.1", port, None)


def test_missing_streamlit_is_said(monkeypatch):
    monkeypatch.setattr("vidpop_pipelines.what_if.launch.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'--constraint constraints.txt --editable "\.\[what-if\]"'):
        show_page("ensemble", "7", "127.0.0.1", 8501, None)
