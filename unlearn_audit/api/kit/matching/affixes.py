"""What a text may write onto a word: articles and prepositions before it, endings of cases and particles behind it.

Each script has one way. Words of the Latin, Cyrillic and Greek scripts exchange endings, by the language that the text
is in (`languages.yaml`); so "Москва" is in "в Москве", and "Нигер" not in "Нигерия".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import regex

from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.languages import ENGLISH, endings, languages
from unlearn_audit.api.kit.matching.reading import EDGE
from unlearn_audit.api.kit.matching.tables import tables

FEWEST_LETTERS = 4
"""Letters from which a word exchanges its ending."""

PLURAL_ONLY = frozenset({ENGLISH, "es", "fr", "it", "pt", "nl"})
"""Languages in which names do not change: "Williams" is not "William" there."""

_LOOSE = frozenset({"Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Gujarati", "Gurmukhi", "Oriya"})
_LAST = regex.compile(r"(?:ம்|[\p{Mc}\p{Mn}])$")
_SCRIPTS = (
    *tables().before,
    *tables().behind,
    *_LOOSE,
    "Hangul",
    "Cyrillic",
    "Greek",
    "Latin",
    "Han",
    "Hiragana",
    "Katakana",
)
_RUNS = ("Thai", "Lao", "Khmer", "Myanmar")
_OF = regex.compile("|".join(rf"(?P<{name}>\p{{{name}}})" for name in dict.fromkeys((*_SCRIPTS, *_RUNS))))


@lru_cache(maxsize=65_536)
def script_of(word: str) -> str:
    """The script of a word's first letter that has one, else an empty text."""
    if word.isascii():
        return "Latin" if any(map(str.isalpha, word)) else ""
    found = _OF.search(word)
    return "" if found is None else str(found.lastgroup)


def spelt(word: str) -> str:
    """A word as an expression for edged letters: whatever joins its letters."""
    return f"{EDGE}?".join(regex.escape(letter) for letter in word)


@lru_cache(maxsize=65_536)
def with_affixes(word: str, spoken: tuple[str, ...], *, last: bool, letters: int) -> str:
    """An expression for a folded word and what may be written onto it.

    Args:
        word: folded.
        spoken: the languages that the text may be in.
        last: it ends its phrase; other words take no plural.
        letters: how many the whole phrase has; what is short is looked for as it stands.
    """
    script = script_of(word)
    if script == "Hangul":
        return spelt(word) + _particles(len(word))
    if script in _LOOSE:
        stem = _LAST.sub("", word)
        long = len(stem) >= 3
        return (spelt(stem) if long else spelt(word)) + (rf"\w{{0,{7 if long else 4}}}" if len(word) >= 3 else "")
    if script == "Devanagari" and letters >= 3 and word[-1:] in "ाे":  # "पुण्यात" for "पुणे", "आगरे" for "आगरा"
        return spelt(word[:-1]) + f"(?:[ाे]{tables().behind[script]}|्या(?:त|चा|ची|चे|ला|हून|तील|मध्ये)?)"
    if script == "Georgian" and word.endswith("ი") and len(word) >= FEWEST_LETTERS:
        word = word[:-1]
    if script in tables().before or script in tables().behind:
        if letters < 3:
            return spelt(word)
        if script == "Arabic" and word.startswith("ال") and len(word) > FEWEST_LETTERS:
            return "(?:[وف])?(?:(?:[بكس])?ال|لل)" + spelt(word[2:]) + tables().behind[script]
        if len(word) < 3:
            return tables().before.get(script, "") + spelt(word)
        return tables().before.get(script, "") + spelt(word) + tables().behind.get(script, "")
    if script in ("Latin", "Cyrillic", "Greek"):
        return _inflected(word, tuple(one for one in spoken if script in languages()[one].scripts), last=last)
    return spelt(word)


def probes_of(word: str, spoken: tuple[str, ...]) -> frozenset[str]:
    """Letters of which a text must hold some, to hold the word in any form."""
    script = script_of(word)
    if script == "Arabic":
        return frozenset({word.removeprefix("ال")[:3]})
    if script not in ("Latin", "Cyrillic", "Greek"):
        return frozenset({word if script in ("", "Hangul", "Han", *_RUNS) else word[: max(1, min(len(word) - 1, 3))]})
    forms = exchanged(word, tuple(one for one in spoken if script in languages()[one].scripts))
    shared = shared_beginning(forms)
    return frozenset({shared}) if len(shared) >= 3 else forms


def shared_beginning(words: Iterable[str]) -> str:
    """The letters with which all words begin."""
    first, *_, last = sorted([*words] * 2)
    return first[: next((at for at, (one, two) in enumerate(zip(first, last, strict=False)) if one != two), len(first))]


def _inflected(word: str, spoken: tuple[str, ...], *, last: bool) -> str:
    if len(word) < FEWEST_LETTERS - 1 or not word.isalpha():
        return spelt(word)
    chosen = tuple(one for one in spoken if last or one not in PLURAL_ONLY)
    forms = exchanged(word, chosen)
    return f"(?:{'|'.join(map(spelt, sorted(forms, key=len, reverse=True)))})"


@lru_cache(maxsize=65_536)
def exchanged(word: str, spoken: tuple[str, ...]) -> frozenset[str]:
    """A word with all endings that it may have in these languages, itself among them."""
    found = {word}
    for own, other in endings(spoken):
        for ending, new in ((own, other), (other, own)):
            stem = word.removesuffix(ending)
            whole = not stem and len(ending) >= 3
            enough = len(stem) >= 3 or (len(stem) == 2 and min(len(ending), len(new)) >= 2)  # "Ельце" for "Елец"
            if word.endswith(ending) and (whole or (enough and len(word) + len(new) > FEWEST_LETTERS)):
                found.add(stem + new)
    return frozenset(found)


@lru_cache(maxsize=8)
def _particles(letters: int) -> str:
    """Korean particles: behind one syllable, which many words begin with, only those of several."""
    known = sorted({fold(one) for one in tables().particles if letters > 1 or len(one) > 1}, key=len, reverse=True)
    return f"(?:{'|'.join(known)}){{0,2}}"


def closes(word: str) -> str:
    """What must follow the last word of a phrase."""
    script, letters = script_of(word), len(word)
    if script == "Han" and letters >= 2:
        places = "|".join(tables().places)
        return "" if letters >= 3 else f"(?=(?:{places})?{EDGE}|(?:{places}))"
    if script in _RUNS and letters >= FEWEST_LETTERS:
        return ""
    return f"(?={EDGE})"


def opens(word: str) -> str:
    """What must stand before the first word of a phrase: an edge, where a longer word cannot end in it by chance."""
    script, letters = script_of(word), len(word)
    if (script == "Han" and letters >= 4) or (script in _RUNS and letters >= 8):
        return ""
    return f"(?<={EDGE})"
