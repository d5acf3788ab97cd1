"""Old pictures make room, and nothing else does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.line.job import Watching
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import LEDGER
from edge_runtime.line.retention import delete_old
from tests import outs
from tests.outs import IDENTITY

SIZE = 1000
MONTH = Watching(keep_days=30)


def make(out: Path, dates: list[str]) -> list[Path]:
    """A reject with a picture of SIZE bytes per date, each followed by a good frame without; returns the pictures."""
    (out / "overlay").mkdir(parents=True, exist_ok=True)
    pictures = [out / "overlay" / f"{number}.jpg" for number in range(len(dates))]
    with Ledger(out, IDENTITY) as ledger, closing(sqlite3.connect(out / LEDGER, isolation_level=None)) as db:
        for picture, date in zip(pictures, dates, strict=True):
            picture.write_bytes(bytes(SIZE))
            row = ledger.commit(outs.reject(picture.name), None, {"overlay": f"overlay/{picture.name}"})
            ledger.commit(outs.good(f"good/{picture.name}"), None, {})
            if date:
                db.execute("UPDATE inspections SET inspected_at = ? WHERE id = ?", (date, row["id"]))
    return pictures


def there(pictures: list[Path]) -> list[int]:
    return [number for number, picture in enumerate(pictures) if picture.exists()]


def at_most(pictures: int) -> Watching:
    return Watching(max_gb=pictures * SIZE / 1e9)


def test_a_row_of_the_future_keeps_only_its_own_picture(tmp_path: Path) -> None:
    old = "2020-01-01T00:00:00.000Z"
    pictures = make(tmp_path, [old, "2999-01-01T00:00:00.000Z", old, "", old])
    delete_old(tmp_path, MONTH)
    assert there(pictures) == [1, 3]


def test_room_is_counted_in_pictures_that_rows_name(tmp_path: Path) -> None:
    pictures = make(tmp_path, [""] * 6)
    stranger = tmp_path / "overlay" / "mine.jpg"
    stranger.write_bytes(bytes(50 * SIZE))
    delete_old(tmp_path, at_most(4))
    assert there(pictures) == [2, 3, 4, 5] and stranger.exists()
    delete_old(tmp_path, at_most(3))
    assert there(pictures) == [3, 4, 5]


def test_a_picture_that_cannot_be_deleted_stays_for_the_next_time(tmp_path: Path) -> None:
    """A folder in its place: nobody may unlink that, not even root."""
    pictures = make(tmp_path, ["2020-01-01T00:00:00.000Z"] * 3)
    pictures[0].unlink()
    pictures[0].mkdir()
    delete_old(tmp_path, MONTH)
    assert there(pictures) == [0]
    pictures[0].rmdir()
    pictures[0].write_bytes(bytes(SIZE))
    delete_old(tmp_path, MONTH)
    assert there(pictures) == []


@pytest.mark.parametrize("rule", [MONTH, Watching(max_gb=1e-12)])
def test_many_pictures_are_noted_in_few_transactions(rule: Watching, tmp_path: Path) -> None:
    """Each writes to the write-ahead log: one per picture, at least."""
    make(tmp_path, ["2020-01-01T00:00:00.000Z"] * 600)
    with Ledger(tmp_path, IDENTITY):
        delete_old(tmp_path, rule)
        assert not list((tmp_path / "overlay").iterdir())
        assert (tmp_path / f"{LEDGER}-wal").stat().st_size < 100 * 4096


def test_the_pictures_of_an_earlier_version_are_known_too(tmp_path: Path) -> None:
    pictures = make(tmp_path, ["2020-01-01T00:00:00.000Z"] * 3)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as db:
        db.execute("DROP TABLE pictures")
    with Ledger(tmp_path, IDENTITY):
        delete_old(tmp_path, MONTH)
    assert there(pictures) == []
