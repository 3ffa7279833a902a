"""Numbers with their units: "3.5 million", "3,500,000", "twenty-two", "1.80 m" and "180 cm"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import regex

from unlearn_audit.api.kit.matching.affixes import script_of
from unlearn_audit.api.kit.matching.folding import in_place
from unlearn_audit.api.kit.matching.languages import ENGLISH
from unlearn_audit.api.kit.matching.numbers import numerals
from unlearn_audit.api.kit.matching.numbers.chinese import counted
from unlearn_audit.api.kit.matching.numbers.numerals import number_at, value_of
from unlearn_audit.api.kit.matching.numbers.units import unit_at
from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables

__all__ = ["Quantity", "quantities", "quantity_of"]

_LETTERS = {"k": 10**3, "m": 10**6, "b": 10**9}
_NUMBER = regex.compile(r"([+-]?)(\d+(?:\.\d+)?)([a-z]*)")
_FRACTION = regex.compile(r"(?<![\w/.,])(\d{1,3})\s?[/⁄]\s?(\d{1,3})(?![\w/]|[.,]\d)")
_PARTS = {
    **dict.fromkeys(("half", "halves"), 2), **dict.fromkeys(("third", "thirds"), 3),
    **dict.fromkeys(("quarter", "quarters", "fourth", "fourths"), 4), **dict.fromkeys(("fifth", "fifths"), 5),
    **dict.fromkeys(("sixth", "sixths"), 6), **dict.fromkeys(("eighth", "eighths"), 8),
    **dict.fromkeys(("tenth", "tenths"), 10),
}  # fmt: skip
_ALONE = frozenset(tables().alone)
"""Words for a hundred and a thousand that stand alone in place of "one hundred"."""

_MINUS = ("minus", "moins", "menos", "meno", "минус", "мінус", "マイナス")
_UNIT_LETTERS = 10
_AND_A_HALF = ("and", "a", "half")
_GROUPED = regex.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")


@cache
def _counted_parts() -> dict[str, int]:
    """How many parts: "two" of "two thirds"."""
    return {word: at for at in range(2, 10) for word in (str(at), *numerals.words_for(at, ENGLISH))} | {"1": 1}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number, and what it measures.

    Attributes:
        values: what it may be, in the smallest unit; "1.200" may be two numbers.
        bare: the same without the unit's size, for what names no unit.
        measures: "length", "year", "USD", ..., or None for a bare number.
        signed: a plus or minus stands before it.
        mention: where it stands.
        followed: a word that is no unit comes after it.
    """

    values: tuple[float, ...]
    bare: tuple[float, ...]
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
        alike = self.measures is not None and said.measures is not None
        own_values, its_values = (self.values, said.values) if alike else (self.bare, said.bare)
        return any(abs(own - its) <= 1e-9 * max(abs(own), abs(its)) for own in own_values for its in its_values)


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    """ISO codes of currencies, which stand before a number too: "USD 5"."""
    pound = {"gbp": "pound"}
    return {name.lower(): name for name, _, _ in tables().units if len(name) == 3 and name.isupper()} | pound


@lru_cache(maxsize=1)
def _scales() -> dict[str, int]:
    return {word: factor for factor, words in tables().scales.items() for word in words}


def quantity_of(reading: Reading) -> Quantity | None:
    """The quantity that a whole text is, or None."""
    tokens = len(reading.tokens)
    if not tokens or tokens > 8:
        return None
    for found in all_quantities(reading):
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
    if not sign and place and reading.folds[place - 1] in _MINUS:
        sign = "-"
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
    if tuple(folds[:3]) == _AND_A_HALF and len(folds) > 3 and (folds[3] in _scales() or unit_at(folds, 3, (ENGLISH,))):
        values, used = tuple(value + 0.5 for value in values), 3  # "one and a half million"
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
    if size and tuple(folds[used : used + 3]) == _AND_A_HALF:  # "an hour and a half"
        values, used = tuple(value + 0.5 for value in values), used + 3
    end = min(last + used - (1 if glued else 0), len(reading.tokens) - 1)
    follows = end + 1 < len(reading.tokens) and reading.between(end + 1) == " "
    signed = values if sign != "-" else tuple(-value for value in values)
    return Quantity(
        values=tuple(value * factor for value in signed),
        bare=signed,
        measures=measures,
        signed=sign,
        mention=Mention(reading.tokens[first].start, reading.tokens[end].end, first, end),
        followed=follows,
    )


