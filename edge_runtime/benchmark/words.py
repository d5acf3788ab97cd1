"""A report for people."""

from collections.abc import Iterable

from edge_runtime.benchmark.compare import Report
from edge_runtime.benchmark.hardware import Hardware
from edge_runtime.benchmark.profile import Profile


def stage_order(stages: Iterable[str]) -> list[str]:
    """In the order a frame goes through them."""
    known = ("read", "decode", "prepare", "infer", "explain", "prove", "write")
    return sorted(stages, key=lambda stage: (known.index(stage) if stage in known else len(known), stage))


def table(found: Report) -> list[tuple[str, str]]:
    """The report for people: names and what to say of them."""
    model, frames, latency = found["model"], found["frames"], found["latency_ms"]
    setup = Profile(**found["setup"])
    kinds = ", ".join(found["pictures"]["kinds"])
    drawn = f"{kinds} of {'every frame' if found['pictures']['for_all'] else 'rejects'}" if kinds else "none"
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found["verdicts"].items()))
    lines = [
        ("hardware", str(Hardware(**found["hardware"]))),
        ("versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items())),
        (
            "model",
            f"{model['file']} ({found['precision']}, mirror images {found['mirrors']}, input {found['input_hw'][1]}x{found['input_hw'][0]})",
        ),
        ("frames", f"{frames['count']} of {frames['source']}, {frames['size_wh'][0]}x{frames['size_wh'][1]}"),
        ("setup", f"{setup}; pictures: {drawn}"),
        ("measured", f"{found['samples']} frames in {found['seconds']:.1f} s: {verdicts}"),
        ("throughput", f"{found['throughput_fps']:.1f} frames/s, {1e3 / found['throughput_fps']:.2f} ms per frame"),
        ("latency", f"{_spread(latency)} ms, {_LATENCY[found['pace'] is not None]}"),
    ]
    if found["pace"]:
        pace = found["pace"]
        lines.append(
            ("deadline", f"{found['misses']:.2%} later than {pace['deadline_ms']:g} ms at {pace['fps']:g} frames/s")
        )
    stages = found["stages_ms"]
    lines += [(f"  {stage}", f"{_spread(stages[stage])} ms") for stage in stage_order(stages)]
    peak = "not measured on this system" if found["peak_mib"] is None else f"{found['peak_mib']:.0f} MiB"
    return [
        *lines,
        ("cold start", f"{found['cold_start_ms']['median']:.0f} ms from command to first committed row"),
        ("peak memory", peak),
    ]


_LATENCY = {False: "work on a frame, from reading to its last picture", True: "from scheduled arrival to committed row"}


def _spread(values: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None)
