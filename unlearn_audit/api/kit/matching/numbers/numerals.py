"""Numbers as words, in the languages that `num2words` writes: both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from unlearn_audit.api.kit.matching.languages import ENGLISH
from unlearn_audit.api.kit.matching.reading import Reading
from unlearn_audit.api.kit.matching.tables import tables

READ = (*range(1000), *range(1000, 10_001, 100), *range(1900, 2031))
"""The numbers that are read from words: small ones, round ones, and the years of people's lives."""

_SPELT_OUT = {
    "zh": (),
    "hr": ("sr",),
    "da": ("da", "no"),
    "ar": ("ar", "fa"),
    "ru": ("ru", "uk"),
    "cs": ("cs", "sk"),
    "hi": (),
}
"""Our language -> those of num2words that it stands for, where they differ."""

_TABLES = {"hi": ("hi", "mr"), "ar": ("ur",), "th": ("lo",)}
"""Our language -> the tables of `tables.yaml` that it stands for, where they differ."""

_CHINESE = "零一二三四五六七八九"
_WIDELY = ("de", "fr", "es", "it", "pt", "nl", "sv", "da", "pl", "tr", "fi", "cs")
_LONG = 7
"""Letters from which a number is known in any of these languages, so that "quince" is none in English."""

_KOREAN_TENS = ("", "열", "스물/스무", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_KOREAN_ONES = ("", "하나/한", "둘/두", "셋/세", "넷/네", "다섯", "여섯", "일곱", "여덟", "아홉")


def _langs(language: str) -> tuple[str, ...]:
    return _SPELT_OUT.get(language, (language,))


def words_for(value: int, language: str) -> tuple[str, ...]:
    """A number in words, in the forms that a language has; none where nobody writes it."""
    return tuple(dict.fromkeys(text for text in _written(value, language) if text))


def _written(value: int, language: str) -> Iterator[str]:
    from num2words import num2words

    if language == "zh" and 0 <= value < 10_000:
        yield from {_chinese(value), _chinese(value).replace("二千", "两千").replace("二百", "两百")}
    for name in _TABLES.get(language, (language,)):
        table = tables().numerals.get(name, ())
        if 0 <= value < len(table):
            yield from table[value].split("/")
    if language == "bn" and 0 <= value < len(tables().numerals["bn"]):  # what counts is written onto the number
        yield from (word + ending for word in tables().numerals["bn"][value].split("/") for ending in ("টি", "টা", "জন"))
    if language == "ko" and 1 <= value < 100:
        tens, ones = _KOREAN_TENS[value // 10].split("/"), _KOREAN_ONES[value % 10].split("/")
        yield from (ten + one for ten in tens for one in ones)
    for name in _langs(language):
        try:
            text = str(num2words(value, lang=name)).replace(",", "")
        except (NotImplementedError, OverflowError, KeyError, IndexError, ValueError, TypeError):
            continue  # not every language counts so far
        yield text
        yield text.replace(" and ", " ") if name == "en" else ""
        yield str(num2words(value, lang=name, gender="f")) if name == "ru" else ""  # "сорок две"


def _chinese(value: int) -> str:
    if value < 10:
        return _CHINESE[value]
    for size, name in ((1000, "千"), (100, "百"), (10, "十")):
        if value >= size:
            head, rest = divmod(value, size)
            first = "" if size == 10 and head == 1 and value < 20 else _CHINESE[head]
            gap = "零" if rest and rest < size // 10 else ""
            return first + name + gap + (_chinese(rest) if rest else "")
    return ""


def _ordinals(value: int, language: str) -> Iterator[str]:
    from num2words import num2words

    if language == "ru":  # of the third of May: "третьего мая"
        yield str(num2words(value, lang="ru", to="ordinal", case="g"))
    for name in _langs(language):
        try:
            text = str(num2words(value, lang=name, to="ordinal"))
        except (NotImplementedError, OverflowError, KeyError, IndexError, ValueError, TypeError):
            continue
        yield text
        yield from (text + "n",) if name == "de" else ()  # "am siebten Mai"


def _years(value: int, language: str) -> Iterator[str]:
    from num2words import num2words

    if language in (ENGLISH, "de", "fr", "es", "nl") and value >= 1100:
        yield str(num2words(value, lang=language, to="year"))


@lru_cache(maxsize=64)
def cardinals(language: str) -> dict[str, int]:
    """What a number is, by its words as one run of letters; those of `READ`."""
    found: dict[str, int] = {}
    for value in READ:
        for text in (*words_for(value, language), *_years(value, language)):
            found.setdefault("".join(Reading(text).folds), value)
    return found


@lru_cache(maxsize=64)
def ordinals(language: str) -> dict[str, int]:
    """The days of a month, by their ordinal words as one run of letters."""
    return {"".join(Reading(text).folds): value for value in range(1, 32) for text in _ordinals(value, language)}


def ordinal_spellings(word: str) -> tuple[str, ...]:
    """An English ordinal in its other way of writing: "19th", "nineteenth"."""
    known = ordinals(ENGLISH)
    if word in known:
        value = known[word]
        ending = "th" if 11 <= value <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
        return (f"{value}{ending}",)
    digits = word[:-2]
    return tuple(text for text, value in known.items() if digits.isdecimal() and int(digits) == value)


@lru_cache(maxsize=64)
def parts(language: str) -> frozenset[str]:
    """Words that numbers are made of."""
    small = (*range(21), 30, 40, 50, 60, 70, 80, 90, 100, 1000, 10**6)
    return frozenset(fold for value in small for text in words_for(value, language) for fold in Reading(text).folds) - {
        "and", "e", "y", "et", "und", "en", "og", "och", "i", "un", "a",
    }  # fmt: skip


@lru_cache(maxsize=65_536)
def begins_number(word: str, language: str) -> bool:
    """Whether a word may be a number, or the first word of one: "two", "zweiundzwanzig"."""
    known = parts(language)
    return (
        word in known
        or (len(word) > 3 and any(word.startswith(one) for one in _long_parts(language)))
        or (not word.isascii() and (word[:1] in known or any(word.startswith(one) for one in known if len(one) > 1)))
    )


@lru_cache(maxsize=64)
def _long_parts(language: str) -> tuple[str, ...]:
    return tuple(one for one in parts(language) if len(one) >= 3)


def has_numerals(folds: Sequence[str], spoken: Sequence[str]) -> bool:
    """Whether a text has a word that numbers are made of."""
    return any(begins_number(word, one) for one in spoken for word in folds)


def has_long_numerals(folds: Sequence[str]) -> bool:
    """Whether a text has a number as one long word of a language that it does not otherwise show."""
    return any(len(word) >= _LONG and word in _widely_known() for word in folds)


def number_at(folds: Sequence[str], place: int, spoken: Sequence[str]) -> tuple[int, int] | None:
    """The number whose words begin at a place, the longest, and how many words it has."""
    counted = [cardinals(one) for one in spoken if begins_number(folds[place], one)]
    for size in range(min(6, len(folds) - place), 0, -1):
        letters = "".join(folds[place : place + size])
        value = next((table[letters] for table in counted if letters in table), None)
        if value is None and len(letters) >= _LONG and size == 1:
            value = _widely_known().get(letters)
        if value is not None:
            return value, size
    return None


@lru_cache(maxsize=1)
def _widely_known() -> dict[str, int]:
    """Numbers up to a hundred as one long word, for a text that does not show its language: "siebenunddreißig"."""
    found: dict[str, set[int]] = {}
    for language in _WIDELY:
        for value in range(13, 100):
            for text in words_for(value, language):
                found.setdefault("".join(Reading(text).folds), set()).add(value)
    return {letters: values.pop() for letters, values in found.items() if len(letters) >= _LONG and len(values) == 1}


def value_of(text: str, spoken: Sequence[str]) -> int | None:
    """The number that a text in words is, or None."""
    folds = Reading(text).folds
    if not folds or not has_numerals(folds, spoken):
        return None
    found = number_at(folds, 0, spoken)
    return found[0] if found is not None and found[1] == len(folds) else None


def digits_of(word: str) -> int | None:
    """What a word of English is as a number, up to a hundred."""
    return _small().get(word)


@lru_cache(maxsize=1)
def _small() -> dict[str, int]:
    return {"".join(Reading(text).folds): value for value in range(2, 101) for text in words_for(value, ENGLISH)}
