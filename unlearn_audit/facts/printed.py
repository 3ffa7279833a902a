"""Values as they are written: lists that stand in one text (`DataFrame.to_csv` prints them so), numbers, dates."""

from __future__ import annotations

import ast
import re
from datetime import date, datetime, time
from decimal import Decimal

from unlearn_audit.api.user_files import LONGEST_LINE, parse_json
from unlearn_audit.errors import SpecError

_LIST = re.compile(r"\s*\[\s*['\"].*\]\s*", re.DOTALL)
"""A list that begins with a text: `[5]` and `[1, 2]` may be an answer."""
_NUMPY = re.compile(r"\s*\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))+\s*\]\s*")
"""Texts without a comma between them."""


def unpacked(value: object) -> object:
    """The list that a text is, of texts and then maybe numbers; anything else as it is.

    Raises:
        SpecError: it is a printed list whose items cannot be told apart, as NumPy prints them.
    """
    if not isinstance(value, str) or len(value) > LONGEST_LINE or not _LIST.fullmatch(value):
        return value
    found = _parsed(value)
    if isinstance(found, list) and all(one is None or type(one) in (str, int, float) for one in found):
        return found
    if _NUMPY.fullmatch(value):
        raise SpecError('a list is printed in a way that cannot be read back; write it as JSON, e.g. ["a", "b"]')
    return value


def place_of(right: object, choices: list[object]) -> object:
    """The place of the right choice, where it is a number that a table has as text; anything else as it is.

    Raises:
        SpecError: the text is one of the choices, and the place of another.
    """
    if not isinstance(right, str) or not right.strip().isdecimal():
        return right
    place, texts = int(right), [str(one).strip() for one in choices]
    if right.strip() in texts and (place >= len(texts) or texts[place] != right.strip()):
        raise SpecError(
            "`answer` is one of the `choices` and the place of another; write the place as a number of JSON, or give "
            "`answer` and `wrong_answers`"
        )
    return place


def plain(value: object) -> object:
    """A number, a date or a truth value as its text; anything else as it is."""
    if isinstance(value, datetime):
        midnight = value.time() == time() and value.tzinfo is None  # how tables store a day
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, bool | int | float) else value


def _parsed(text: str) -> object:
    """What the text is as JSON, or in Python if it is exactly what Python prints; else None."""
    try:
        return parse_json(text, "")
    except SpecError:
        pass
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if repr(value) == text.strip() else None  # adjacent texts without a comma are one text in Python
