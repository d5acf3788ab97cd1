"""fp32, int8, or int8 if it is as good: which of the candidates ships, and why."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from msgspec.structs import replace

from edge_runtime.errors import EdgeDetectError
from edge_runtime.manifest import Manifest, Quantisation
from edge_runtime.results import Image
from export import gate
from export.candidate import Candidate, Questions, ask
from export.parity import LOGITS_TOLERANCE
from export.quantise import METHODS, Scheme, most_sensitive, quantise

RESCUED = (2, 4)
"""Convolutions kept in float, the most sensitive first, where the usual ways of choosing ranges don't do."""
INT8_TOLERANCE = 1e-2
"""Logits per logit of evidence that a fine map may be off; twice the farthest seen, where that is more."""
INT8_GOLDEN_TOLERANCE = 0.03
"""Relative. Processors round integers alike, but a rounding may fall on the other side where a float sum decides it: 0.016 in the
CAM between onnxruntime and OpenVINO. Another way to resize costs 0.04 and more."""

Complete = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to quantise, and what stood against it; nothing where it may ship."""

    found: Quantisation
    breaches: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Choice:
    """candidate: what ships; described: the draft of its manifest. attempts: every way to quantise that was judged; failed: those whose
    graph could not be, and why."""

    candidate: Candidate
    described: Manifest
    attempts: tuple[Attempt, ...]
    failed: tuple[str, ...]


def choose(
    plain: Candidate,
    draft: Manifest,
    forward: onnx.ModelProto,
    complete: Complete,
    calibration: Image,
    asked: Questions,
    limits: gate.Limits,
    reduce_range: bool,
) -> Choice:
    """plain: the float candidate; forward: its graph without the fine map, which `complete` adds. calibration: frames that
    ranges are measured on. The candidate is `plain` where nothing passes the gate."""
    attempts: list[Attempt] = []
    failed: list[str] = []
    for scheme in _schemes(forward, calibration, reduce_range):
        print(f"INT8, {scheme}: quantising and asking it all validation frames ...", file=sys.stderr)
        graph = complete(quantise(forward, calibration, scheme))
        try:
            small = ask(graph, draft, asked)
        except EdgeDetectError as err:
            print(f"INT8, {scheme}: refused: {err}", file=sys.stderr)
            failed.append(f"{scheme}: {err}")
            continue
        found = gate.compare(plain, small, str(scheme), len(calibration), asked.images)
        breaches = [*limits.breaches(found), *_unsteady(small)]
        attempts.append(Attempt(found, tuple(breaches), graph.ByteSize()))
        if not breaches:
            described = replace(
                draft,
                precision="int8",
                quantisation=found,
                fine_tolerance=max(INT8_TOLERANCE, 2 * small.fine_residual),
                golden_tolerance=INT8_GOLDEN_TOLERANCE,
            )
            return Choice(small, described, tuple(attempts), tuple(failed))
        print(f"INT8, {scheme}: refused: {'; '.join(breaches)}", file=sys.stderr)
    return Choice(plain, draft, tuple(attempts), tuple(failed))


def _unsteady(small: Candidate) -> list[str]:
    """Does the batch change its answers?"""
    apart = max(float(np.abs(one.logits - small.answers.logits).max()) for one in small.file.values())
    return [] if apart <= LOGITS_TOLERANCE else [f"logits differ by {apart:.2g} between batch sizes"]


def _schemes(forward: onnx.ModelProto, calibration: Image, reduce_range: bool) -> Iterator[Scheme]:
    """The plainest first; sensitivity is only measured where ranges alone don't help."""
    for method in METHODS:
        yield Scheme(method, reduce_range=reduce_range)
    ranked = most_sensitive(forward, calibration, Scheme(reduce_range=reduce_range))
    for count in RESCUED:
        yield Scheme(floating=tuple(ranked[:count]), reduce_range=reduce_range)
