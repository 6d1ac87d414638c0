"""`notify=`: a word to somebody when a run has failed or a sweep has ended.

It is a URL, which gets a POST of JSON with `text` (as Slack, Mattermost and others read it),
`state` and `study`; or a command, which gets the text on its standard input, and all three as
variables `GRADPROM_TEXT`, `GRADPROM_STATE` and `GRADPROM_STUDY`.
"""

import json
import logging
import os
import subprocess
import urllib.error
import urllib.request

from gradprom.errors import first_line

log = logging.getLogger(__name__)

TIMEOUT = 20.0
"""Seconds after which a notice is given up."""


def send(notify: str, state: str, study: str, text: str) -> None:
    """Send a notice; one that cannot be sent is a warning in the log, and nothing else.

    Parameters
    ----------
    notify
        The URL or the command, with variables such as `$MY_HOOK`, which are replaced here; empty:
        nobody is told.
    state
        `failed` for a run, `ended` for a sweep.
    study
        Its name.
    text
        A sentence.
    """
    if not notify:
        return
    target = os.path.expandvars(notify)
    try:
        if target.startswith(("http://", "https://")):
            _post(target, {"text": text, "state": state, "study": study})
        else:
            _run(notify, {"TEXT": text, "STATE": state, "STUDY": study})
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # the URL may be a secret: it is not part of the message
        reason = first_line(error).replace(target, notify)
        log.warning("notify= did not work: %s; it was to say: %s", reason, text)


def _post(url: str, content: dict[str, str]) -> None:
    body = json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT):
        pass


def _run(command: str, content: dict[str, str]) -> None:
    """The shell replaces the command's variables."""
    variables = {f"GRADPROM_{name}": value for name, value in content.items()}
    subprocess.run(
        command,
        shell=True,
        input=content["TEXT"] + "\n",
        text=True,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
