"""The words of a text in one spelling: what answer keys, screens and stand-ins all compare."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_DECIMAL_POINT = "\ue000"  # a private-use character: no text that means something holds it
_DECIMAL = re.compile(r"(?<![\d.])(\d+)\.(\d+)(?!\.?\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# Scripts written without blanks between words; there, a word is searched for as a run of single characters.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in one spelling: NFKC, case folded, without punctuation, symbols and invisible characters.

    A decimal point stays ("12" is not in "12.5"), a comma between thousands goes ("1,812" is "1812").
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = _DECIMAL.sub(rf"\1{_DECIMAL_POINT}\2", _THOUSANDS.sub("", folded))
    kept = "".join(_kept(character) for character in folded)
    return tuple(word.replace(_DECIMAL_POINT, ".") for word in _UNSPACED.sub(r" \1 ", kept).split())


@lru_cache(maxsize=4096)
def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category[0] in "PSZ" or category == "Cc" else character
