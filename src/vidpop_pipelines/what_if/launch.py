"""Starts the page, and the model's server where none was named; stops both together."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.what_if.client import ModelClient
from vidpop_pipelines.what_if.questions import kind_of_answer

_SECONDS_TO_STOP = 10
# Nothing is sent to Streamlit's makers or looked up elsewhere; whoever uses the page sees no traceback.
_OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "server.maxUploadSize": "2",  # MB: a sweep sends the thumbnail 26 times in one request
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "theme.base": "light",
    "theme.primaryColor": "#0072B2",
    "theme.paddingTop": "0.5rem",
}


@dataclass(frozen=True)
class Settings:
    """What the page has to know.

    Attributes:
        family: Name of the registered model.
        number: Number of its version.
        url: Address of the server that it answers on.
        inputs: Inputs of the model's signature: `name`, `type`, `required`.
        outputs: Names of its outputs.
        coverage: Share of videos that its intervals are made for; None if that is not known.
    """

    family: str
    number: str
    url: str
    inputs: list[dict[str, Any]]
    outputs: list[str]
    coverage: float | None

    @property
    def kind(self) -> str | None:
        """What an answer holds, as `questions.kind_of_answer` says."""
        return kind_of_answer(self.outputs)


def show_page(family: str, number: str, host: str, port: int, url: str | None) -> None:
    """Shows the page until it is ended, by Ctrl-C, a signal, or the end of one of its processes.

    Args:
        family: Name of the registered model.
        number: Number of its version.
        host: Address for the page to listen on.
        port: Port of the page.
        url: Address of a running server of this version; None to start one for the time of the page.

    Raises:
        InputError: If the model has no form, Streamlit is not installed, or the server or the page can't start.
    """
    if find_spec("streamlit") is None:
        raise InputError(
            "Streamlit is not installed.",
            remedy='pip install --constraint constraints.txt --editable ".[what-if]"',
        )
    signature = read_signature(family, number)
    _check_port(host, port)
    signals = _note_signals()
    with contextlib.ExitStack() as running:
        processes = []
        if url is None:
            click.echo("loading the model ...")
            server_port = _free_port()
            url = f"http://127.0.0.1:{server_port}"
            processes.append(running.enter_context(_server(family, number, server_port)))
        _wait_for_model(url, processes, signals)
        if not signals:
            settings = Settings(family, number, url, **signature)
            click.echo(f"the page is on http://{host}:{port}; Ctrl-C ends it")
            processes.append(running.enter_context(_process(*_page_command(settings, host, port))))
        while not signals:
            if any(process.poll() is not None for process in processes):
                raise InputError("The page or the model's server has ended; what it wrote stands above.")
            time.sleep(0.2)


def read_signature(family: str, number: str) -> dict[str, Any]:
    """Reads what the page has to know of a registered version.

    Returns:
        `inputs`, `outputs` and `coverage` of `Settings`.

    Raises:
        InputError: If it forecasts neither a curve of views nor a number of views.
    """
    from mlflow.models import get_model_info

    from vidpop_pipelines.registry import read_version

    signature = get_model_info(f"models:/{family}/{number}").signature
    outputs = signature.outputs.input_names()
    if kind_of_answer(outputs) is None:
        raise InputError(
            f"The what-if page is a form over texts and numbers of a video, and {family} has none.",
            "a model that forecasts views from such inputs: smtpd_ep, smtpd_no_ep, ensemble or multitask",
            f"ask {family} over HTTP: `make serve FAMILY={family} VERSION={number}`, docs/serving.md.",
        )
    coverage = read_version(family, number).parameters.get("interval.coverage")
    return {
        "inputs": signature.inputs.to_dict(),
        "outputs": outputs,
        "coverage": float(coverage) if coverage else None,
    }


def _note_signals() -> list[int]:
    """Returns a list to which each signal that asks this process to end is added.

    None interrupts: one that came while a process is being started would leave that process behind.
    """
    noted: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Those that are ignored stay so: under nohup, the page goes on when its terminal is closed.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: noted.append(number))
    return noted


def _server(family: str, number: str, port: int) -> contextlib.AbstractContextManager[subprocess.Popen]:
    from vidpop_pipelines.model_server import server_command

    return _process(*server_command(family, number, "127.0.0.1", port))


def _page_command(settings: Settings, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    options = _OPTIONS | {
        "server.address": host,
        "server.port": str(port),
        # Without a name for the browser, Streamlit asks a service in the net for this machine's address.
        "browser.serverAddress": host,
    }
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("page.py"))]
    command += [f"--{name}={value}" for name, value in options.items()]
    return [*command, "--", json.dumps(asdict(settings))], dict(os.environ)


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """Runs a command, with the processes that it starts, and ends them all."""
    # A session of its own: Ctrl-C and the end of a terminal reach this process alone, which then ends the others.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
        # That has waited for the command alone: what it started may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _check_port(host: str, port: int) -> None:
    """Says so before the model is loaded if something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"The page can't listen on {host}:{port}: {error.strerror}.",
                "a free port",
                "give another --port.",
            ) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_model(url: str, processes: list[subprocess.Popen], signals: list[int]) -> None:
    client = ModelClient(url)
    if not processes and not client.is_ready():
        raise InputError(
            f"No model answers at {url}.",
            "the address of a running server, such as http://127.0.0.1:5001",
            "start one with `kedro serve`, docs/serving.md.",
        )
    while not signals and not client.is_ready():
        if any(process.poll() is not None for process in processes):
            raise InputError("The model's server has ended; what it wrote stands above.")
        time.sleep(0.3)
