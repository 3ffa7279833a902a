"""A part of a plan: `run --shard 1/3`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from unlearn_audit.errors import AuditError

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part `number` of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `2/3`.

        Raises:
            AuditError: it is not PART/PARTS.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise AuditError(f"--shard {text}: expected PART/PARTS, e.g. 1/3 to 3/3")
        return cls(number=number, count=count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Its part of some things, in their order; all parts together have each of them once."""
        first, last = (len(items) * place // self.count for place in (self.number - 1, self.number))
        return tuple(items[first:last])
