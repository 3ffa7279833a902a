"""How one file of facts is to be read: what its columns are called, and whom its rows are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from unlearn_audit.api import FactSet

Columns: TypeAlias = dict[str, str | dict[str, str]]
"""Fact field -> column for all files, and the name of a fact set -> fact field -> column for its file alone."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source is read.

    Attributes:
        columns: fact field -> column of the source, where they differ.
        lenient: a file that has the field's own name instead is taken by it: the mapping is for several files.
        subject_rows: each block of so many rows is about one subject; None where the rows name theirs.
        download: data sets that the cache does not have may be fetched.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    lenient: bool = True
    subject_rows: int | None = None
    download: bool = False


def columns_of(columns: Columns, name: FactSet) -> tuple[dict[str, str], bool]:
    """The mapping of a set's file, and whether it is one for several files."""
    shared = {field: column for field, column in columns.items() if isinstance(column, str)}
    own = columns.get(name)
    return ({**shared, **own}, False) if isinstance(own, dict) else (shared, True)
