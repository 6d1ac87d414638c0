"""What a run may change of its process, noted when the process is new and put back after a run."""

import contextlib
import gc
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig

PATIENCE = 2.0
"""Seconds in which the threads of a finished run have to end."""

Setting = tuple[Callable[[], Any], Callable[[Any], Any]]
"""How a setting is read, and how it is set."""


def _attribute(owner: Any, name: str) -> Setting:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _content(values: Any) -> Setting:
    """Of a list or mapping that stays the same object."""

    def put(content: Any) -> None:
        values.clear()
        if isinstance(values, list):
            values.extend(content)
        else:
            values.update(content)

    return values.copy, put


def _autocast(device: str) -> list[Setting]:
    pairs: list[tuple[Any, Any]] = [
        (torch.is_autocast_enabled, torch.set_autocast_enabled),
        (torch.get_autocast_dtype, torch.set_autocast_dtype),
    ]
    return [(partial(read, device), partial(put, device)) for read, put in pairs]


def settings() -> list[Setting]:
    """The settings that are put back, in this order."""
    convolutions = torch.backends.cudnn
    return [
        (os.getcwd, os.chdir),
        _content(os.environ),
        _content(sys.path),
        _attribute(sys, "stdout"),
        _attribute(sys, "stderr"),
        _content(warnings.filters),
        _attribute(warnings, "showwarning"),
        _attribute(logging, "raiseExceptions"),
        (_loggers, _set_loggers),
        _attribute(HydraConfig.instance(), "cfg"),
        (random.getstate, random.setstate),
        (np.random.get_state, np.random.set_state),
        (np.geterr, lambda value: np.seterr(**value)),
        (torch.get_rng_state, torch.set_rng_state),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, _set_default_device),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        *[
            _attribute(convolutions, name)
            for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
        ],
        *_autocast("cpu"),
        *_autocast("cuda"),
        (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    ]


class ProcessState:
    """The state of a process before its first run."""

    def __init__(self) -> None:
        gc.freeze()  # collections after a run look only at what runs have left
        self.settings = [(read(), put) for read, put in settings()]
        self.seed = torch.initial_seed()
        self.threads = set(threading.enumerate())
        _forget_peaks()

    def restore(self) -> bool:
        """Put everything back, and release memory; False if a run has left what stays."""
        for value, put in self.settings:
            put(value)
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(self.seed)
            torch.cuda.empty_cache()
        _forget_peaks()
        left = set(threading.enumerate()) - self.threads
        for thread in left:
            thread.join(PATIENCE)
        grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
        return not grouped and not any(thread.is_alive() for thread in left)


def _forget_peaks() -> None:
    """Begin anew to measure peak memory."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # Linux alone can
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _set_default_device(device: torch.device) -> None:
    # a mode that has been set slows every call of torch, even if it names the CPU
    torch.set_default_device(None if device.type == "cpu" else device)
    context = torch._GLOBAL_DEVICE_CONTEXT
    if getattr(context, "device_context", context) is None:
        del context.device_context  # torch 2.6 leaves it, and then cannot tell the default device


Logger = tuple[int, list[logging.Handler], list[Any], bool, bool]
"""Level, handlers, filters; whether records go on to the parent's handlers; whether it is off."""


def _loggers() -> tuple[int, dict[str | None, Logger]]:
    """The level below which logging is off, and all loggers by name."""
    known = logging.root.manager.loggerDict.items()
    named = {name: each for name, each in known if isinstance(each, logging.Logger)}
    found: dict[str | None, Logger] = {
        name: (each.level, each.handlers[:], each.filters[:], each.propagate, each.disabled)
        for name, each in [(None, logging.root), *named.items()]
    }
    return logging.root.manager.disable, found


def _set_loggers(state: tuple[int, dict[str | None, Logger]]) -> None:
    level, before = state
    logging.disable(level)
    for name in _loggers()[1]:
        logger = logging.getLogger(name)
        new: Logger = (logging.NOTSET, [], [], True, False)
        level, handlers, filters, logger.propagate, logger.disabled = before.get(name, new)
        logger.setLevel(level)
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:], logger.filters[:] = handlers, filters
