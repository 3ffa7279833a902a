"""What one answer looks like in a text: a phrase, a date, a number with its unit, a yes or a no."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from unlearn_audit.api.kit.matching.denials import meant, polar_class, says
from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.languages import languages
from unlearn_audit.api.kit.matching.numbers.clock import Decade, Time, decade_of, decades, time_of, times
from unlearn_audit.api.kit.matching.numbers.dates import Date, date_of, dates
from unlearn_audit.api.kit.matching.numbers.quantities import Quantity, all_quantities, quantity_of
from unlearn_audit.api.kit.matching.phrases import Phrase
from unlearn_audit.api.kit.matching.reading import Mention, Reading
from unlearn_audit.api.kit.matching.tables import tables

_all_dates = lru_cache(maxsize=2048)(dates)
_all_quantities = lru_cache(maxsize=2048)(all_quantities)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One way to give an answer, read once for any number of texts.

    Attributes:
        text: as it was written.
        spoken: languages that the text may be in besides those that it shows itself.
        date: the day or month that it names, if it is one.
        decade: the decade that it names, if it is one.
        time: the time of the day that it is, if it is one.
        quantity: the number that it is, if it is one.
        polar: "yes" or "no", if it is one of them.
    """

    text: str
    spoken: tuple[str, ...]
    date: Date | None = None
    decade: Decade | None = None
    time: Time | None = None
    quantity: Quantity | None = None
    polar: str | None = None

    def shown(self, reading: Reading) -> bool:
        """Whether a text gives it, and means it."""
        if self.polar is not None:
            return says(reading.as_spoken(self.spoken), self.polar)
        return any(meant(reading, mention) for mention in self.mentions(reading))

    @cached_property
    def phrase(self) -> Phrase:
        """It as a phrase."""
        return Phrase(self.text)

    def held(self, reading: Reading) -> bool:
        """Whether a text has it in any way: denied, asked for, or meant."""
        return any(True for _ in self.mentions(reading))

    def mentions(self, reading: Reading) -> Iterator[Mention]:
        """Where a text has it."""
        reading = reading.as_spoken(self.spoken)
        if self.date is not None:
            yield from (one.mention for one in _all_dates(reading) if self.date.told_by(one))
        elif self.decade is not None:
            yield from (one.mention for one in decades(reading) if self.decade.told_by(one))
        elif self.time is not None:
            yield from (one.mention for one in times(reading) if self.time.told_by(one))
        elif self.quantity is not None:
            yield from (one.mention for one in _all_quantities(reading) if self.quantity.equals(one))
            yield from self._as_a_year(reading)
        else:
            yield from self.phrase.mentions(reading)

    def _as_a_year(self, reading: Reading) -> Iterator[Mention]:
        value = self.quantity.values[0] if self.quantity is not None and self.quantity.measures is None else 0
        if 1000 <= value <= 2999:
            yield from (one.mention for one in _all_dates(reading) if any(year == value for year, _, _ in one.readings))


@lru_cache(maxsize=16_384)
def expected(text: str, spoken: tuple[str, ...] = ()) -> Expected:
    """What an answer looks like.

    Args:
        text: the answer, or an alias.
        spoken: the languages of its question.
    """
    reading = Reading(text.strip()).as_spoken(spoken)
    one = Expected(text=text.strip(), spoken=spoken)
    polar = polar_class(text, reading.spoken)
    if polar is not None:
        return replace(one, polar=polar)
    date = date_of(reading)
    if date is not None:
        return replace(one, date=date)
    decade, time = decade_of(reading), time_of(reading)
    if decade is not None or time is not None:
        return replace(one, decade=decade, time=time)
    return replace(one, quantity=quantity_of(reading))


def by_chance(one: Expected) -> bool:
    """Whether ordinary text gives an answer by chance: a yes, a small number, a letter, an ordinary word."""
    if one.polar is not None:
        return True
    if one.quantity is not None:
        value = one.quantity.values[0]
        return one.quantity.measures is None and float(value).is_integer() and abs(value) <= 100
    words = [fold(token.text) for token in Reading(one.text).tokens]
    if len(words) != 1:
        return False
    word = words[0]
    known = any(word in language.know for language in languages().values())
    return known or word in tables().ordinary or (len(word) <= 2 and word.isascii())
