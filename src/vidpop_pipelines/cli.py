"""Commands that this project adds to `kedro`: `kedro serve` and `kedro lineage`."""

import os
import sys
from pathlib import Path

import click


@click.group(name="vidpop_pipelines")
def cli() -> None:
    """Commands of the project."""


@cli.command()
@click.option("--family", required=True, help="Name of the registered model, for example smtpd_ep.")
@click.option(
    "--version",
    default="champion",
    show_default=True,
    help="champion, latest, or the number of a version.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5001, show_default=True, help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, help="Server processes; each holds the model.")
@click.option("--env", default=None, help="Kedro environment that names the MLflow store.")
def serve(family: str, version: str, host: str, port: int, workers: int, env: str | None) -> None:
    """Answers JSON requests with a registered model, on MLflow's own server."""
    from kedro.framework.session import KedroSession

    # Kedro-mlflow points MLflow to the store of conf/<env>/mlflow.yml.
    with KedroSession.create(env=env) as session:
        session.load_context()
    import mlflow

    from vidpop_pipelines.registry import version_to_serve

    number = version_to_serve(family, version)
    click.echo(
        f"Version {number} of {family} ({version}) on http://{host}:{port}/invocations; docs/serving.md"
    )
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        # The server starts its workers by name: find those of this environment first.
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{family}/{number}"]
    command += ["--env-manager", "local", "--host", host, "--port", str(port), "--workers", str(workers)]
    sys.stdout.flush()
    # In place of this process, so that Ctrl-C and signals reach the server.
    os.execve(sys.executable, command, environment)


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
