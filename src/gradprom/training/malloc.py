"""The C library's heap: what a step on a CPU frees stays there for the next one."""

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers, of malloc.h."""
KEPT = 2**30
"""Bytes that are free and not given back to the system, at most."""
LARGE = 2**25
"""Bytes of a block that is always given back: the largest that glibc takes here."""


def keep_freed() -> None:
    """Have glibc keep freed memory; another C library is left as it is.

    By default it gives large blocks back at once, and a step of the demo then gets 19,000 pages
    anew from the system, which takes a sixth of its time.
    """
    with contextlib.suppress(OSError, AttributeError):  # there is no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE)
        mallopt(TRIM_THRESHOLD, KEPT)
