"""How far two judges agree beyond chance."""

from __future__ import annotations

from collections.abc import Sequence


def kappa(table: Sequence[Sequence[int]]) -> float | None:
    """Cohen's kappa of a square table of counts, one judge's verdicts in rows, the other's in columns.

    (observed - expected) / (1 - expected), expected being what two judges agree by chance who say each thing as often
    as these do. 1 is perfect agreement, 0 is chance.

    Returns:
        None where it has no value: nothing was judged, or both always say the same one thing.
    """
    total = sum(map(sum, table))
    if total == 0:
        return None
    observed = sum(row[place] for place, row in enumerate(table)) / total
    columns: list[int] = [sum(column) for column in zip(*table, strict=True)]
    pairs = sum(sum(row) * column for row, column in zip(table, columns, strict=True))
    if pairs == total * total:
        return None
    expected = pairs / (total * total)
    return (observed - expected) / (1.0 - expected)
