import socket
from types import SimpleNamespace

import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.registry import Version
from vidpop_pipelines.what_if.launch import read_signature, show_page


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


def test_server_that_was_named_must_answer(monkeypatch):
    register(monkeypatch, ["predicted_views"], {})
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(InputError, match="No model answers at http://127.0.0.1:9"):
        show_page("ensemble", "7", "127.0.0.1", 0, "http://127.0.0.1:9")


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
    with pytest.raises(InputError, match=r"pip install 'vidpop_pipelines\[what-if\]'"):
        show_page("ensemble", "7", "127.0.0.1", 8501, None)
