"""export-report.html: one page that says which precision ships, and why."""

from dataclasses import asdict
from pathlib import Path

import jinja2

from edge_runtime.line.durable import write_bytes
from edge_runtime.manifest import Manifest
from edge_runtime.mirrors import AXES
from edge_runtime.stored import to_dict
from export import parity
from export.gate import WORDS, Limits
from export.options import Precision
from export.precision import Choice

NAME = "export-report.html"


def write(
    folder: Path,
    model: Path,
    sha256: str,
    manifest: Manifest,
    wanted: Precision,
    choice: Choice,
    limits: Limits,
    promises: list[str],
) -> Path:
    """Raises OutputError where the page can't be written."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    text = environment.get_template("report.html.j2").render(
        product=manifest.product,
        model=model,
        sha256=sha256,
        versions=", ".join(f"{name} {version}" for name, version in manifest.parity.versions.items()),
        precision=manifest.precision.upper(),
        images=len(AXES[manifest.mirrors]),
        why=why(manifest, wanted, choice),
        doubts=manifest.training.doubts,
        parity=manifest.parity,
        tolerance=parity.LOGITS_TOLERANCE,
        rounding=parity.CAM_ROUNDING,
        box_iou=parity.BOX_IOU,
        attempts=[asdict(attempt) | {"found": to_dict(attempt.found)} for attempt in choice.attempts],
        failed=choice.failed,
        limits=limits.items(),
        words=WORDS,
        promises=promises,
    )
    write_bytes(folder / NAME, text.encode())
    return folder / NAME


def why(manifest: Manifest, wanted: Precision, choice: Choice) -> str:
    """One sentence for people."""
    if manifest.quantisation is not None:
        found = manifest.quantisation
        return (
            f"INT8 ({found.scheme}) is {found.speedup:.1f} times as fast here. On {manifest.parity.frames} validation frames it misses "
            f"{found.missed} defects that float catches, and differs in {100 * found.flips:.2g} % of the verdicts."
        )
    ways = len(choice.attempts) + len(choice.failed)
    if not ways:
        return (
            "INT8 was not asked for; --precision auto ships it where it is as good." if wanted is Precision.FP32 else ""
        )
    if not choice.attempts:
        return f"INT8 was refused in {ways} ways; the first, {choice.failed[0]}."
    closest = min(choice.attempts, key=lambda attempt: len(attempt.breaches))
    return f"INT8 was refused in {ways} ways; the closest, {closest.found.scheme}: {'; '.join(closest.breaches)}."
