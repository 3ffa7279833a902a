"""Numbers that Chinese and Japanese write in their own characters, or partly so: 二百四十五万, 245万人, 三十七岁.

ICU's dictionaries cut such a run anywhere ("五人" is a word to them), so that it is read from the text itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import regex

from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.tables import tables

_DIGITS = {letter: value for value, letter in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10**4, "亿": 10**8}
_COUNTERS = "".join(tables().counters)
_RUN = regex.compile(
    r"(?<![\p{Nd}.,])\p{Nd}+(?:[.,]\p{Nd}+)*[十百千万亿億萬]+"
    rf"|[零〇一二三四五六七八九两十百千万亿億萬]+(?=[{_COUNTERS}]|多|余|\p{{Katakana}}|[^\p{{L}}]|$)"
)


class Counted(NamedTuple):
    """A number, and where it stands in a text."""

    value: float
    start: int
    end: int


def counted(text: str) -> Iterator[Counted]:
    """The numbers of a text that are written with Chinese characters."""
    for found in _RUN.finditer(text):
        value = value_of(found[0])
        if value is not None:
            yield Counted(value, found.start(), found.end())


def value_of(text: str) -> float | None:
    """What a run of characters is as a number; None where it is none."""
    letters = fold(text)
    head = regex.match(r"[\d.,]+", letters)
    total, section = 0.0, 0.0
    digit: float | None = float(head[0].replace(",", "")) if head else None
    rest = letters[head.end() :] if head else letters
    if not head and len(rest) > 1 and all(one in _DIGITS for one in rest):
        return float("".join(str(_DIGITS[one]) for one in rest))
    for one in rest:
        if one in _DIGITS:
            digit = float(_DIGITS[one])
        elif one in _SMALL:
            section += (1.0 if digit is None else digit) * _SMALL[one]
            digit = None
        elif one in _LARGE:
            section += digit or 0.0
            if not section:
                return None
            total, section, digit = (total + section) * _LARGE[one], 0.0, None
        else:
            return None
    return total + section + (digit or 0.0)


def whole_number(part: str) -> int:
    """What a run of digits, or of Chinese ones, is; 0 where it is no number."""
    return int(part) if part.isdecimal() else int(value_of(part) or 0)
