"""What the line has to install and to wait for."""

import subprocess
import sys

HEAVY = ("tensorflow", "keras", "torch", "jax", "onnx", "tf2onnx", "sklearn")


def loaded(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after running code."""
    report = f"import sys\n{code}\nprint('|'.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split("|"))


def test_the_runtime_loads_no_training_framework() -> None:
    everything = "import edge_runtime, edge_runtime.cli, edge_runtime.line.worker, edge_runtime.line.work"
    modules = loaded(everything)
    assert "onnxruntime" in modules
    assert not modules & set(HEAVY)


def test_help_waits_for_nothing_heavy() -> None:
    help_ = "from edge_runtime import cli\ntry:\n    cli.app(['--help'])\nexcept SystemExit:\n    pass"
    assert not loaded(help_) & {"numpy", "cv2", "onnxruntime", "msgspec", *HEAVY}


def test_what_supervises_a_run_is_light() -> None:
    modules = loaded("from edge_runtime import cli; import edge_runtime.line.supervisor, edge_runtime.line.heartbeat")
    assert not modules & {"numpy", "cv2", "onnxruntime", "msgspec", "watchdog", *HEAVY}
