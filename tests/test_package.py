"""What ships: the wheel, alone, in an empty environment."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    # From a copy: two workers that build in one checkout take each other's build/ away. Without isolation: a build must not
    # depend on what the package index does at this moment.
    shutil.copytree(ROOT / "edge_runtime", source / "edge_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.xdist_group("package")
def test_the_wheel_holds_the_runtime_with_its_demo_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"edge_runtime"}
    assert "edge_runtime/demo/model.onnx" in names and "edge_runtime/py.typed" in names
    assert {
        "edge_runtime/serve/static/index.html",
        "edge_runtime/views/report.html.j2",
        "edge_runtime/views/report.css",
    } <= {*names}
    assert sum(name.startswith("edge_runtime/demo/frames/") for name in names) >= 6
    assert wheel.stat().st_size < 6_000_000


@pytest.mark.xdist_group("package")
def test_the_wheel_alone_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    bin_ = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [str(bin_ / "python"), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, timeout=300)
    if subprocess.run(
        [bin_ / "python", "-c", "import cv2"], capture_output=True
    ).returncode:  # no libGL: docs/install.md
        headless = ["--force-reinstall", "--no-deps", "opencv-python-headless"]
        subprocess.run([*pip, *headless], check=True, capture_output=True, timeout=300)
    done = subprocess.run([bin_ / "edge-detect", "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    verdicts = {line.split()[2]: line.split()[0] for line in done.stdout.splitlines()}
    assert len(verdicts) >= 6 and set(verdicts.values()) == {"good", "anomaly"}
    pictures = sorted(path.name.split(".")[0] for path in (tmp_path / "edge-detect-demo" / "overlay").iterdir())
    assert pictures == sorted(name.removesuffix(".jpg") for name in verdicts)
