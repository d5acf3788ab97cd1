"""The process that does the work: `python -m edge_runtime.line.worker`, started by process.py.

Standard input brings the job, one line, and later `stop`, one line; where it ends without that, the supervisor is gone and so is
the worker. Standard output carries events. Whatever else prints goes to standard error.

The model is loaded in a thread while the libraries that read, judge and record frames (work.py) are still being imported.
"""

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from edge_runtime.benchmark import profile
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.benchmark.profile import Profile
from edge_runtime.errors import EdgeDetectError, MixedResultsError
from edge_runtime.line.events import Ended, Event, Failed, encode
from edge_runtime.line.job import Job
from edge_runtime.line.supervisor import SIGNALS
from edge_runtime.model import Model, available_providers


class Channel:
    """The pipe to the supervisor, for any thread."""

    def __init__(self) -> None:
        self._pipe = os.dup(1)
        os.dup2(2, 1)
        self._guard = threading.Lock()

    def tell(self, event: Event) -> None:
        left = memoryview(f"{encode(event)}\n".encode())
        with self._guard:
            while left:
                left = left[os.write(self._pipe, left) :]


def main() -> None:
    stop = threading.Event()
    for number in SIGNALS:  # they reach all of a terminal or a service; the supervisor says what follows
        signal.signal(number, signal.SIG_IGN)
    channel = Channel()
    control = open(os.dup(0), "rb")  # noqa: SIM115  # its thread reads until the process ends
    asked = control.readline()
    if not asked:  # the command line asked for nothing that can be done
        return
    job = Job.from_json(asked)
    threading.Thread(target=_obey, args=(control, stop), daemon=True).start()
    with ThreadPoolExecutor(1) as pool:  # whose end waits for the model, which nobody who made a mistake should
        try:
            setup = _setup(job)
            loading = pool.submit(
                Model.load, Path(job.model), setup.threads, setup.provider, job.sha256, setup.spinning
            )
            from edge_runtime.line import work

            work.run(job, loading.result, setup.jobs, channel.tell, stop)
        except EdgeDetectError as err:
            channel.tell(Failed(str(err), lasting=isinstance(err, MixedResultsError)))
        else:
            channel.tell(Ended())


def _obey(control: Iterable[bytes], stop: threading.Event) -> None:
    for _ in control:
        stop.set()
    os._exit(3)


def _setup(job: Job) -> Profile:
    """What was asked for; else what benchmark --tune has found for this model on this PC; else what is best for most."""
    model, live = Path(job.model), job.watching is not None or _is_one_frame(job.inputs)
    found = Profile.default(available_cores(), live)
    if os.path.isfile(model) and os.path.isfile(profile.path_of(model)):
        with open(model, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        tuned = profile.read(model, sha256, live, say=lambda words: print(words, file=sys.stderr))
        if tuned is not None and tuned.provider not in available_providers():
            print(f"note: {profile.path_of(model)} asks for {tuned.provider}, which is gone; ignored", file=sys.stderr)
        else:
            found = tuned or found
    return replace(
        found,
        jobs=job.jobs or found.jobs,
        threads=job.threads or found.threads,
        provider=job.provider or found.provider,
    )


def _is_one_frame(inputs: tuple[str, ...]) -> bool:
    """As scripts ask that call edge-detect for each. Lists of frames are files, too."""
    return len(inputs) == 1 and not inputs[0].lower().endswith(".txt") and os.path.isfile(inputs[0])


if __name__ == "__main__":
    main()
