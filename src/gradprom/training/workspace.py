"""cuBLAS's workspace: of fixed buffers, without which a product may round differently each time."""

import os

VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
REPRODUCIBLE = (":4096:8", ":16:8")
"""The values with which NVIDIA promises equal bits: eight buffers of 4 MiB, or of 16 KiB."""


def fix_workspace() -> None:
    """Choose a reproducible workspace for this process and those that it starts.

    Takes effect before a process's first product on CUDA. A reproducible choice of the user's own
    stays. Needs no torch, so that it costs a start nothing.
    """
    if os.environ.get(VARIABLE) not in REPRODUCIBLE:
        os.environ[VARIABLE] = REPRODUCIBLE[0]
