"""`info` and `check`: what a model file says, and whether it answers on this PC as it did where it was exported."""

import json
from typing import Annotated

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import ModelArgument, Provider, RequiredSha256, Threads

SLOW_SUMS = "slow on this processor, which has no VNNI: INT8 files are quicker with 7 bits (export --reduce-range)"


def info(
    model: ModelArgument, as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as JSON.")] = False
) -> None:
    """Show what a model file says about itself."""
    from edge_runtime.describe import described
    from edge_runtime.model import Model, available_providers
    from edge_runtime.saturation import saturates
    from edge_runtime.stored import to_dict

    loaded = Model.load(model)
    if as_json:
        console.out(json.dumps({"sha256": loaded.sha256, **to_dict(loaded.manifest)}))
        return
    told = {"file": f"sha256 {loaded.sha256}", **described(loaded.manifest)}
    told["providers"] = f"{', '.join(available_providers())} (of the onnxruntime installed here)"
    quantisation = loaded.manifest.quantisation
    has_7_bits = quantisation is not None and quantisation.reduced_range
    told["8-bit sums"] = SLOW_SUMS if saturates() and not has_7_bits else "fast on this processor"
    for name, value in told.items():
        console.out(f"{name:14} {value}")


def check(
    model: ModelArgument, require_sha256: RequiredSha256 = None, provider: Provider = "cpu", threads: Threads = 0
) -> None:
    """See whether a model file answers here as where it was made.

    Replays the golden frames that lie in the file; exits 2 where its answers have drifted.
    """
    from edge_runtime.golden import replay
    from edge_runtime.model import Model

    for line in replay(Model.load(model, threads, provider, require_sha256 or "")):
        console.out(line)
