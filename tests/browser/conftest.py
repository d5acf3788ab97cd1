import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Watch

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [
    *(() if importlib.util.find_spec("playwright") else ("no playwright",)),
    *(() if CHROMIUM else ("no Chromium",)),
]
NOT_RUN = f"browser tests were NOT run: {' and '.join(MISSING)}"
NO_AXE = "accessibility was NOT tested: no axe-playwright-python, which brings axe-core"
AXE = importlib.util.find_spec("axe_playwright_python")
OURS = ("http://127.0.0.1:", "about:blank")
Start = Callable[..., Watch]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if MISSING and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=NOT_RUN))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for loud in (NOT_RUN, NO_AXE):
        if any(loud in reason for reason in skipped):
            terminalreporter.write_line(loud, yellow=True, bold=True)


@pytest.fixture(scope="module")  # longer, and playwright's event loop would be in the way of other tests
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console says; a test may empty it where it has provoked something. `page` demands none."""
    return []


@pytest.fixture
def watch(tmp_path: Path, tiny_model: Path) -> Iterator[Start]:
    started: list[Watch] = []

    def start(*cameras: str) -> Watch:
        started.append(Watch(tmp_path, tiny_model, cameras or ("line",)))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def page(chromium: Any, complaints: list[str], watch: Start) -> Iterator[Any]:
    """A tab, which is closed before what it looks at."""
    del watch
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: complaints.extend([request.url] * (not request.url.startswith(OURS))))
    yield tab
    context.close()
    assert complaints == []
