"""One spelling of a word, whatever accents, marks, letter forms and digits it is written with."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import regex

_MARKS = regex.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u093c\u09bc\u0a3c\u0abc\u0b3c\u0cbc]|\\p{Cf}"
)
"""What may be left out: accents of Latin, Greek and Cyrillic, points and vowels of Hebrew and Arabic, Indic dots."""

_HOMORGANIC = regex.compile("[ङञणनम]्(?=[क-म])|ँ")
_ALIKE = str.maketrans(
    {
        "ٱ": "ا", "ى": "ي", "ة": "ه", "ی": "ي", "ک": "ك", "ہ": "ه", "ھ": "ه", "ے": "ي", "ۀ": "ه", "ە": "ه",
        "ך": "כ", "ם": "מ", "ן": "נ", "ף": "פ", "ץ": "צ", "׳": None, "״": None, "ъ": "ъ",
        "ൺ": "ണ്", "ൻ": "ന്", "ർ": "ര്", "ൽ": "ല്", "ൾ": "ള്", "ൿ": "ക്", "և": "եվ",
        "ँ": "ं", "ঁ": "ং", "‑": "-", "♯": "#", "−": "-", "՛": None, "՞": None, "՜": None, "ʼ": None, "ʹ": None,
        **{
            chr(one + at): chr(other + at)
            for one, other in ((0x1210, 0x1200), (0x1280, 0x1200), (0x1220, 0x1230), (0x12D0, 0x12A0), (0x1340, 0x1338))
            for at in range(7)
        },
        "ሃ": "ሀ", "ሓ": "ሀ", "ኃ": "ሀ", "ኣ": "አ", "ዓ": "አ",
        **{chr(at): chr(at - 0x60) for at in range(0x30A1, 0x30F7)},
    }
)  # fmt: skip
"""Letters that stand for each other: forms of Arabic, Persian and Urdu, final letters, kana, Ethiopic homophones."""

_LATIN = regex.compile(r"[\p{Latin}--[a-z]]", regex.V1)
_HAN = regex.compile(r"\p{Han}")
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


@lru_cache(maxsize=131_072)
def fold(text: str) -> str:
    """A text in one spelling: case, accents, marks and letter forms gone, digits as in ASCII, Chinese simplified.

    Punctuation and blanks stay as they are.
    """
    if text.isascii():
        return text.casefold()
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    plain = unicodedata.normalize("NFC", _MARKS.sub("", plain)).translate(_ALIKE)
    plain = _HOMORGANIC.sub("ं", plain).replace("եւ", "եվ")
    if _HAN.search(plain):
        plain = _simplified(plain)
    plain = _LATIN.sub(lambda found: _ascii(found[0]), plain)
    return "".join(_digit(one) if one.isdecimal() else one for one in plain)


@lru_cache(maxsize=131_072)
def spellings(text: str) -> tuple[str, ...]:
    """The spellings of a word: folded, and with umlauts spelt out ("Zuerich") where it has any."""
    plain = fold(text)
    if text.isascii():
        return (plain,)
    composed = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text)).casefold()
    long = composed.translate(_SPELT_OUT)
    return (plain,) if long == composed else (plain, fold(long))


def in_place(text: str) -> str:
    """A text of the same length with the digits and signs of any script as in ASCII."""
    return text if text.isascii() else "".join(map(_as_ascii, text))


@lru_cache(maxsize=4096)
def _as_ascii(letter: str) -> str:
    if letter.isdecimal():
        return _digit(letter)
    plain = unicodedata.normalize("NFKC", letter)
    return plain if len(plain) == 1 and not letter.isalpha() else letter


def _digit(letter: str) -> str:
    return letter if letter.isascii() else str(unicodedata.decimal(letter))


@lru_cache(maxsize=4096)
def _ascii(letter: str) -> str:
    from anyascii import anyascii

    return str(anyascii(letter)).lower()


def _simplified(text: str) -> str:
    return str(_converter().convert(text))


@lru_cache(maxsize=1)
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")
