"""Encode every unique text and picture once, and remember the vectors."""

import hashlib
import io
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from vidpop_pipelines.datasets.embedding_store import KEY_DTYPE, EmbeddingStore
from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.embeddings import Embeddings, Encoder, ImageEncoder, TextEncoder
from vidpop_pipelines.features.images import decode_image, open_image
from vidpop_pipelines.parameters import ComputeOptions

logger = logging.getLogger(__name__)

# What a batch brings: for each input the reason why it is unusable, "" for none; (n, ...) vectors of the others.
EncodedBatch = tuple[list[str], np.ndarray | None]
# From encoder, sources, and how many inputs may wait in memory, to inputs; `Unusable` in the place of a bad one.
Load = Callable[[Any, Iterable[Any], int], Iterable[Any]]

# Decoding a JPEG takes a few milliseconds, so some threads keep even a GPU busy.
_THREADS = min(8, os.cpu_count() or 1)


def encode_texts(
    texts: pd.DataFrame | np.ndarray,
    encoder: TextEncoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str = "texts",
    compute: ComputeOptions | None = None,
) -> Embeddings:
    """Encodes a table of texts, each unique one once over all runs.

    Args:
        texts: (n_videos,) or (n_videos, n_fields) strings; None, NaN and blank ones are missing.
        encoder: What makes the vectors.
        store: Where they are kept; only texts that it lacks are encoded.
        batch_size: Texts per call of the encoder.
        description: What the progress bar calls them.
        compute: Where the encoder runs: on a dask cluster, else in this process.

    Returns:
        Embeddings with one row number per text, -1 where it is missing.

    Raises:
        InputError: If a value is neither text nor missing, or a vector cannot be stored.
    """
    values = np.asarray(texts, dtype=object)
    codes, unique = _unique_texts(values, description)

    def longest_first(positions: np.ndarray) -> np.ndarray:
        # Batches of like length need little padding, and the remaining time that the progress bar shows is rather too
        # long than too short.
        order = np.argsort(-encoder.lengths(unique[positions].tolist()), kind="stable")
        return positions[order]

    keys = np.array([_digest(encoder, text.encode()) for text in unique], dtype=KEY_DTYPE)
    rows, _ = encode_unique(
        keys,
        unique,
        _as_they_are,
        encoder,
        store,
        batch_size=batch_size,
        description=description,
        order=longest_first,
        compute=compute,
    )
    rows = np.append(rows, -1)[codes]  # code -1, a missing text, takes the appended one
    return Embeddings(store.table(encoder).vectors(), rows.reshape(values.shape))


def encode_images(
    paths: Sequence[Path | None],
    encoder: ImageEncoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str = "images",
    compute: ComputeOptions | None = None,
) -> tuple[Embeddings, pd.DataFrame]:
    """Encodes picture files, each unique content once over all runs.

    Files are told apart by their content, which means reading all of them in every run: size and time of
    a file do not prove that its picture is the same, and reading takes a small part of encoding.

    Args:
        paths: (n_videos,) files; None where a video is known to have none.
        encoder: What makes the vectors.
        store: Where they are kept; only pictures that it lacks are decoded and encoded.
        batch_size: Pictures per call of the encoder.
        description: What the progress bar calls them.
        compute: Where pictures are decoded and encoded: on a dask cluster, else in this process.

    Returns:
        Embeddings with one row number per path, -1 where there is no usable picture, and a table with a
        line for each file that is not as it should be: ``index`` into paths, ``reason``, and ``used``,
        True where the picture was used nonetheless.

    Raises:
        InputError: If a file changes while it is being read, a dask worker cannot read it, or a vector cannot be
            stored.
    """
    given = [index for index, path in enumerate(paths) if path is not None]
    inspected = in_threads(lambda index: _inspect(paths[index], encoder), given, ahead=4 * _THREADS)
    files = list(tqdm(inspected, f"Reading {description}", total=len(given), unit="file", mininterval=1))
    problems = {index: file for index, file in zip(given, files, strict=True) if file.problem}
    readable = [(index, file) for index, file in zip(given, files, strict=True) if file.key]
    keys = np.array([file.key for _, file in readable], dtype=KEY_DTYPE)
    found, broken = encode_unique(
        keys,
        [(paths[index], file.key) for index, file in readable],
        _read_pictures,
        encoder,
        store,
        batch_size=batch_size,
        description=description,
        compute=compute,
    )
    rows = np.full(len(paths), -1, dtype=np.int64)
    for (index, file), row in zip(readable, found, strict=True):
        rows[index] = row
        if row < 0:
            problems[index] = _File(None, broken[file.key])
    return Embeddings(store.table(encoder).vectors(), rows), _problem_table(problems)


