"""Encode every unique text and picture once, and remember the vectors."""

import hashlib
import io
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

logger = logging.getLogger(__name__)

# Decoding a JPEG takes a few milliseconds, so some threads keep even a GPU busy.
_THREADS = min(8, os.cpu_count() or 1)


def encode_texts(
    texts: pd.DataFrame | np.ndarray,
    encoder: TextEncoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str = "texts",
) -> Embeddings:
    """Encodes a table of texts, each unique one once over all runs.

    Args:
        texts: (n_videos,) or (n_videos, n_fields) strings; None, NaN and blank ones are missing.
        encoder: What makes the vectors.
        store: Where they are kept; only texts that it lacks are encoded.
        batch_size: Texts per call of the encoder.
        description: What the progress bar calls them.

    Returns:
        Embeddings with one row number per text, -1 where it is missing.

    Raises:
        InputError: If a value is neither text nor missing, or a vector cannot be stored.
    """
    values = np.asarray(texts, dtype=object)
    codes, unique = _unique_texts(values, description)

    def load(positions: np.ndarray) -> Iterator[tuple[int, str]]:
        # Longest first: batches of like length need little padding, and the remaining time that the
        # progress bar shows is rather too long than too short.
        order = np.argsort(-encoder.lengths(unique[positions].tolist()), kind="stable")
        return ((position, unique[position]) for position in positions[order])

    keys = np.array([_digest(encoder, text.encode()) for text in unique], dtype=KEY_DTYPE)
    rows = encode_unique(keys, load, encoder, store, batch_size=batch_size, description=description)
    rows = np.append(rows, -1)[codes]  # code -1, a missing text, takes the appended one
    return Embeddings(store.table(encoder).vectors(), rows.reshape(values.shape))


def encode_images(
    paths: Sequence[Path | None],
    encoder: ImageEncoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str = "images",
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

    Returns:
        Embeddings with one row number per path, -1 where there is no usable picture, and a table with a
        line for each file that is not as it should be: ``index`` into paths, ``reason``, and ``used``,
        True where the picture was used nonetheless.

    Raises:
        InputError: If a file changes while it is being read, or a vector cannot be stored.
    """
    given = [index for index, path in enumerate(paths) if path is not None]
    inspected = in_threads(lambda index: _inspect(paths[index], encoder), given, ahead=4 * _THREADS)
    files = list(tqdm(inspected, f"Reading {description}", total=len(given), unit="file", mininterval=1))
    problems = {index: file for index, file in zip(given, files, strict=True) if file.problem}
    readable = [(index, file) for index, file in zip(given, files, strict=True) if file.key]
    broken: dict[bytes, str] = {}

    def load(positions: np.ndarray) -> Iterator[tuple[int, np.ndarray | None]]:
        chosen = [readable[position] for position in positions]
        pictures = in_threads(
            lambda item: _prepare(paths[item[0]], item[1].key, encoder), chosen, ahead=2 * batch_size
        )
        for position, (_, file), picture in zip(positions, chosen, pictures, strict=True):
            if isinstance(picture, str):
                broken[file.key] = picture
            yield position, None if isinstance(picture, str) else picture

    keys = np.array([file.key for _, file in readable], dtype=KEY_DTYPE)
    found = encode_unique(keys, load, encoder, store, batch_size=batch_size, description=description)
    rows = np.full(len(paths), -1, dtype=np.int64)
    for (index, file), row in zip(readable, found, strict=True):
        rows[index] = row
        if row < 0:
            problems[index] = _File(None, broken[file.key])
    return Embeddings(store.table(encoder).vectors(), rows), _problem_table(problems)


def encode_unique(
    keys: np.ndarray,
    load: Callable[[np.ndarray], Iterable[tuple[int, Any]]],
    encoder: Encoder,
    store: EmbeddingStore,
    *,
    batch_size: int,
    description: str,
) -> np.ndarray:
    """Encodes the inputs that a store lacks, batch by batch, and finds the rows of all.

    Every batch is on disk before the next is computed, so a killed run continues where it was.

    Args:
        keys: (n,) digests of the inputs; may repeat.
        load: Called at most once, with positions in `keys` of inputs to encode, each digest once. Yields
            position and input in the order in which to encode them, None for an unusable input.
        encoder: What makes the vectors.
        store: Where they are kept.
        batch_size: Inputs per call of the encoder.
        description: What the progress bar calls the inputs.

    Returns:
        (n,) int64 rows in the encoder's table of the store, -1 for unusable inputs.

    Raises:
        InputError: If a vector is not finite or too large for float16.
    """
    table = store.table(encoder)
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = table.lookup(unique)
    n_known = int((rows >= 0).sum())
    logger.info("%s: %d unique, %d of them encoded by earlier runs", description, len(unique), n_known)
    if n_known == len(unique):
        return rows[inverse]
    with table.writer() as writer:
        # Looked up again: another run may have encoded some while this one waited for its turn.
        missing = np.sort(first[table.lookup(unique) < 0])
        with tqdm(total=len(missing), desc=f"Encoding {description}", mininterval=1) as progress:
            for batch in _batches(load(missing), batch_size):
                usable = [(position, item) for position, item in batch if item is not None]
                if usable:
                    positions, inputs = zip(*usable, strict=True)
                    writer.append(keys[list(positions)], encoder.encode(inputs))
                progress.update(len(batch))
    return table.lookup(unique)[inverse]


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


def _prepare(path: Path, key: bytes, encoder: ImageEncoder) -> np.ndarray | str:
    """Reads and decodes a file for the encoder; returns the reason if it holds no usable picture."""
    try:
        content = _read(path)
        image = decode_image(io.BytesIO(content))
    except InputError as reason:
        return str(reason)
    if _digest(encoder, content) != key:
        raise InputError(f"{path} changed while it was being read.", remedy="run again when it is at rest.")
    return encoder.prepare(image)


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
