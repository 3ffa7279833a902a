"""Decades and times of the day: "the 1970s", "the '70s", "the seventies"; "9:30 pm", "21.30", "9 pm"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import regex

from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables

_TIME = regex.compile(
    r"(?<![\w.:/-])(?P<hour>\d{1,2})(?:\s?[:.h]\s?(?P<minute>[0-5]\d)(?::\d\d)?)?(?![\d/]|[.:-]\d)"
    r"(?P<half>\s?(?:[ap]\.?\s?m\b\.?|uhr|h\b|heures))?",
    regex.IGNORECASE,
)
_SUFFICE = ("uhr", "h", "heures")


_TENS = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_DECADE = regex.compile(r"(\d{2}|\d{4})s")


@dataclass(frozen=True, kw_only=True)
class Decade:
    """A decade: its first year, in full or of a century that is not said ("the seventies")."""

    year: int
    mention: Mention

    def told_by(self, said: Decade) -> bool:
        """Whether another says this one."""
        return self.year == said.year or (min(self.year, said.year) < 100 and self.year % 100 == said.year % 100)


def decades(reading: Reading) -> Iterator[Decade]:
    """The decades of a text."""
    for place, (word, token) in enumerate(zip(reading.folds, reading.tokens, strict=True)):
        year = None
        if token.kind == "decade" and (found := _DECADE.fullmatch(word)) and int(found[1]) % 10 == 0:
            year = int(found[1])
        elif word in _TENS:
            year = 10 * (_TENS.index(word) + 2)
            before = reading.folds[place - 1] if place else ""
            year += {"nineteen": 1900, "eighteen": 1800, "seventeen": 1700}.get(before, 0)
        if year is not None:
            yield Decade(year=year, mention=Mention(token.start, token.end, place, place))


def decade_of(reading: Reading) -> Decade | None:
    """The decade that a whole text is, or None."""
    known = (*tables().about, *tables().dates, "early", "mid", "late")
    for one in decades(reading):
        if all(word in known for at, word in enumerate(reading.folds) if at != one.mention.first):
            return one if not {"early", "mid", "late"} & {*reading.folds} else None
    return None


@dataclass(frozen=True, kw_only=True)
class Time:
    """A time of the day.

    Attributes:
        minutes: since midnight; two where neither am nor pm is said of an hour up to twelve.
        mention: where it stands.
    """

    minutes: tuple[int, ...]
    mention: Mention

    def told_by(self, said: Time) -> bool:
        """Whether another says this one."""
        return bool({*self.minutes} & {*said.minutes})


def times(reading: Reading) -> Iterator[Time]:
    """The times of the day in a text."""
    if not reading.digits or not reading.tokens:
        return
    for found in _TIME.finditer(reading.text):
        time = _read(found)
        inside = [at for at, one in enumerate(reading.tokens) if one.end > found.start() and one.start < found.end()]
        if time and inside:
            tokens = reading.tokens
            place = Mention(tokens[inside[0]].start, tokens[inside[-1]].end, inside[0], inside[-1])
            yield Time(minutes=time, mention=place)


def _read(found: regex.Match[str]) -> tuple[int, ...]:
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    half = (found["half"] or "").strip().lower().replace(".", "").replace(" ", "")
    if hour > 23 or (found["minute"] is None and half not in ("am", "pm", *_SUFFICE)):
        return ()
    if half in ("am", "pm"):
        return (60 * (hour % 12 + (12 if half == "pm" else 0)) + minute,) if 1 <= hour <= 12 else ()
    return (60 * hour + minute,)


def time_of(reading: Reading) -> Time | None:
    """The time that a whole text is, or None: with a colon, or with am or pm, so that "9.30" stays a number."""
    found = _TIME.fullmatch(reading.text.strip())
    if found is None or not (":" in reading.text or found["half"]):
        return None
    return next(times(reading), None)
