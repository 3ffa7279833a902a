"""A file of JSON that is one object around its rows, or has a list for each column: opened into rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from unlearn_audit.errors import SpecError
from unlearn_audit.facts.usual import CHATS, FIELDS, is_asked

Placed = tuple[str, dict[str, Any]]


def opened(rows: Iterable[Placed], source: str) -> Iterator[Placed]:
    """The rows; those inside the only one: `{"data": [...]}`, lists by column, pandas' JSON.

    Raises:
        SpecError: columns of other lengths.
    """
    all_rows = iter(rows)
    begun = list(islice(all_rows, 2))
    inner = _rows_in(begun[0][1], source) if len(begun) == 1 else None
    if inner is None:
        yield from chain(begun, all_rows)
    else:
        yield from ((f"item {number}", row) for number, row in enumerate(inner, 1))


def _rows_in(row: Mapping[str, Any], source: str) -> list[dict[str, Any]] | None:
    """The rows that one object stands for; None where it is a row itself."""
    if row.keys() in ({"columns", "data"}, {"columns", "index", "data"}):
        return _split(row)
    asks = any(map(is_asked, row))
    if asks and all(isinstance(value, list) for value in row.values()):
        return _columns(row, source)
    if row and all(isinstance(value, dict) for value in row.values()):
        return _labelled(row, asks=asks)
    lists = [] if asks else [name for name, value in row.items() if _are_rows(value)]
    named = (*FIELDS, *CHATS)
    if len(lists) == 1 and row.keys().isdisjoint(named):
        return list(row[lists[0]])
    return None


def _split(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What `to_json(orient="split")` writes: names, and a list of cells for each row."""
    names, cells = row["columns"], row["data"]
    fits = (
        isinstance(names, list)
        and isinstance(cells, list)
        and all(isinstance(one, list) and len(one) == len(names) for one in cells)
    )
    return [dict(zip(map(str, names), one, strict=True)) for one in cells] if fits else None


def _columns(row: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    """A list for each column."""
    lengths = {len(value) for value in row.values()}
    if len(lengths) > 1:
        counted = ", ".join(map(str, sorted(lengths)))
        raise SpecError(f"{source}: expected lists of one length, one for each column; got lengths of {counted}")
    return [dict(zip(row, values, strict=True)) for values in zip(*row.values(), strict=True)]


def _labelled(row: Mapping[str, Any], *, asks: bool) -> list[dict[str, Any]] | None:
    """What `to_json()` writes, cells of a column by the row's label; or with `orient="index"`, rows by their labels."""
    if asks:
        labels = list(dict.fromkeys(label for cells in row.values() for label in cells))
        return [{name: cells.get(label) for name, cells in row.items()} for label in labels]
    return list(row.values()) if all(any(map(is_asked, one)) for one in row.values()) else None


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
