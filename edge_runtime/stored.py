"""Records kept as JSON: checked to the last field when they are read, frozen from then on."""

from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")


def to_json(record: Any, indent: int | None = None) -> str:
    """NumPy's numbers become JSON's."""
    text = msgspec.json.encode(record, enc_hook=lambda number: number.item())
    return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()


def from_json(text: str | bytes | msgspec.Raw, kind: type[Record]) -> Record:
    """Raises ValueError, which says what was expected, what came, and where."""
    try:
        return msgspec.json.decode(text, type=kind)
    except UnicodeError:
        raise ValueError("is not in UTF-8") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def to_dict(record: Any) -> dict[str, Any]:
    """Down to the last record in it."""
    found: dict[str, Any] = msgspec.to_builtins(record, enc_hook=lambda number: number.item())
    return found
