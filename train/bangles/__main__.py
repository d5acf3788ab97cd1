"""`python -m train.bangles OUT --good N --anomaly M --seed S`"""

import argparse
import sys
import time
from pathlib import Path

from train import bangles


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 0 or more")
    return int(text)


def main() -> int:
    name = "python -m train.bangles"
    parser = argparse.ArgumentParser(name, description=bangles.__doc__, exit_on_error=False)
    parser.add_argument("out", type=Path, help="folder to make; must be new or empty")
    parser.add_argument("--good", type=natural, default=100, metavar="N", help="good frames")
    parser.add_argument("--anomaly", type=natural, default=100, metavar="M", help="frames with defects")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="same seed, same bytes")
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="good frames are the anomalous ones before they were damaged; train with --group '(\\d+)\\.jpg', which keeps both on one side",
    )
    started = time.monotonic()
    try:
        options = parser.parse_args()
        bangles.generate(options.out, options.good, options.anomaly, options.seed, options.pairs)
    except (OSError, argparse.ArgumentError) as error:
        print(f"bangles: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"bangles: stopped; {options.out} is not complete", file=sys.stderr)
        return 130
    took = time.monotonic() - started
    print(f"{options.good} good and {options.anomaly} anomaly frames in {options.out} ({took:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
