"""Memory of training steps on a CPU."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt, from malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@contextmanager
def reused_buffers() -> Iterator[None]:
    """Keeps freed memory for the next step while the block runs.

    glibc hands blocks over 32 MiB back to the kernel when they are freed. The gradients of stacked weights
    are such blocks: every step would get new pages, zeroed one fault at a time, which takes a fifth to a
    quarter of the step of the full SMTPD network. Does nothing where the C library is not glibc.
    """
    library = ctypes.CDLL(None) if hasattr(ctypes, "CDLL") else None
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        # The values that glibc itself arrives at in a process that uses large blocks.
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        library.malloc_trim(0)
