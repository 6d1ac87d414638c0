"""Memory that a step frees is there for the next one."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from gradprom.training.malloc import keep_freed_memory

def faults():
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**22).add(1)  # two blocks of 16 MiB, 4,096 pages each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began

torch.set_num_threads(1)
before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_pages_are_not_taken_anew() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert after < 200
    assert before > after