def encode_unique(
    keys: np.ndarray,
    sources: Sequence[Any],
    load: Load,
    encoder: Encoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str,
    order: Callable[[np.ndarray], np.ndarray] | None = None,
    compute: ComputeOptions | None = None,
) -> tuple[np.ndarray, dict[bytes, str]]:
    """Encodes the inputs that a store lacks, batch by batch, and finds the rows of all.

    Every batch is on disk before the next is written, so a killed run continues where it was. The batches are the same
    wherever they are computed, and few are in memory at a time.

    Args:
        keys: (n,) digests of the inputs; may repeat.
        sources: n places or contents of the inputs, small.
        load: Makes inputs of sources, in their order; defined at the top of a module. It is also given the encoder.
        encoder: What makes the vectors.
        store: Where they are kept.
        batch_size: Inputs per call of the encoder.
        description: What the progress bar calls the inputs.
        order: Sorts positions of inputs as they are to be encoded; None for their order in `keys`.
        compute: Where `load` and the encoder run: on a dask cluster, else in this process.

    Returns:
        (n,) int64 rows in the encoder's table of the store, -1 for unusable inputs; and digest to reason of these.

    Raises:
        InputError: If a vector is not finite or too large for float16.
    """
    table = store.table(encoder)
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = table.lookup(unique)
    n_known = int((rows >= 0).sum())
    logger.info("%s: %d unique, %d of them encoded by earlier runs", description, len(unique), n_known)
    if n_known == len(unique):
        return rows[inverse], {}
    unusable: dict[bytes, str] = {}
    with table.writer() as writer:
        # Looked up again: another run may have encoded some while this one waited for its turn.
        missing = np.sort(first[table.lookup(unique) < 0])
        missing = missing if order is None else order(missing)
        encode = (
            _encode_here if compute is None or compute.backend != "dask" else partial(_encode_there, compute)
        )
        batches = encode(load, encoder, (sources[position] for position in missing), batch_size)
        with tqdm(total=len(missing), desc=f"Encoding {description}", mininterval=1) as progress:
            for positions, (reasons, vectors) in zip(_batches(missing, batch_size), batches, strict=True):
                encoded = [
                    position for position, reason in zip(positions, reasons, strict=True) if not reason
                ]
                if encoded:
                    writer.append(keys[encoded], vectors)
                for position, reason in zip(positions, reasons, strict=True):
                    if reason:  # sliced, because numpy cuts zeros off the end of a single digest
                        unusable[keys[position : position + 1].tobytes()] = reason
                progress.update(len(positions))
    return table.lookup(unique)[inverse], unusable


def _encode_here(
    load: Load, encoder: Encoder, sources: Iterable[Any], batch_size: int
) -> Iterator[EncodedBatch]:
    """Encodes sources in this process; loads ahead of the encoder."""
    for batch in _batches(load(encoder, sources, 2 * batch_size), batch_size):
        usable = [item for item in batch if not isinstance(item, Unusable)]
        reasons = [item.reason if isinstance(item, Unusable) else "" for item in batch]
        yield reasons, encoder.encode(usable) if usable else None


def _encode_there(
    compute: ComputeOptions, load: Load, encoder: Encoder, sources: Iterable[Any], batch_size: int
) -> Iterator[EncodedBatch]:
    """Encodes sources on a dask cluster, each batch on one worker."""
    from vidpop_pipelines.cluster import map_on_cluster

    calls = ((load, encoder, batch) for batch in _batches(sources, batch_size))
    return map_on_cluster(_encode_batch, calls, compute.address, ahead=2)


def _encode_batch(load: Load, encoder: Encoder, sources: list[Any]) -> EncodedBatch:
    return next(_encode_here(load, encoder, sources, len(sources)))


