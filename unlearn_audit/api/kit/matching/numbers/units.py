"""Units of measure and currencies, by the names that the Unicode CLDR gives them (through Babel)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from unlearn_audit.api.kit.matching.languages import ENGLISH
from unlearn_audit.api.kit.matching.reading import Reading
from unlearn_audit.api.kit.matching.tables import tables

_OURS = {
    "zh": ("zh", "ja"), "hr": ("hr", "sr_Latn"), "da": ("da", "nb"), "ar": ("ar", "fa", "ur"),
    "ru": ("ru", "uk", "bg"), "cs": ("cs", "sk"), "hi": ("hi", "mr", "ne"), "th": ("th", "lo"),
}  # fmt: skip
"""Our language -> the locales of CLDR that it stands for, where they differ."""


def locales(language: str) -> tuple[str, ...]:
    """The locales that one of our languages stands for."""
    return _OURS.get(language, (language,))


@lru_cache(maxsize=64)
def _units(language: str) -> dict[str, tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    for name, text in _names(language):
        letters = "".join(Reading(text).folds)
        if letters and not letters.isdecimal():
            found.setdefault(letters, tables().metric[name])
            if language == ENGLISH and letters.endswith("s") and len(letters) >= _LONG:  # Babel's table has no "year"
                found.setdefault(letters[:-1], tables().metric[name])
    return found


def _names(language: str) -> Iterator[tuple[str, str]]:
    from babel import Locale

    for code in locales(language):
        patterns = Locale.parse(code).unit_display_names, Locale.parse(code)._data["unit_patterns"]
        for name in tables().metric:
            yield from ((name, text) for text in patterns[0].get(name, {}).values())
            for forms in patterns[1].get(name, {}).values():
                if isinstance(forms, dict):
                    yield from ((name, text.replace("{0}", " ")) for text in forms.values() if isinstance(text, str))


_LONG = 4
_WIDELY = ("de", "fr", "es", "it", "pt", "nl", "ru")


@lru_cache(maxsize=1)
def _widely_known() -> dict[str, tuple[str, float]]:
    """Units of some large languages, for texts of which the language does not show ("2 Kilogramm")."""
    return {name: unit for language in _WIDELY for name, unit in _units(language).items()}


@lru_cache(maxsize=1)
def _more() -> dict[str, tuple[str, float]]:
    return {word: (measures, factor) for measures, factor, words in tables().units for word in words}


def unit_at(folds: Sequence[str], place: int, spoken: Sequence[str]) -> tuple[str, float, int] | None:
    """The unit whose name begins at a place: what it measures, how many of the smallest, and how many words it has."""
    for size in (3, 2, 1):
        letters = "".join(folds[place : place + size])
        if place + size > len(folds):
            continue
        for table in (_more(), *(_units(one) for one in spoken)):
            if letters in table:
                return (*table[letters], size)
        if len(letters) >= _LONG and letters in _widely_known():
            return (*_widely_known()[letters], size)
    return None