def _sign(reading: Reading, first: int, last: int) -> str | None:
    before = reading.text[max(0, reading.tokens[first].start - 2) : reading.tokens[first].start].strip()[-1:]
    after = reading.text[reading.tokens[last].end : reading.tokens[last].end + 2].strip()[:1]
    sign = tables().signs.get(after) or tables().signs.get(before)
    if sign is None and first and reading.between(first).strip() == "" and len(code := reading.folds[first - 1]) == 3:
        sign = _codes().get(code)
    return sign


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


def _may_hold_words(reading: Reading) -> bool:
    if numerals.has_numerals(reading.folds, reading.spoken) or "half" in reading.folds:
        return True
    return any(word in _scales() for word in reading.folds) or numerals.has_long_numerals(reading.folds)


def _in_words(reading: Reading) -> Iterator[Quantity]:
    """The numbers in words of a text."""
    if not _may_hold_words(reading):
        return
    place = 0
    while place < len(reading.tokens):
        found = number_at(reading.folds, place, reading.spoken) or _of_a_scale(reading, place)
        if found is None or script_of(reading.folds[place]) == "Han":  # those are read from the text itself
            place += 1
            continue
        value, size = found
        last = place + size - 1
        sign = "-" if place and reading.folds[place - 1] in _MINUS else ""
        measured = _measured(
            reading, (float(value),), sign, place, last, reading.folds[last + 1 : last + 5], glued=False
        )
        if measured is not None and not (value == 1 and measured.measures is None and len(reading.tokens) > 2):
            yield measured
        place = max(last, measured.mention.last if measured else last) + 1


def _of_a_scale(reading: Reading, place: int) -> tuple[float, int] | None:
    """What stands before a word for a large number in place of a number: "a dozen", "half a million"."""
    folds = reading.folds
    if folds[place] in _ALONE:
        return float(_scales()[folds[place]]), 1
    for words, value in (
        (("half", "a"), 0.5),
        (("half", "an"), 0.5),
        (("a", "half"), 0.5),
        (("half",), 0.5),
        (("a",), 1.0),
        (("an",), 1.0),
    ):
        end = place + len(words)
        if folds[place:end] == words and end < len(folds):
            if folds[end] in _scales() or (value < 1 and unit_at(folds, end, (ENGLISH,)) is not None):
                return value, len(words)
            if value == 1.0 and folds[end + 1 : end + 4] == _AND_A_HALF and unit_at(folds, end, (ENGLISH,)):
                return value, 1
    return None


def _in_characters(reading: Reading) -> Iterator[Quantity]:
    """The numbers that stand in Chinese characters, or end in them: "245万人"."""
    if reading.text.isascii():
        return
    for one in counted(reading.text):
        inside = [at for at, token in enumerate(reading.tokens) if token.end > one.start and token.start < one.end]
        if inside:
            mention = Mention(one.start, one.end, inside[0], inside[-1])
            unit = unit_at(Reading(reading.text[one.end : one.end + _UNIT_LETTERS]).folds, 0, reading.spoken)
            measures, factor, _ = unit or (None, 1.0, 0)
            values = (one.value * factor,)
            yield Quantity(values=values, bare=(one.value,), measures=measures, signed="", mention=mention)


def _fractions(reading: Reading) -> Iterator[Quantity]:
    """The parts of a whole, "1/3" and "two thirds", as a measure of its own."""
    for found in _FRACTION.finditer(in_place(reading.text)):
        above, below = int(found[1]), int(found[2])
        inside = [at for at, one in enumerate(reading.tokens) if one.end > found.start() and one.start < found.end()]
        if below and inside:
            yield _part(above / below, _over(reading, inside))
    for place, word in enumerate(reading.folds):
        parts, before = _PARTS.get(word), reading.folds[place - 1] if place else ""
        count = 1 if before in ("a", "an", "one") else _counted_parts().get(before)
        if parts and count:
            yield _part(count / parts, _over(reading, [place - 1, place]))


def _part(value: float, mention: Mention) -> Quantity:
    return Quantity(values=(value,), bare=(value,), measures="part", signed="", mention=mention)


def _over(reading: Reading, places: Sequence[int]) -> Mention:
    first, last = places[0], places[-1]
    return Mention(reading.tokens[first].start, reading.tokens[last].end, first, last)


def all_quantities(reading: Reading) -> tuple[Quantity, ...]:
    """The numbers of a text, in digits and in words."""
    return (*quantities(reading), *_in_words(reading), *_in_characters(reading), *_fractions(reading))


def whole_number(text: str) -> int | None:
    """A whole number, in digits or English words."""
    return int(text) if text.isdecimal() else value_of(text, (ENGLISH,))
