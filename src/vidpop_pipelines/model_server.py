"""How MLflow's own server is started on a registered model."""

import os
import sys
from pathlib import Path


def server_command(
    family: str, number: str, host: str, port: int, workers: int = 1
) -> tuple[list[str], dict[str, str]]:
    """Returns the command line of a server, and the environment that it needs.

    Args:
        family: Name of the registered model, in the MLflow store that is set.
        number: Number of its version.
        host: Address to listen on.
        port: Port to listen on.
        workers: Server processes; each holds the model.
    """
    import mlflow

    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        # The server starts its workers by name: find those of this environment first.
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{family}/{number}"]
    command += ["--env-manager", "local", "--host", host, "--port", str(port), "--workers", str(workers)]
    return command, environment
