"""How many frames at once, with how many threads each, and who runs the network? Whatever is fastest on this PC."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from edge_runtime.benchmark.profile import Profile

ALIKE = 0.01
"""Two setups whose times differ by less are as good as each other; then the one with fewer frames at once, whose results come
sooner and which takes less memory."""


def candidates(cores: int, providers: Sequence[str]) -> list[Profile]:
    """Setups that fill the cores, half of them (two threads of one core share its arithmetic), and one more than all: while
    one frame waits for the disk, another can be judged."""
    found: dict[Profile, None] = {}
    for budget in {cores, max(1, cores // 2)}:
        for jobs in sorted({1 << bit for bit in range(budget.bit_length())} | {budget}):
            for spinning in _spinnings(budget // jobs):
                found[Profile(jobs, budget // jobs, spinning)] = None
    found[Profile(cores + 1, 1, False)] = None
    own = found if "cpu" in providers else ()
    others = [
        replace(one, provider=other) for other in providers if other != "cpu" for one in found if not one.spinning
    ]
    return sorted((*own, *others), key=lambda one: (one.provider, one.jobs, one.threads, one.spinning))


def _spinnings(threads: int) -> Iterator[bool]:
    yield False
    if threads > 1:  # a single thread has nobody to wait for
        yield True


def timed(setups: list[Profile], measure: Callable[[Profile], float], rounds: int) -> dict[Profile, float]:
    """The median time of each. measure: milliseconds per frame. All take turns, so that whatever else this PC is doing hits
    them alike."""
    times: dict[Profile, list[float]] = {setup: [] for setup in setups}
    for _ in range(rounds):
        for setup in setups:
            times[setup].append(measure(setup))
    return {setup: statistics.median(found) for setup, found in times.items()}


def for_inspect(times: dict[Profile, float]) -> Profile:
    """Most frames in a given time."""
    return _best(times)


def for_watch(times: dict[Profile, float], cores: int) -> Profile:
    """Each frame as soon as can be, and nothing awake while none arrives. A second job takes the frame that arrives
    before the first is done."""
    alone = {setup: ms for setup, ms in times.items() if setup.jobs == 1 and not setup.spinning}
    return replace(_best(alone), jobs=Profile.default(cores, live=True).jobs)


def _best(times: dict[Profile, float]) -> Profile:
    least = min(times.values())
    alike = [setup for setup, ms in times.items() if ms <= least * (1 + ALIKE)]
    return min(alike, key=lambda setup: (setup.jobs, setup.threads, setup.spinning))
