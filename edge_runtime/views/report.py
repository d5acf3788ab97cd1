"""OUT/report.html: one page, for people, that needs nothing else."""

from pathlib import Path

NAME = "report.html"


def write(out: Path, page: Path, model: Path | None) -> None:
    raise NotImplementedError
