"""What is wrong with a user's input, from pydantic's list of errors."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import ValidationError

from unlearn_audit.errors import SpecError

E = TypeVar("E", bound=StrEnum)

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""How pydantic calls an unknown key: of a model, and of a dataclass."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: the keys and indices that lead to it, outermost first; empty for the whole.
        unknown: there is no such key; `missing`: the key is required and not there; else its value is wrong.
        message: pydantic's own words on it, or those of our check.
        value: what came.
    """

    place: tuple[int | str, ...]
    unknown: bool
    missing: bool
    message: str
    value: Any

    @property
    def key(self) -> str:
        """The place as a reader writes it: `models.dtype`."""
        return ".".join(map(str, self.place))


def first_problem(error: ValidationError) -> Problem:
    """The one problem to report: an unknown key before all others, because it explains the missing key it replaced."""
    first = min(error.errors(include_url=False), key=lambda found: found["type"] not in _UNKNOWN)
    return Problem(
        place=first["loc"],
        unknown=first["type"] in _UNKNOWN,
        missing=first["type"] == "missing",
        message=first["msg"].removeprefix("Value error, "),
        value=first["input"],
    )


def did_you_mean(name: str, known: list[str]) -> str:
    """`; did you mean X?` with the nearest known name, and the list."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {str(near[0])!r}?" if near else ""
    return f"{hint} (known: {', '.join(sorted(known))})" if known else hint


def one_of(kind: type[E], name: str, key: str) -> E:
    """The member of that value.

    Args:
        kind: the enumeration.
        name: the value.
        key: how the user calls it: the name of an argument or flag.

    Raises:
        SpecError: there is none; it names the nearest and all of them.
    """
    known = [member.value for member in kind]
    if name not in known:
        raise SpecError(f"{key}: got {name!r}{did_you_mean(str(name), known)}")
    return kind(name)
