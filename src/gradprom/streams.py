"""Standard output and error that never stop the work: a display may go away while runs train.

A reader such as `head` ends, a terminal is closed, the disk behind a log is full, the locale lacks
a letter: what cannot be shown is left out.
"""

import errno
import logging
import os
import sys
from typing import Any, TextIO


class Lenient:
    """A text stream that is silent from the first failed write on."""

    def __init__(self, stream: TextIO, name: str):
        self._stream = stream
        self._name = name
        self.failure: OSError | None = None
        """Why nothing is shown any more; None while all is well."""

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush what can be."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        # for the text that is still buffered, and for processes started from now on
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if error.errno != errno.EPIPE and self is not sys.stderr:
            reason = error.strerror or error
            print(f"gradprom: {self._name} cannot be written ({reason}); going on", file=sys.stderr)


def make_lenient() -> None:
    """Replace `sys.stdout` and `sys.stderr`; letters that they cannot encode are shown as `?`."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed, as by `>&-`: the next file would be taken for it
            os.open(os.devnull, os.O_RDWR)
    for name, title in (("stderr", "standard error"), ("stdout", "standard output")):
        stream = getattr(sys, name)
        if isinstance(stream, Lenient):
            continue
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, Lenient(stream, title))


def make_logs_lenient() -> None:
    """Let the log files that Hydra has opened replace letters that the locale's encoding lacks."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.stream.reconfigure(errors="replace")


def failure() -> OSError | None:
    """Why standard output shows nothing any more; None while it does."""
    return sys.stdout.failure if isinstance(sys.stdout, Lenient) else None
