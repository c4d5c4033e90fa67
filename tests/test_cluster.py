import operator
import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dask_clusters import (
    dask_cluster,
    end_the_process,
    has_failures,
    place_of,
    wait_and_write,
    wait_for_file,
    wait_for_kill,
    wait_until,
)
from PIL import Image
from video_files import write_video

from vidpop_pipelines import cluster as cluster_module
from vidpop_pipelines.cluster import map_on_cluster
from vidpop_pipelines.compute import parallel_map
from vidpop_pipelines.datasets.embedding_store import EmbeddingStore
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.encoding import encode_images, encode_texts
from vidpop_pipelines.features.images import DescriptorImageEncoder, ResNetImageEncoder
from vidpop_pipelines.features.text import PretrainedTextEncoder
from vidpop_pipelines.features.video import FrameOptions
from vidpop_pipelines.parameters import ComputeOptions
from vidpop_pipelines.pipelines.short_video.frames import decode_frames
from vidpop_pipelines.pipelines.short_video.parameters import ShortVideoParameters


def test_no_scheduler_is_said_after_seconds(monkeypatch):
    monkeypatch.setattr(cluster_module, "_CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match="no dask scheduler answers at tcp://127.0.0.1:9 .*after 1 s"):
        list(map_on_cluster(operator.neg, [(1,)], "tcp://127.0.0.1:9"))


@pytest.mark.parametrize("error", [ZeroDivisionError("of the call"), TimeoutError("of the call")])
def test_a_call_that_fails_when_its_wait_has_ended_raises_its_own_error(error):
    class FailsAfterTheWait:
        status = "pending"

        def result(self, timeout):
            if self.status == "error":
                raise error
            self.status = "error"
            raise TimeoutError("of the wait")

    client = SimpleNamespace(nthreads=lambda: {"worker": 1})
    with pytest.raises(type(error), match="of the call"):
        cluster_module._result(client, FailsAfterTheWait())


def test_no_address_says_how_to_get_one():
    with pytest.raises(InputError, match="dask scheduler"):
        parallel_map(operator.mul, [(1, 2)], ComputeOptions(backend="dask"))


@contextmanager
def in_the_middle(folder, cluster, change):
    """Makes a change once a call has noted its process in a folder."""
    failed = []

    def wait_and_change():
        try:
            wait_until(lambda: any(folder.glob("*.process")), cluster)
            change()
        except BaseException as error:
            failed.append(error)

    changing = threading.Thread(target=wait_and_change)
    changing.start()
    yield
    changing.join()
    assert not failed


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.mark.slow
class TestTwoWorkers:
    def test_results_come_in_the_order_of_the_arguments(self, cluster):
        options = ComputeOptions(backend="dask", address=cluster.address)
        assert parallel_map(operator.mul, [(3, 4), (1, 2), (5, 6)], options) == [12, 2, 30]

    def test_maps_of_files_travel_as_their_place_and_other_arrays_whole(self, cluster, tmp_path):
        np.save(tmp_path / "numbers.npy", np.arange(12.0).reshape(3, 4))
        mapped = np.load(tmp_path / "numbers.npy", mmap_mode="r")
        calls = [(mapped,), (mapped,), (mapped[1:],), (np.ones(3),)]
        results = list(map_on_cluster(place_of, calls, cluster.address))
        assert {process for process, _, _ in results} <= {worker.pid for worker in cluster.workers}
        assert [file for _, file, _ in results[:2]] == [str(tmp_path / "numbers.npy")] * 2
        assert [total for _, _, total in results] == [66.0, 66.0, 60.0, 3.0]

    def test_a_stream_is_read_as_far_as_it_is_needed(self, cluster):
        read = []

        def calls():
            for number in range(100):
                read.append(number)
                yield (number,)

        results = map_on_cluster(operator.neg, calls(), cluster.address, ahead=2)
        assert [next(results) for _ in range(10)] == [-number for number in range(10)]
        assert len(read) <= 10 + 2 * 2
        results.close()

    def test_the_error_of_a_call_is_that_of_the_caller(self, cluster):
        with pytest.raises(ZeroDivisionError):
            list(map_on_cluster(operator.truediv, [(1, 1), (1, 0)], cluster.address))

    def test_vectors_and_what_is_wrong_with_files_are_those_of_this_process(
        self, cluster, tmp_path, tiny_bert, resnet18_weights
    ):
        text = PretrainedTextEncoder(str(tiny_bert), max_length=16, precision="float32")
        image = ResNetImageEncoder(str(resnet18_weights), architecture="resnet18", precision="float32")
        texts = np.array([f"how to bake {'a ' * (n % 7)}cake {n}" for n in range(40)] + [None], object)
        paths = [tmp_path / f"{n}.jpg" for n in range(9)]
        for n, path in enumerate(paths[:8]):
            Image.new("RGB", (40 + n, 30), (20 * n, 90, 200)).save(path)
        paths[3].write_bytes(b"no picture")
        results = []
        for compute in (None, ComputeOptions(backend="dask", address=cluster.address)):
            store = EmbeddingStore(tmp_path / str(compute is None))
            of_texts = encode_texts(texts, text, store, batch_size=8, compute=compute)
            of_images, problems = encode_images(paths, image, store, batch_size=3, compute=compute)
            results.append([of_texts.vectors, of_texts.rows, of_images.vectors, of_images.rows])
            assert problems["index"].tolist() == [3, 8]
            assert problems["reason"].tolist() == [
                "cannot be decoded: not a known picture format", "file not found",
            ]  # fmt: skip
        for here, there in zip(*results, strict=True):
            np.testing.assert_array_equal(here, there)

    def test_frames_are_those_of_this_process(self, cluster, tmp_path):
        videos = [write_video(tmp_path / f"{n}.mp4", 8 + n, size=(32, 32)) for n in range(3)]
        (tmp_path / "broken.mp4").write_bytes(b"no video")
        listed = pd.DataFrame({"path": [str(path) for path in [*videos, tmp_path / "broken.mp4"]]})
        listed["video_id"] = [Path(path).stem for path in listed["path"]]
        options = SimpleNamespace(frames=FrameOptions(n_frames=4, size=32))
        parameters = ShortVideoParameters(csv="", videos="", max_broken_share=0.5)
        here, there = (
            decode_frames(listed, EmbeddingStore(tmp_path / name), options, parameters, compute)
            for name, compute in (
                ("here", ComputeOptions()),
                ("there", ComputeOptions(backend="dask", address=cluster.address)),
            )
        )
        assert there[0].equals(here[0])
        assert there[2].equals(here[2])
        assert there[2]["video_id"].tolist() == ["broken"]
        np.testing.assert_array_equal(there[1].pixels, here[1].pixels)

    def test_files_that_only_this_process_has_are_an_error(self, cluster, tmp_path, monkeypatch):
        path = tmp_path / "a.jpg"
        Image.new("RGB", (40, 30)).save(path)
        elsewhere = f"{tmp_path}/../{tmp_path.name}/./elsewhere/a.jpg"
        read = Path.read_bytes
        monkeypatch.setattr(Path, "read_bytes", lambda file: read(path if file.name == "a.jpg" else file))
        with pytest.raises(InputError, match="elsewhere/a.jpg: file not found, though .*\n.*same path"):
            encode_images(
                [Path(elsewhere)],
                DescriptorImageEncoder(),
                EmbeddingStore(tmp_path / "store"),
                batch_size=8,
                compute=ComputeOptions(backend="dask", address=cluster.address),
            )

    def test_what_a_killed_run_has_left_running_is_waited_for(self, cluster, caplog, tmp_path):
        from distributed import Client

        file, warning = tmp_path / "file", "still works for a run that has ended"

        def let_it_end():
            wait_until(lambda: warning in caplog.text, cluster)
            file.touch()

        with Client(cluster.address, set_as_default=False) as client:
            left = client.submit(wait_and_write, file, key="left")
            wait_until(lambda: any(tmp_path.glob("*.process")), cluster)
        assert left.status == "cancelled"
        with in_the_middle(tmp_path, cluster, let_it_end):
            assert list(map_on_cluster(operator.neg, [(1,)], cluster.address)) == [-1]
            assert file.with_suffix(".written").is_file()

    def test_a_folder_that_workers_have_not_is_named(self, cluster, monkeypatch):
        monkeypatch.setattr(Path, "is_dir", lambda path: str(path) != "/")  # here, not in the workers
        with pytest.raises(InputError, match="dask worker tcp://.* has no folder /only/here"):
            list(map_on_cluster(os.fspath, [(Path("/only/here/results"),)], cluster.address))


def test_the_work_of_a_killed_worker_is_done_again(tmp_path):
    shared = np.arange(1_000_000)  # of several calls: lost with the worker, and sent again
    with dask_cluster(tmp_path) as cluster:

        def kill():
            process = tmp_path / "process"
            wait_until(lambda: process.is_file() and process.read_text() != "", cluster)
            os.kill(int(process.read_text()), signal.SIGKILL)

        killing = threading.Thread(target=kill)
        killing.start()
        sums = list(map_on_cluster(place_of, [(shared,)] * 4, cluster.address))
        assert {total for _, _, total in sums} == {float(shared.sum())}
        assert list(map_on_cluster(wait_for_kill, [(n, tmp_path) for n in range(6)], cluster.address)) == [
            0, -1, -2, -3, -4, -5,
        ]  # fmt: skip
        killing.join()
        ends = [worker.poll() for worker in cluster.workers]
        assert sorted(ends, key=str) == [-signal.SIGKILL, None]


@pytest.mark.slow
def test_what_is_wrong_with_workers_is_said(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(cluster_module, "_PATIENCE_SECONDS", 1)
    other = tmp_path / "other" / "vidpop_pipelines"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    never_twice = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with dask_cluster(tmp_path / "cluster", n_workers=0, **never_twice) as cluster:

        def answer() -> list[int]:
            return list(map_on_cluster(operator.neg, [(1,)], cluster.address))

        # None at all: it is said, and waited for the first one.
        starting = threading.Timer(2, cluster.start_worker)
        starting.start()
        assert answer() == [-1]
        starting.join()
        assert f"{cluster.address} has no workers; waiting" in caplog.text
        assert f"dask worker {cluster.address} --nthreads 1" in caplog.text

        # One that ends the process that computes it.
        with pytest.raises(InputError, match="killed 1 dask workers"):
            list(map_on_cluster(end_the_process, [(1,)], cluster.address))
        assert cluster.workers[0].wait() == 1

        # One without this project's code, one with two threads.
        without = cluster.start_worker(PYTHONPATH=str(other.parent))
        with pytest.raises(InputError, match=r"has vidpop_pipelines missing.*\n.*\n.*pip install"):
            answer()
        without.kill()
        without.wait()
        cluster.start_worker(threads=2)
        with pytest.raises(InputError, match="makes 2 calls at once"):
            answer()


@pytest.mark.slow
def test_a_run_ends_when_the_scheduler_dies(tmp_path):
    with dask_cluster(tmp_path / "cluster", n_workers=1) as cluster:
        results = map_on_cluster(wait_for_file, [(1, tmp_path / "never")], cluster.address)
        killing = in_the_middle(tmp_path, cluster, lambda: cluster.kill(cluster.scheduler))
        with killing, pytest.raises(InputError, match=r"scheduler was lost(.|\n)*same command goes on"):
            next(results)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 7], ids=["at once", "after dask has given up"])
