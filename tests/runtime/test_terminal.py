"""What a person at a terminal meets: help, mistakes, the closing table, a pipe that closes, completion."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer.main

from benchmarks.reliability.line import until
from edge_runtime.cli import app
from edge_runtime.commands import console
from edge_runtime.errors import OutputError
from tests import tiny
from tests.conftest import Run
from tests.runtime.test_cli import BRIGHT, DARK, rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothere", "-m", "MODEL", "-o", "out"], "nothere: no such command, file or folder"),
        (["nothere"], "nothere: no such command, file or folder; edge-detect --help lists the commands"),
        (["no/there", "-m", "MODEL", "-o", "out"], "no/there: no such file or folder"),
        (["empty", "-m", "MODEL", "-o", "out"], "no frames found in empty"),
        (["frames", "-m", "none.onnx", "-o", "out"], "none.onnx: can't be read: No such file"),
        (["frames", "-m", "frames/a.png", "-o", "out"], "frames/a.png: is no ONNX model"),
        (["frames", "-m", "MODEL", "-o", "notes"], "notes: is a file; results need a folder"),
        (["frames", "-m", "MODEL", "-o", "/proc/out"], "/proc/out: results can't be written there"),
        (
            ["frames", "-m", "MODEL", "-o", "out", "--save", "rainbow"],
            "--save rainbow: no such picture; there are overlay",
        ),
        (["inspct", "frames", "-m", "MODEL", "-o", "out"], "did you mean the command `inspect`?"),
        (["chek", "MODEL"], "did you mean the command `check`?"),
        (["inspct"], "did you mean the command `inspect`?"),
        (["--verison"], "no such option; did you mean --version?"),
        (["frames", "--modl", "MODEL"], "no such option: --modl (Possible options: --model)"),
        (["frames", "-o", "out"], "missing option '--model' / '-m'; see edge-detect inspect --help"),
        (["results", "out", "--format", "xml"], ": 'xml' is not one of 'jsonl', 'csv', 'coco', 'labelstudio'; see"),
        (["info", "no\x1b[31m\nsuch.onnx"], r"no\x1b[31m\nsuch.onnx: can't be read"),
        (["watch", "frames", "-m", "MODEL", "-o", "out", "--serve", "127.0.0.1:99999"], "expected HOST:PORT"),
        (["info", "frames/a.png"], "frames/a.png: is no ONNX model"),
        (["check", "none.onnx"], "none.onnx: can't be read"),
    ],
)
def test_a_mistake_gets_one_clear_line(
    arguments: list[str], says: str, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": BRIGHT})
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").touch()
    done = edge_detect(*[str(tiny_model) if argument == "MODEL" else argument for argument in arguments])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="NOT RUN: Windows has no broken pipes as POSIX has them")
def test_a_reader_that_has_seen_enough_ends_it_quietly(tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {f"{index:03}.png": DARK for index in range(300)})
    command = f"'{Path(sys.executable).with_name('edge-detect')}' frames -m '{tiny_model}' -o out"
    script = f"({command}; echo $? >&2) | head -1"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.count("\n"), done.stderr) == (1, "141\n")  # as of any program that SIGPIPE ends
    assert 1 <= len(rows(tmp_path / "out")) < 300
    again = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and len(rows(tmp_path / "out")) == 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: this system has no /dev/full")
def test_a_full_stdout_is_no_anomaly(tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": BRIGHT})
    command = [str(Path(sys.executable).with_name("edge-detect")), "frames", "-m", str(tiny_model), "-o", "out"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: stdout can't be written: ")
    assert "what was judged is kept" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("columns", ["80", "30"])
def test_errors_are_counted_by_reason_at_any_width(
    columns: str, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "frames", {"good.png": DARK})
    for name in ("one.png", "two.png", "\x1b[31mred.png"):
        (tmp_path / "frames" / name).touch()
    (tmp_path / "frames" / "text.png").write_text("hello")
    environment = os.environ | {"COLUMNS": columns}
    done = edge_detect("frames", "-m", tiny_model, "-o", columns, env=environment)
    words = " ".join(done.stderr.split())
    assert "error 4 80.00% 3 × is empty (…" in words and "1 × is no image" in words
    assert max(map(len, done.stderr.splitlines()[:-1])) <= int(columns)
    assert "\x1b" not in done.stdout + done.stderr and r"\x1b[31mred.png is empty" in done.stdout
    again = edge_detect("frames", "-m", tiny_model, "-o", columns, env=environment)
    assert "error 4 80.00% 4 × told by" in " ".join(again.stderr.split())
    quiet = edge_detect("frames", "-m", tiny_model, "-o", columns, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (2, "", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("edge-detect in", ["inspect", "info"]),
        ("edge-detect results OUT --format ", ["jsonl", "csv", "coco", "labelstudio"]),
        ("edge-detect frames --sav", ["--save", "--save-for"]),
    ],
)
def test_a_shell_can_complete(words: str, offered: list[str], edge_detect: Run) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_EDGE_DETECT_COMPLETE": "complete_bash"}
    assert edge_detect(env=os.environ | asked).stdout.split() == offered


COMMANDS = [
    "inspect",
    "watch",
    "results",
    "report",
    "mark",
    "collect",
    "info",
    "check",
    "evaluate",
    "benchmark",
    "demo",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_cuts_no_option_off_at_80_columns(command: str, edge_detect: Run) -> None:
    shown = edge_detect(command, "--help", env=os.environ | {"COLUMNS": "80"}).stdout
    lines = shown.splitlines()
    assert "…" not in shown and "<float range>" not in shown and max(map(len, lines)) < 80
    group = typer.main.get_command(app)
    for parameter in group.commands[command].params:  # type: ignore[attr-defined]  # a group's
        assert parameter.param_type_name == "argument" or all(
            re.search(rf"^ .*{option}\b", shown, re.MULTILINE) for option in parameter.opts
        )


def test_help_tells_all_commands_in_whole_sentences(edge_detect: Run) -> None:
    shown = edge_detect("--help", env=os.environ | {"COLUMNS": "80"})
    assert shown.returncode == 0 and "..." not in shown.stdout.partition("Commands:")[2].partition("`")[0]
    assert re.findall(r"^  (\w+)  +\w", shown.stdout.partition("Commands:")[2], re.MULTILINE) == COMMANDS
    assert edge_detect().stdout == edge_detect("help").stdout == edge_detect("-h").stdout
    assert edge_detect("help", "results").stdout == edge_detect("results", "--help").stdout


def test_a_slow_reader_slows_us_down_and_gets_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    read, turn = list[bytes](), threading.Semaphore(0)

    def write(data: bytes) -> None:
        turn.acquire()
        read.append(data)

    monkeypatch.setattr(console, "_write", write)
    wanted = [f"{number}{os.linesep}".encode() for number in range(10)]
    with console.Unhurried(wait_s=60, lines=2) as printer:
        writer = threading.Thread(target=lambda: list(map(printer.out, map(str, range(10)))))
        writer.start()
        until(lambda: printer._lines.full())
        assert writer.is_alive() and read == []
        turn.release(len(wanted))
        writer.join(60)
    assert read == wanted


def test_lines_that_nobody_reads_are_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(console, "_write", full)
    with console.Unhurried() as printer:
        printer.out("the last")
    assert "stdout can't be written: No space left on device; its last lines are missing" in capsys.readouterr().err
    with console.Unhurried() as printer:
        printer.out("one")
        until(lambda: printer._failed is not None)
        with pytest.raises(OutputError, match="No space left"):
            printer.out("another")
    assert "missing" not in capsys.readouterr().err
