"""Commands that this project adds to `kedro`: `kedro serve`, `kedro what-if` and `kedro lineage`."""

import os
import sys
from pathlib import Path

import click

_FAMILY = click.option("--family", required=True, help="Name of the registered model, for example smtpd_ep.")
_VERSION = click.option(
    "--version",
    default="champion",
    show_default=True,
    help="champion, latest, or the number of a version.",
)
_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_ENV = click.option("--env", default=None, help="Kedro environment that names the MLflow store.")


@click.group(name="vidpop_pipelines")
def cli() -> None:
    """Commands of the project."""


@cli.command()
@_FAMILY
@_VERSION
@_HOST
@click.option("--port", default=5001, show_default=True, help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, help="Server processes; each holds the model.")
@_ENV
def serve(family: str, version: str, host: str, port: int, workers: int, env: str | None) -> None:
    """Answers JSON requests with a registered model, on MLflow's own server."""
    _use_store(env)
    from vidpop_pipelines.model_server import server_command
    from vidpop_pipelines.registry import version_to_serve

    number = version_to_serve(family, version)
    click.echo(
        f"Version {number} of {family} ({version}) on http://{host}:{port}/invocations; docs/serving.md"
    )
    command, environment = server_command(family, number, host, port, workers)
    sys.stdout.flush()
    # In place of this process, so that Ctrl-C and signals reach the server.
    os.execve(sys.executable, command, environment)


@cli.command("what-if")
@_FAMILY
@_VERSION
@_HOST
@click.option("--port", default=8501, show_default=True, help="Port of the page.")
@click.option("--url", default=None, help="Ask this running server; otherwise one is started for the page.")
@_ENV
def what_if(family: str, version: str, host: str, port: int, url: str | None, env: str | None) -> None:
    """Opens a page that forecasts a video and shows how the forecast moves with each input."""
    _use_store(env)
    from vidpop_pipelines.registry import version_to_serve
    from vidpop_pipelines.what_if.launch import show_page

    number = version_to_serve(family, version)
    click.echo(f"Version {number} of {family} ({version}); docs/what_if.md")
    show_page(family, number, host, port, url)


@cli.command()
def lineage() -> None:
    """Builds a static site of all pipelines, datasets and figures into build/.

    Its previews show the first rows of tables, raw ones too: share it with those who may see them.
    """
    from vidpop_pipelines.lineage import build_site

    site = build_site(Path.cwd())
    click.echo(
        f"{site}/ holds the site. Show it with: python -m http.server --bind 127.0.0.1 --directory {site}"
    )
    click.echo("and open http://127.0.0.1:8000")


def _use_store(env: str | None) -> None:
    """Points MLflow to the store of conf/<env>/mlflow.yml, which kedro-mlflow does when a session starts."""
    from kedro.framework.session import KedroSession

    with KedroSession.create(env=env) as session:
        session.load_context()