def test_a_stream_ends_when_the_scheduler_dies(tmp_path, seconds):
    with dask_cluster(tmp_path, n_workers=1) as cluster:
        results = map_on_cluster(operator.neg, ((n,) for n in range(100)), cluster.address, ahead=2)
        assert next(results) == 0
        cluster.kill(cluster.scheduler)
        time.sleep(seconds)
        with pytest.raises(InputError, match="scheduler was lost"):
            list(results)


@pytest.mark.slow
def test_a_run_waits_for_a_new_worker_when_all_have_died(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(cluster_module, "_PATIENCE_SECONDS", 1)
    file = tmp_path / "file"
    with dask_cluster(tmp_path / "cluster") as cluster:

        def replace_all():
            for worker in list(cluster.workers):
                cluster.kill(worker)
            wait_until(lambda: "has no workers; waiting" in caplog.text, cluster)
            file.touch()
            cluster.start_worker()

        with in_the_middle(tmp_path, cluster, replace_all):
            calls = [(number, file) for number in range(4)]
            assert list(map_on_cluster(wait_for_file, calls, cluster.address)) == [0, -1, -2, -3]


@pytest.mark.slow
def test_other_versions_are_said_of_workers_there_and_of_those_that_join(tmp_path, monkeypatch):
    from distributed import Client

    file, copy = tmp_path / "file", tmp_path / "copy"
    package = Path(cluster_module.__file__).parent
    shutil.copytree(package, copy / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / package.name / "errors.py").open("a") as module:
        module.write("# changed\n")
    with dask_cluster(tmp_path / "cluster", n_workers=1) as cluster:
        ours = cluster_module._installed()
        with monkeypatch.context() as patch:
            patch.setattr(cluster_module, "_installed", lambda: ours | {"numpy": "0.1"})
            with pytest.raises(InputError, match=rf"has numpy {np.__version__}\.\n.*: numpy 0\.1\n"):
                list(map_on_cluster(operator.neg, [(1,)], cluster.address))

        def join():
            cluster.start_worker(PYTHONPATH=str(copy))
            with Client(cluster.address, set_as_default=False) as client:
                wait_until(lambda: client.run_on_scheduler(has_failures), cluster)
            file.touch()

        # One is busy with the first call, so that the other one gets the last.
        with in_the_middle(tmp_path, cluster, join):
            results = map_on_cluster(wait_for_file, [(n, file) for n in range(4)], cluster.address)
            problem = rf"dask: tcp://.* has vidpop_pipelines (?!missing).*\n.*{ours['vidpop_pipelines']}"
            with pytest.raises(InputError, match=problem):
                list(results)
