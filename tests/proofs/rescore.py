"""`python rescore.py EXPORT…`: what exported runs score on their test sets, as JSON by folder.

Also checks that `gradprom.load` enhances as the method does.
"""

import json
import sys
from pathlib import Path

import torch

import gradprom
from gradprom.config import component
from gradprom.data.images import load as decode
from gradprom.errors import RunError
from gradprom.runs import evaluation, export

torch.set_num_threads(1)
scores = {}
for folder in map(Path, sys.argv[1:]):
    method = export.load(folder)
    config = method.config
    source = component("dataset", config.dataset.name).build(config.dataset)
    images = decode(source, folder.parent / "cache")
    device = torch.device("cpu")
    table = evaluation.evaluate(method, images, config.degradation, config.evaluation, device)
    scores[folder.name] = evaluation.summarise(table)
    degraded = torch.rand(2, config.facts.inputs, 33, 47)
    try:
        expected = method.enhance(degraded)
    except RunError:
        continue  # it needs more than an image
    assert torch.equal(gradprom.load(folder)(degraded), expected)
print(json.dumps(scores))
