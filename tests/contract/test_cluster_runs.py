"""A run on a dask cluster ends like one on this machine, even if a worker is killed in the middle."""

import glob
import signal
import subprocess
import time

import pandas as pd
import pytest
from dask_clusters import dask_cluster
from families import FAMILIES

from vidpop_pipelines.datasets.embedding_store import KEY_DTYPE

pytestmark = pytest.mark.slow

# What is computed on the workers: embeddings and days, folds and base learners, folds with their files.
ON_WORKERS = ("smtpd_ep", "ensemble", "mofa_lite")


@pytest.mark.parametrize("name", ON_WORKERS)
def test_cluster_gives_the_same_predictions(name, run_once, tmp_path):
    here, output = run_once(name), tmp_path / "output"
    family = FAMILIES[name]
    with dask_cluster(tmp_path / "cluster") as cluster:
        given = family.parameters | {
            "output": output,
            "compute__backend": "dask",
            "compute__address": cluster.address,
        }
        pairs = [f"{key.replace('__', '.')}={value}" for key, value in given.items()]
        log = tmp_path / "run.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                here.project.command("run", f"--pipelines={name}", f"--params={','.join(pairs)}"),
                cwd=here.project.path,
                # A store of its own: the other contract tests expect one run there.
                env=here.project.environment()
                | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            if name == "mofa_lite":
                kill_a_worker_in_the_middle(process, log, output / "06_models/.resume" / name, cluster)
            process.wait(timeout=600)
        finally:
            process.kill()
            process.wait()
        said = log.read_text()
        assert process.returncode == 0, said
        assert "dask: 2 workers" in said
    predictions = f"07_model_output/{name}/predictions.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(output / predictions), here.predictions, check_exact=True)
    if name == "smtpd_ep":
        assert stored_vectors(output) == stored_vectors(here.project.path / "data")


def kill_a_worker_in_the_middle(process, log, resume_folder, cluster):
    """Kills a worker when the training of a fold is under way and not all folds are done."""
    deadline = time.monotonic() + 300
    # Not `Path.glob`, which fails in Python 3.11 if a folder is deleted meanwhile, as old checkpoints are.
    while not glob.glob("fold_*/training/checkpoint-*/complete", root_dir=resume_folder):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    cluster.workers[0].send_signal(signal.SIGKILL)
    assert cluster.workers[0].wait() == -signal.SIGKILL
    done = glob.glob("fold_*/network.safetensors", root_dir=resume_folder)
    assert len(done) < 10, "all folds were done"


def stored_vectors(output) -> dict[str, set[tuple[bytes, bytes]]]:
    """Returns digest and vector of everything in the embedding caches."""
    import numpy as np

    tables = {}
    for kind in ("visual", "text"):
        (folder,) = [path.parent for path in (output / "04_feature/smtpd" / kind).glob("*/encoder.json")]
        vectors, keys = np.load(folder / "vectors.npy"), np.fromfile(folder / "keys.bin", KEY_DTYPE)
        tables[kind] = {
            (keys[row : row + 1].tobytes(), vectors[row].tobytes()) for row in range(len(vectors))
        }
        assert tables[kind]
    return tables
