"""Dates, in any order, with the names of months that the Unicode CLDR gives (through Babel)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from unlearn_audit.api.kit.matching.affixes import script_of
from unlearn_audit.api.kit.matching.folding import in_place
from unlearn_audit.api.kit.matching.languages import ENGLISH, languages
from unlearn_audit.api.kit.matching.numbers.chinese import whole_number
from unlearn_audit.api.kit.matching.numbers.numerals import begins_number, has_numerals, number_at, ordinals
from unlearn_audit.api.kit.matching.numbers.units import locales
from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables

_DAY = regex.compile(r"(\d{1,2})(?:st|nd|rd|th|er|e|o|a|го|ого|ο|i|ος|ع)?")
_NUMERIC = regex.compile(
    r"(?<![\p{N}\p{L}/.-])(\d{1,4})\s?([/.-])\s?(\d{1,2})\s?\2\s?(\d{1,4})(?![\p{N}/]|(?!T\d)\p{L}|[.-]\d)"
)
_COMPACT = regex.compile(r"(?<![\w.])([12]\d{3})(0[1-9]|1[0-2])([0-2]\d|3[01])(?![\w]|[.,]\d)")
_CHINESE_DIGITS, _UP_TO_31 = r"[〇零一二三四五六七八九]{4}", r"[一二三四五六七八九十]{1,3}"
_NUMBERED = regex.compile(
    rf"(?:(?P<year>\d{{2,4}}|{_CHINESE_DIGITS})\s*[年년]\s*)?(?P<month>\d{{1,2}}|{_UP_TO_31})\s*[月월]"
    rf"(?:\s*(?P<day>\d{{1,2}}|{_UP_TO_31})\s*[日号號일])?"
    r"|(?:ng[aà]y\s+)?(?P<day>\d{1,2})\s+th[aá]ng\s+(?P<month>\d{1,2})(?:\s*,?\s*(?:n[aă]m\s+)?(?P<year>\d{4}))?",
    regex.IGNORECASE,
)
_ERAS = regex.compile(r"(令和|平成|昭和|大正|明治)\s*(\d{1,2}|元)年\s*(\d{1,2})月\s*(\d{1,2})日")
_ERA_STARTS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
_MONTH_OF_YEAR = regex.compile(
    r"(?<![\p{N}\p{L}/.-])(?:(?P<month>\d{1,2})\s?[/.]\s?(?P<year>[12]\d{3})|(?P<year>[12]\d{3})\s?[/.-]\s?(?P<month>\d{1,2}))(?![\p{N}\p{L}/]|[.-]\d)"
)
_PREFIXES = {"Hebrew": "בלמו", "Arabic": "بلو"}
"""What a script writes onto the name of a month: "in March" is one word."""
_BUDDHIST = 543
_ORDINAL_BEGINNINGS = (
    "firs",
    "seco",
    "thir",
    "fift",
    "nint",
    "twel",
    "twen",
    "prim",
    "segu",
    "erst",
    "drit",
    "перв",
    "втор",
    "трет",
    "четв",
    "седь",
)


@dataclass(frozen=True, kw_only=True)
class Date:
    """A day, a month of a year, or a day of a year that is not said.

    Attributes:
        readings: (year, month, day) in each way that it can be read, with None for what is not said.
    """

    readings: tuple[tuple[int | None, int, int | None], ...]
    mention: Mention

    def told_by(self, said: Date) -> bool:
        """Whether another date says this one: all that this one says, at least."""
        return any(_tells(own, its) for own in self.readings for its in said.readings)


def _tells(own: tuple[int | None, int, int | None], said: tuple[int | None, int, int | None]) -> bool:
    (year, month, day), (its_year, its_month, its_day) = own, said
    if month != its_month or (day is not None and day != its_day):
        return False
    if year is None or year == its_year:
        return True
    return its_year is not None and (
        (its_year < 100 and year % 100 == its_year) or its_year - year in (_BUDDHIST, -_BUDDHIST)
    )


@lru_cache(maxsize=64)
def _months(language: str) -> dict[str, int]:
    """Month by its name, folded, as one run of letters."""
    from babel import Locale

    found: dict[str, int] = {}
    codes = [*locales(language), *(("ar_SY", "ar_DZ") if language == "ar" else ())]
    for code in codes:
        for context in Locale.parse(code).months.values():
            for width in ("wide", "abbreviated"):
                for number, name in context.get(width, {}).items():
                    letters = "".join(Reading(str(name)).folds)
                    if len(letters) >= 3 and not letters[0].isdecimal():
                        found.setdefault(letters, int(number))
    if language == ENGLISH:
        found["sept"] = 9
    return found


def _month(letters: str, reading: Reading) -> int | None:
    """The month that a word names, in the languages of the text, else in any."""
    own = next((month for one in reading.spoken if (month := _months(one).get(letters))), None)
    if own is None and letters[:1] in _PREFIXES.get(script_of(letters), ()) and len(letters) > 3:
        own = next((month for one in reading.spoken if (month := _months(one).get(letters[1:]))), None)
    return own if own is not None or len(letters) < 3 or not reading.digits else _any_month().get(letters)


@lru_cache(maxsize=1)
def _any_month() -> dict[str, int]:
    known: dict[str, set[int]] = {}
    for name in languages():
        for letters, month in _months(name).items():
            known.setdefault(letters, set()).add(month)
    return {letters: months.pop() for letters, months in known.items() if len(months) == 1}


def date_of(reading: Reading) -> Date | None:
    """The date that a whole text is, or None; a bare year is none."""
    for date in dates(reading):
        outside = [*range(date.mention.first), *range(date.mention.last + 1, len(reading.tokens))]
        if all(reading.folds[at] in tables().dates or _is_weekday(reading, at) for at in outside):
            return date
    return None


def _is_weekday(reading: Reading, at: int) -> bool:
    return any(reading.folds[at] in _weekdays(language) for language in reading.spoken)


@lru_cache(maxsize=64)
def _weekdays(language: str) -> frozenset[str]:
    """The days of the week, folded, each as one run of letters."""
    from babel import Locale

    return frozenset(
        "".join(Reading(str(name)).folds)
        for code in locales(language)
        for context in Locale.parse(code).days.values()
        for width in ("wide", "abbreviated")
        for name in context.get(width, {}).values()
    )


def dates(reading: Reading) -> tuple[Date, ...]:
    """The dates of a text."""
    return tuple(_dates(reading))


def _dates(reading: Reading) -> Iterator[Date]:
    if reading.digits or "月" in reading.text:
        yield from _numeric(reading)
    elif not has_numerals(reading.folds, reading.spoken):
        return
    for place in range(len(reading.tokens)):
        for size in (1, 2):
            letters = "".join(reading.folds[place : place + size])
            found = _around(reading, place, place + size - 1, month) if (month := _month(letters, reading)) else None
            if found is not None and place + size <= len(reading.tokens):
                yield found
                break


def _numeric(reading: Reading) -> Iterator[Date]:
    text = in_place(reading.text)
    for found in _NUMERIC.finditer(text):
        readings = tuple(_orders(found[1], found[3], found[4], found[2]))
        if readings:
            yield Date(readings=readings, mention=_mention(reading, found))
    for found in _COMPACT.finditer(text):
        yield Date(readings=((int(found[1]), int(found[2]), int(found[3])),), mention=_mention(reading, found))
    for found in _MONTH_OF_YEAR.finditer(text):
        if 1 <= int(found["month"]) <= 12:
            yield Date(readings=((int(found["year"]), int(found["month"]), None),), mention=_mention(reading, found))
    if text.isascii() and "thang" not in text.lower():
        return
    for found in _ERAS.finditer(text):
        since = _ERA_STARTS[found[1]] + (1 if found[2] == "元" else int(found[2]))
        yield Date(readings=((since, int(found[3]), int(found[4])),), mention=_mention(reading, found))
    for found in _NUMBERED.finditer(text):
        year, month, day = (whole_number(found[part]) if found[part] else None for part in ("year", "month", "day"))
        if month is not None and 1 <= month <= 12 and (year or day):
            yield Date(readings=((year, month, day),), mention=_mention(reading, found))


def _orders(first: str, second: str, third: str, mark: str) -> Iterator[tuple[int | None, int, int | None]]:
    """What a date in digits may be: dots stand between day, month and year only."""
    if len(first) >= 3:
        orders = [(first, second, third)]
    elif len(third) == 3 or (len(third) == 1):
        return
    else:
        orders = [(third, second, first)] + ([(third, first, second)] if mark != "." else [])
    for year, month, day in orders:
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
            yield int(year), int(month), int(day)


def _mention(reading: Reading, found: regex.Match[str]) -> Mention:
    start, end = found.span()
    inside = [at for at, token in enumerate(reading.tokens) if token.end > start and token.start < end] or [0]
    return Mention(reading.tokens[inside[0]].start, reading.tokens[inside[-1]].end, inside[0], inside[-1])


def _around(reading: Reading, first: int, last: int, month: int) -> Date | None:
    """The date around the name of a month."""
    before, after = _numbers(reading, first - 1, -1), _numbers(reading, last + 1, 1)
    day = year = None
    used = [first, last]
    sides = [before, after] if before and before[0][0] else [after, before]
    for side in sides:
        for is_day, value, places in side:
            if is_day and day is None:
                day = value
            elif not is_day and year is None:
                year = value
            else:
                break
            used += places
    if day is None and year is None:
        return None
    low, high = min(used), max(used)
    mention = Mention(reading.tokens[low].start, reading.tokens[high].end, low, high)
    return Date(readings=((year, month, day),), mention=mention)


def _numbers(reading: Reading, place: int, step: int) -> list[tuple[bool, int, list[int]]]:
    """The days and years next to a month, outward: whether it is a day, which, and its tokens."""
    found: list[tuple[bool, int, list[int]]] = []
    skipped = 0
    while 0 <= place < len(reading.tokens) and len(found) < 2 and skipped <= 3:
        one = _day_or_year(reading, place, step)
        if one is not None:
            is_day, _, places = one
            if is_day and any(kind for kind, _, _ in found):
                break
            found.append(one)
            place, skipped = (places[-1] if step > 0 else places[0]) + step, 0
        elif reading.folds[place] in tables().dates:
            place, skipped = place + step, skipped + 1
        else:
            break
    return found


def _day_or_year(reading: Reading, place: int, step: int) -> tuple[bool, int, list[int]] | None:
    word = reading.folds[place]
    day = _DAY.fullmatch(word)
    if day is not None and 1 <= int(day[1]) <= 31:
        apostrophe = reading.text[max(0, reading.tokens[place].start - 1) : reading.tokens[place].start] in ("'", "’")
        return (not apostrophe, int(day[1]), [place])
    if word.isdecimal():
        return (False, int(word), [place]) if 2 <= len(word) <= 4 else None
    return _in_words(reading, place, step)


@lru_cache(maxsize=16_384)
def _is_ordinal(word: str, language: str) -> bool:
    """Whether a word may begin an ordinal number; most are made of a number's first letters, some are not."""
    return begins_number(word, language) or word[:4] in _ORDINAL_BEGINNINGS


def _in_words(reading: Reading, place: int, step: int) -> tuple[bool, int, list[int]] | None:
    folds, spoken = reading.folds, reading.spoken
    starts: Sequence[int] = (place,) if step > 0 else range(max(0, place - 4), place + 1)
    for start in starts:
        for size in (2, 1):
            letters = "".join(folds[start : start + size])
            day = next(
                (d for one in spoken if _is_ordinal(folds[start], one) and (d := ordinals(one).get(letters))), None
            )
            if day is not None and (step > 0 or start + size - 1 == place):
                return True, day, list(range(start, start + size))
        number = number_at(folds, start, spoken)
        if number is not None and (step > 0 or start + number[1] - 1 == place):
            value, size = number
            if 1 <= value <= 31 or 1000 <= value <= 2100:
                return value <= 31, value, list(range(start, start + size))
    return None
