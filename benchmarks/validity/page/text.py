"""Pieces of the page: tables as Markdown, numbers, and what stands between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """Empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def put_between(page: Path, start: str, end: str, text: str) -> None:
    """Replaces what stands between two markers of a page.

    Raises:
        ValueError: the page has no such markers.
    """
    whole = page.read_text(encoding="utf-8")
    before, found_start, rest = whole.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(f"{page}: expected the markers {start!r} and {end!r}")
    page.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")
