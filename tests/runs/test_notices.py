"""`notify=`: what a webhook or a command is told, and that it never stops anything."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support import tiny_runs

from gradprom import entry
from gradprom.runs import execution, notices

FILTER = (*tiny_runs.PHANTOM, "method=classical")


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    received: list[tuple[str, dict]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, json.loads(body)))
        self.send_response(404 if self.path == "/gone" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.received = []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_webhook(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HOOK", f"{hook}/secret")
    notices.send("$MY_HOOK", "failed", "local", "σ = 0.1 failed")
    content = {"text": "σ = 0.1 failed", "state": "failed", "study": "local"}
    assert Hook.received == [("/secret", content)]


def test_a_command(tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    command = f"cat > '{told}'; echo \"$GRADPROM_STATE $GRADPROM_STUDY\" >> '{told}'"
    notices.send(command, "ended", "mine", "it has 'ended'")
    assert told.read_text() == "it has 'ended'\nended mine\n"
    notices.send("", "ended", "mine", "nobody is told")


@pytest.mark.parametrize("target", ["{}/gone", "http://127.0.0.1:9/closed", "exit 3", "$HOOK"])
def test_what_does_not_work_is_a_warning(
    target: str, hook: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/my-secret")
    notices.send(target.format(hook), "ended", "mine", "the sweep has ended")
    [warning] = caplog.messages
    assert warning.startswith("notify= did not work: ") and "the sweep has ended" in warning
    assert "my-secret" not in warning


def test_who_is_told_of_a_run_is_not_recorded(
    tmp_path: Path, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*FILTER, f"notify={hook}/secret"]
    run = tiny_runs.make(tmp_path, *words)
    assert run.id == tiny_runs.make(tmp_path, *FILTER).id
    entry.run_here([run])
    failing = tiny_runs.make(tmp_path, *words, "noise=0.2")

    def fail(*_: object) -> None:
        raise RuntimeError("the sky fell\nand more")

    monkeypatch.setattr(execution, "_train", fail)
    with pytest.raises(SystemExit):
        entry.run_here([failing])
    texts = [(content["state"], content["text"]) for _, content in Hook.received]
    assert [state for state, _ in texts] == ["ended", "failed", "ended"]
    assert "study local: 1 of 1 run of the sweep have finished" in texts[0][1]
    assert texts[1][1].startswith(f"run {failing.id} (")
    assert texts[1][1].endswith("failed: RuntimeError: the sky fell")
    assert "0 of 1 run" in texts[2][1]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not any(b"/secret" in path.read_bytes() for path in kept)
