"""The operator screen in a real browser, before a running `edge-detect watch` on a live folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2

from tests import tiny

SIZE_WH = (480, 320)
SQUARE = (160, 80, 320, 240)


class Watch:
    """`edge-detect watch DIR... --serve` in a process of its own; `put` does what a camera does."""

    def __init__(self, folder: Path, model: Path, cameras: tuple[str, ...] = ("line",)) -> None:
        self.folder, self.model = folder, model
        self.cameras = [folder / "live" / name for name in cameras]
        for camera in self.cameras:
            camera.mkdir(parents=True, exist_ok=True)
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """On the address that the first start got."""
        program = Path(sys.executable).with_name("edge-detect")
        command: list[str | Path] = [program, "watch", *self.cameras, "-m", self.model, "-o", self.folder / "out"]
        options = ["--settle-ms", "20", "--incomplete-after", "0.1", "--rescan", "0.2", "--no-check", "--prove"]
        command += [*options, "--serve", self.address]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = next(line for line in self.process.stderr if line.startswith("operator screen: "))
        self.url = said.split()[-1]
        self.address = self.url.removeprefix("http://")

    def put(self, name: str, bad: bool = False, camera: int = 0, data: bytes | None = None) -> None:
        """Another frame, whole at once. Each has a pixel of its own, so that no two are equal."""
        image = tiny.frame(SQUARE if bad else None, SIZE_WH)
        image[0, 0] = [len(os.listdir(folder := self.cameras[camera])), 0, 0]
        whole = cv2.imencode(".png", image)[1].tobytes() if data is None else data
        temporary = self.folder / "writing"
        temporary.write_bytes(whole)
        os.replace(temporary, folder / name)

    def kill(self) -> None:
        """As a power cut does."""
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        self.process.terminate()
        self._gone()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _gone(self) -> None:
        self.process.wait(timeout=30)
        assert self.process.stderr is not None
        self.process.stderr.close()
