"""The C library's heap: memory that a step on a CPU frees is kept for the next step."""

import contextlib
import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's parameter numbers, from malloc.h."""
LARGEST_FREE = 2**30
"""The largest number of free bytes that are not returned to the system."""
LARGE = 2**25
"""Size in bytes from which a block is always returned: the largest value that glibc accepts."""


def keep_freed_memory() -> None:
    """Make glibc keep freed memory; other C libraries are left alone.

    By default glibc returns large blocks at once, and each step of the demo then requests 19,000
    pages again, which takes a sixth of its time.
    """
    with contextlib.suppress(OSError, AttributeError):  # no mallopt in this C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE)
        mallopt(TRIM_THRESHOLD, LARGEST_FREE)
