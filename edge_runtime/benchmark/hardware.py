"""What a figure was measured on: processor, memory, versions. Only the standard library."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FEATURES = {
    "AVX2": "avx2",
    "AVX512": "avx512f",
    "VNNI": "avx512_vnni",
    "AVX-VNNI": "avx_vnni",
    "BF16": "avx512_bf16",
    "AMX": "amx_int8",
    "NEON": "asimd",
    "dot product": "asimddp",
}
"""What decides how fast a network runs, and its name in /proc/cpuinfo."""
PACKAGES = ("edge-detect", "onnxruntime", "onnxruntime-openvino", "numpy", "opencv-python", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Hardware:
    """cores: that this process may use. features: of FEATURES, None where the system does not tell. memory_gib: of the PC,
    None likewise."""

    cpu: str
    features: tuple[str, ...] | None
    cores: int
    memory_gib: float | None
    system: str

    def __str__(self) -> str:
        told = "features not known" if self.features is None else " ".join(self.features) or "no vector extensions"
        memory = "" if self.memory_gib is None else f", {self.memory_gib:.0f} GiB"
        return f"{self.cpu} ({told}), {self.cores} core{'s' * (self.cores != 1)}{memory}, {self.system}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def hardware() -> Hardware:
    lines = _cpuinfo()
    flags = (lines.get("flags") or lines.get("Features") or "").split()
    return Hardware(
        cpu=lines.get("model name") or platform.processor() or platform.machine(),
        features=tuple(name for name, flag in FEATURES.items() if flag in flags) if flags else None,
        cores=available_cores(),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.machine()}",
    )


def available_cores() -> int:
    """Cores this process may use: its affinity where the system tells, else all; no more than its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no Linux, no limit ("max"), or cgroups of another kind
        return cores


def versions(*more: str) -> dict[str, str]:
    """Of Python and the packages that are installed; more: further ones to look for."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in PACKAGES + more:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_mib(process: int | str = "self") -> float | None:
    """The most memory that a running process has held, in MiB; None where the system does not tell (Windows)."""
    return _status(process, "VmHWM")


def memory_mib(process: int | str = "self") -> float | None:
    """The memory that a running process holds now."""
    return _status(process, "VmRSS")


def _status(process: int | str, key: str) -> float | None:
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    return int(text.split(f"{key}:")[1].split()[0]) / 1024 if f"{key}:" in text else None


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    split = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in split}


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    except (AttributeError, ValueError, OSError):
        return None
