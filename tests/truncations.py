"""Whole frames of every format, cut at random places: `python -m tests.truncations 20000`. None may be given a verdict."""

import random
import sys

from edge_runtime.errors import FrameError
from edge_runtime.frames import decode
from tests.formats import WHOLE, pillow, tiled_tiff


def read_all_the_same(count: int, seed: int) -> list[str]:
    """Cuts whole frames at random places. Returns which of them were decoded all the same: none should be."""
    dice = random.Random(seed)
    whole = (
        WHOLE | {name: pillow("TIFF", compression=name) for name in ("tiff_lzw", "packbits")} | {"tiled": tiled_tiff()}
    )
    read = []
    for _ in range(count):
        kind, data = dice.choice(list(whole.items()))
        cut = dice.randrange(len(data))
        try:
            decode(data[:cut])
            read.append(f"{kind} cut after {cut} of {len(data)} bytes")
        except FrameError:
            pass
    return read


if __name__ == "__main__":
    read = read_all_the_same(int(sys.argv[1]), seed=0)
    print(f"{len(read)} of {sys.argv[1]} truncations were decoded", *read, sep="\n")
    sys.exit(1 if read else 0)
