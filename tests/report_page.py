"""A report as a browser reads it."""

import re
from html.parser import HTMLParser
from pathlib import Path

from edge_runtime.views import report


class Page(HTMLParser):
    """Elements with their attributes and their own text, as they stand in the page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            found | {"text": text.strip()}
            for (name, found), text in zip(self.elements, self.texts, strict=True)
            if name == tag and all(found.get(key) == value for key, value in wanted.items())
        ]

    @property
    def says(self) -> str:
        """What a person reads, in one line."""
        text = re.sub(r"<(script|style).*?</\1>|<title>.*?</title>", " ", self.source, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]*>", "", text).split())


def page(out: Path, path: Path | None = None, model: Path | None = None) -> Page:
    path = path or out / report.NAME
    report.write(out, path, model)
    return Page(path)
