"""What presets share: a row's texts, ids that follow from content, and the words for rows of another layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.digests import sha256_json
from unlearn_audit.facts.printed import plain, unpacked

Row = Mapping[str, object]
_DIGITS = 12


def texts(row: Row, *names: str) -> tuple[str, ...] | None:
    """The texts under these names, a number as its text; None if one is missing, empty or neither."""
    found = [plain(row.get(name)) for name in names]
    held = tuple(one for one in found if isinstance(one, str) and one.strip())
    return held if len(held) == len(names) else None


def listed(value: object) -> list[str]:
    """One text or several as a list, numbers as their texts; whatever else is in it is left out."""
    value = unpacked(value)
    values = map(plain, value if isinstance(value, list | tuple) else [value])
    return [one for one in values if isinstance(one, str) and one.strip()]


def named(prefix: str, *content: object) -> str:
    """An id that follows from what a row says."""
    return f"{prefix}-{sha256_json(list(content))[:_DIGITS]}"


def passage(prefix: str, text: str, given: str | None = None, subject: str | None = None) -> dict[str, object]:
    """A text as a fact; without a subject it is its own document."""
    name = named(prefix, text)
    fact: dict[str, object] = {"id": name, "subject": subject or name, "text": text}
    return fact if given is None else {**fact, "given": given}


def cut(prompt: str, rest: str) -> tuple[str, str]:
    """How a text begins that is published in two pieces, and the whole of it."""
    blank = "" if prompt[-1:].isspace() or rest[:1].isspace() else " "
    return prompt.strip(), prompt + blank + rest


def distinct(facts: Iterable[Row]) -> Iterator[Row]:
    """The facts without those whose id came before: rows that say the same."""
    seen: set[object] = set()
    for fact in facts:
        if fact["id"] not in seen:
            seen.add(fact["id"])
            yield fact


def refused(row: Row, number: int, expected: str) -> SpecError:
    """The error for a row of another layout; columns are named, values never."""
    columns = ", ".join(sorted(map(str, row))[:12]) or "none"
    return SpecError(f"row {number}: expected {expected}; got the columns {columns}; give the file as published")


def numbered(rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """Rows counted from 1, as messages name them."""
    return ((number, row) for number, row in enumerate(rows, 1))