def _as_they_are(encoder: Encoder, sources: Iterable[Any], ahead: int) -> Iterable[Any]:
    return sources


def _read_pictures(encoder: ImageEncoder, sources: Iterable[tuple[Path, bytes]], ahead: int) -> Iterator[Any]:
    """Reads and decodes files, some at once."""
    return in_threads(lambda source: _prepare(*source, encoder), sources, ahead=ahead)


def in_threads(function: Callable[[Any], Any], items: Iterable[Any], *, ahead: int) -> Iterator[Any]:
    """Calls a function for each item, some at once.

    Args:
        function: Frees the interpreter for most of its time, as reading and decoding do.
        items: Its arguments.
        ahead: Results that wait in memory, at most.

    Yields:
        The results, in the order of the items.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        pending: deque[Future] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class Unusable(NamedTuple):
    """What stands in the place of an input that cannot be used."""

    reason: str


class _File(NamedTuple):
    key: bytes | None  # None where the file holds no usable picture
    problem: str  # "" where all is as it should be


def _unique_texts(values: np.ndarray, description: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n,) positions among the unique texts, -1 where missing, and those texts, none blank."""
    codes, unique = pd.factorize(values.ravel())
    wrong = [code for code, text in enumerate(unique) if not isinstance(text, str)]
    if wrong:
        place = np.unravel_index(int(np.flatnonzero(codes == wrong[0])[0]), values.shape)
        raise InputError(
            f"{description}: {unique[wrong[0]]!r} at {tuple(map(int, place))} is no text.",
            "strings, or None or NaN where a text is missing",
            "read these columns as text (dtype=str).",
        )
    filled = np.array([bool(text.strip()) for text in unique], dtype=bool)
    renumbered = np.where(filled, np.cumsum(filled) - 1, -1)
    return np.append(renumbered, -1)[codes], unique[filled]


def _digest(encoder: Encoder, content: bytes) -> bytes:
    return hashlib.sha256(encoder.fingerprint.encode() + b"\0" + content).digest()


def _inspect(path: Path, encoder: Encoder) -> _File:
    """Reads a file without decoding it."""
    try:
        content = _read(path)
        return _File(_digest(encoder, content), _unexpected_format(path, content))
    except InputError as reason:
        return _File(None, str(reason))


def _prepare(path: Path, key: bytes, encoder: ImageEncoder) -> np.ndarray | Unusable:
    """Reads and decodes a file for the encoder."""
    try:
        content = _read(path)
    except InputError as reason:
        raise unreadable_now(path, reason) from None
    try:
        image = decode_image(io.BytesIO(content))
    except InputError as reason:
        return Unusable(str(reason))
    if _digest(encoder, content) != key:
        raise InputError(f"{path} changed while it was being read.", remedy="run again when it is at rest.")
    return encoder.prepare(image)


def unreadable_now(path: Path, reason: InputError | str) -> InputError:
    """Returns the error of a file that could be read before: gone since, or not on the machine of a dask worker."""
    return InputError(
        f"{path}: {reason}, though it could be read when this run began.",
        "files that stay where they are; with compute.backend=dask, that all machines have at the same path",
        "run again when they are at rest, or put them on storage that is mounted everywhere.",
    )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError("file not found") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    if not content:
        raise InputError("zero bytes")
    return content


def _unexpected_format(path: Path, content: bytes) -> str:
    """Says so if the content is not of the format that the name promises."""
    suffix = path.suffix.lower()
    if suffix in {".jpg", ".jpeg"} and content.startswith(b"\xff\xd8\xff"):
        return ""  # the usual case, without the cost of parsing the header
    with open_image(io.BytesIO(content)) as image:
        as_promised = Image.registered_extensions().get(suffix) == image.format
        return "" if as_promised else f"{image.format} content in a {suffix} file"


def _problem_table(problems: dict[int, _File]) -> pd.DataFrame:
    lines = [(index, problems[index].problem, problems[index].key is not None) for index in sorted(problems)]
    table = pd.DataFrame(lines, columns=["index", "reason", "used"])
    return table.astype({"index": "int64", "reason": "str", "used": "bool"})


def _batches(items: Iterable[Any], batch_size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, batch_size)):
        yield batch
