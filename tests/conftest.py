"""One torch thread: with two on a busy machine torch can be many times slower."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)
