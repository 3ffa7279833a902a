"""Numbers with their units: "3.5 million", "3,500,000", "twenty-two", "1.80 m" and "180 cm"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from unlearn_audit.api.kit.matching import numerals
from unlearn_audit.api.kit.matching.languages import ENGLISH
from unlearn_audit.api.kit.matching.numerals import number_at, value_of
from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables
from unlearn_audit.api.kit.matching.units import unit_at

__all__ = ["Quantity", "quantities", "quantity_of"]

_LETTERS = {"k": 10**3, "m": 10**6, "b": 10**9}
_NUMBER = regex.compile(r"([+-]?)(\d+(?:\.\d+)?)([a-z]*)")
_GROUPED = regex.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number, and what it measures.

    Attributes:
        values: what it may be, in the smallest unit; "1.200" may be two numbers.
        measures: "length", "year", "USD", ..., or None for a bare number.
        signed: a plus or minus stands before it.
        mention: where it stands.
        followed: a word that is no unit comes after it.
    """

    values: tuple[float, ...]
    measures: str | None
    signed: str
    mention: Mention
    followed: bool = False

    def equals(self, said: Quantity) -> bool:
        """Whether another says the same: the number, in a unit that it does not contradict."""
        if self.measures and said.measures and self.measures != said.measures:
            return False
        if self.measures and not said.measures and said.followed:
            return False
        if self.signed != said.signed and not (self.values[0] >= 1e6 or (said.signed == "" and self.signed == "")):
            return False
        return any(abs(own - its) <= 1e-9 * max(abs(own), abs(its)) for own in self.values for its in said.values)


@lru_cache(maxsize=1)
def _scales() -> dict[str, int]:
    return {word: factor for factor, words in tables().scales.items() for word in words}


def quantity_of(reading: Reading) -> Quantity | None:
    """The quantity that a whole text is, or None."""
    tokens = len(reading.tokens)
    if not tokens or tokens > 8:
        return None
    for found in (*quantities(reading), *_in_words(reading)):
        outside = [*range(found.mention.first), *range(found.mention.last + 1, tokens)]
        if all(reading.folds[at] in tables().about for at in outside):
            return found
    return None


def quantities(reading: Reading) -> Iterator[Quantity]:
    """The numbers in digits of a text."""
    if not reading.digits:
        return
    place = 0
    while place < len(reading.tokens):
        found = _at(reading, place)
        if found is not None:
            yield found
            place = max(place, found.mention.last)
        place += 1


def _at(reading: Reading, place: int) -> Quantity | None:
    if not reading.tokens[place].text[-1:].isalnum() or _is_glued(reading, place):
        return None
    number = _NUMBER.fullmatch(reading.folds[place])
    if number is None:
        return _grouped(reading, place)
    sign, digits, suffix = number.groups()
    values, last = _values(digits), place
    while last + 1 < len(reading.tokens) and _continues(reading, place, last + 1):
        last += 1
    if last > place:
        values = (float(digits + "".join(reading.folds[place + 1 : last + 1])),)
    folds = [*([suffix] if suffix else []), *reading.folds[last + 1 : last + 5]]
    return _measured(reading, values, sign, place, last, folds, glued=bool(suffix))


def _measured(
    reading: Reading, values: tuple[float, ...], sign: str, first: int, last: int, folds: Sequence[str], *, glued: bool
) -> Quantity | None:
    """A number with the scale and the unit that follow it."""
    used = 0
    if glued and folds[0] in _LETTERS and _sign(reading, first, last) is not None:  # "$5m"
        values = tuple(value * _LETTERS[folds[0]] for value in values)
        used = 1
    while used < len(folds) and folds[used] in _scales() and (used or not glued or len(folds[0]) > 0):
        values = tuple(value * _scales()[folds[used]] for value in values)
        used += 1
    unit = unit_at(folds, used, reading.spoken)
    measures, factor, size = unit if unit is not None else (_sign(reading, first, last), 1.0, 0)
    if glued and not used and not size and folds[0] not in ("st", "nd", "rd", "th"):
        return None
    if glued and folds[0] in ("st", "nd", "rd", "th"):
        return None
    used += size
    end = min(last + used - (1 if glued else 0), len(reading.tokens) - 1)
    follows = end + 1 < len(reading.tokens) and reading.between(end + 1) == " "
    signed = values if sign != "-" else tuple(-value for value in values)
    return Quantity(
        values=tuple(value * factor for value in signed),
        measures=measures,
        signed=sign,
        mention=Mention(reading.tokens[first].start, reading.tokens[end].end, first, end),
        followed=follows,
    )


def _sign(reading: Reading, first: int, last: int) -> str | None:
    before = reading.text[max(0, reading.tokens[first].start - 2) : reading.tokens[first].start].strip()[-1:]
    after = reading.text[reading.tokens[last].end : reading.tokens[last].end + 2].strip()[:1]
    return tables().signs.get(after) or tables().signs.get(before)


def _values(digits: str) -> tuple[float, ...]:
    value = float(digits)
    grouped = _GROUPED.fullmatch(digits)
    return (value, float(digits.replace(".", ""))) if grouped else (value,)


def _grouped(reading: Reading, place: int) -> Quantity | None:
    fold = reading.folds[place]
    if _GROUPED.fullmatch(fold) is None:
        return None
    sign = fold[0] if fold[0] in "+-" else ""
    values = (float(fold.replace(".", "").lstrip("+-")),)
    return _measured(reading, values, sign, place, place, reading.folds[place + 1 : place + 5], glued=False)


def _continues(reading: Reading, first: int, place: int) -> bool:
    """Whether a token is the next group of three digits: "1 200 000", "1'200"."""
    head, token = reading.folds[first], reading.folds[place]
    gap = reading.between(place)
    return len(head) <= 3 and len(token) == 3 and token.isdecimal() and gap in (" ", "\u00a0", "\u202f", "'", "’")


def _is_glued(reading: Reading, place: int) -> bool:
    """Whether a number is a part of something else: "SARS-2", "747-400", "1/2", "3:15"."""
    for at, other in ((place, place - 1), (place + 1, place + 1)):
        if 0 <= other < len(reading.tokens) and 0 < at < len(reading.tokens):
            gap, text = reading.between(at), reading.tokens[other].text
            if gap in ("/", ":") or (gap == "-" and (text[-1:].isdecimal() or at == place)):
                return True
    return False


def _in_words(reading: Reading) -> Iterator[Quantity]:
    """The numbers in words of a text."""
    if not numerals.has_numerals(reading.folds, reading.spoken):
        return
    place = 0
    while place < len(reading.tokens):
        found = number_at(reading.folds, place, reading.spoken)
        if found is None:
            place += 1
            continue
        value, size = found
        last = place + size - 1
        measured = _measured(reading, (float(value),), "", place, last, reading.folds[last + 1 : last + 5], glued=False)
        if measured is not None and not (value == 1 and measured.measures is None and len(reading.tokens) > 2):
            yield measured
        place = max(last, measured.mention.last if measured else last) + 1


def all_quantities(reading: Reading) -> tuple[Quantity, ...]:
    """The numbers of a text, in digits and in words."""
    return (*quantities(reading), *_in_words(reading))


def whole_number(text: str) -> int | None:
    """A whole number, in digits or English words."""
    return int(text) if text.isdecimal() else value_of(text, (ENGLISH,))
