"""What happens before a command line is read, and while a worker starts."""

import os
import signal
import subprocess
import sys

import pytest

from edge_runtime import __main__ as entry
from edge_runtime.cli import app
from edge_runtime.line import process


def test_commands_that_need_a_worker_get_one_ahead() -> None:
    commands = {info.callback.__name__ for info in app.registered_commands if info.callback}
    assert set(entry.WITH_WORKER) < commands
    for words, wanted in (
        ("inspect frames -m part.onnx -o out", True),
        (f"{__file__} -m part.onnx -o out", True),
        ("check part.onnx", False),
        ("watch --help", False),
        ("isnpect frames", False),
        ("", False),
    ):
        assert entry._wants_worker(words.split()) is wanted, words


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to process groups")
def test_a_worker_that_starts_does_not_hear_ctrl_c() -> None:
    """A terminal sends it to both processes; the supervisor tells the worker what follows."""
    code = (
        "import os, signal, sys\nfrom edge_runtime.line import process\nworker = process.worker()\n"
        "os.kill(worker.pid, signal.SIGINT)\nworker.communicate()\nsys.exit(worker.returncode)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="asks for a process by its number")
def test_a_worker_that_nobody_takes_is_gone_with_the_command() -> None:
    code = "from edge_runtime.line import process\nprocess.start_ahead()\nprint(process._ahead[0].pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_worker_started_ahead_is_the_one_that_works() -> None:
    process.start_ahead()
    (ahead,) = process._ahead
    with process.worker() as taken, process.worker() as another:
        assert taken is ahead is not another
        for each in (taken, another):
            each.communicate(b"")
            assert each.returncode == 0


def test_ctrl_c_before_the_command_line_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While libraries are imported it comes as any signal does: between two lines."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "argv", ["edge-detect", "info"])
    monkeypatch.setattr(entry, "_wants_worker", lambda _: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(SystemExit) as ended:
            entry.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\nstopped\n"
