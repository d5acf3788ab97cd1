import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from tests import tiny

settings.register_profile("untimed", deadline=None)  # speed lives in benchmarks/
settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all") if IS_ROOT else ()
"""Under it a command obeys the permissions of files, whoever runs the tests."""
obeying = pytest.mark.skipif(
    os.name == "nt" or (IS_ROOT and not shutil.which("setpriv")), reason="nothing is closed to an administrator"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(tiny.model())
    return path


@pytest.fixture
def edge_detect(tmp_path: Path) -> Run:
    """The installed command in a process of its own, in an empty folder."""

    def run(*args: object, under: Sequence[str] = (), **options: object) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("edge-detect")), *map(str, args)]
        return subprocess.run([*under, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture
def tampered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Python code that every process started from now on runs first; returns a file that is not there yet, MARK to the code."""

    def tamper(code: str) -> Path:
        (tmp_path / "site").mkdir()
        mark = tmp_path / "mark"
        (tmp_path / "site" / "sitecustomize.py").write_text(f"MARK = {str(mark)!r}\n{code}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
        return mark

    return tamper


@pytest.fixture
def module() -> Run:
    """`python -m MODULE ...` from the checkout."""

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", *map(str, args)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)

    return run
