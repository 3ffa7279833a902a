"""Whom a text names: a subject's mentions as gaps that another name can fill, and names that must not be there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

_WHOLE = 0xE100
"""First of the private-use characters that stand for a name: this one the whole, those after it its words."""

_LAST = 0xE1FF
_GAP = re.compile(f"[{chr(_WHOLE)}-{chr(_LAST)}]")
_TOKEN = re.compile(r"\w+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_ARTICLES = frozenset({"the", "a", "an"})
_UMLAUTS = re.compile("([aou])e")
_SHORTEST_STEM = 5  # letters of a name that an ending may follow
_ENDINGS = 3  # letters of an ending: Vestras, Vestrov, Vestrova
_SHORTEST_TYPO = 7  # letters of a name that may be misspelled in one


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """A word without case and marks: "Müller", "MULLER" and "Mueller" are one."""
    bare = "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one)).casefold()
    return _UMLAUTS.sub(r"\1", bare.replace("ß", "ss").replace("ø", "o").replace("ł", "l").replace("đ", "d"))


@lru_cache(maxsize=8192)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a name that tell whose it is: without "of", "van" and articles; all of them where none is left."""
    telling = [
        word
        for part in name.split()
        if not part[0].islower() and part.casefold() not in _ARTICLES
        for word in _TOKEN.findall(part)
    ]
    return tuple(telling or _TOKEN.findall(name))


def masked(text: str, subject: str) -> str:
    """The text with a gap for every mention of a subject, by the whole name or by one word of it.

    Case, marks, and hyphens for blanks make no difference. `filled` puts another name into the gaps.
    """
    if _UNSPACED.search(subject):
        return text.replace(subject, chr(_WHOLE))
    words = [fold(word) for word in name_words(subject)]
    whole = [fold(word) for word in _TOKEN.findall(subject)]
    tokens = [(found.start(), found.end(), fold(found.group())) for found in _TOKEN.finditer(text)]
    pieces, done, at = [], 0, 0
    while at < len(tokens):
        start, end, word = tokens[at]
        step, gap = 1, None
        if whole and [token[2] for token in tokens[at : at + len(whole)]] == whole:
            step, gap = len(whole), chr(_WHOLE)
            end = tokens[at + step - 1][1]
        elif len(words) > 1 and word in words and _can_stand(word):
            gap = chr(_WHOLE + 1 + words.index(word))
        if gap is not None:
            pieces += [text[done:start], gap]
            done = end
        at += step
    return "".join(pieces) + text[done:]


def filled(text: str, subject: str, words: int) -> str:
    """A masked text, told of a subject.

    Args:
        text: out of `masked`.
        subject: whose name goes into the gaps.
        words: telling words of the name that stood there: a first name becomes a first name, a last one a last.
    """
    own = name_words(subject)

    def name(gap: re.Match[str]) -> str:
        place = ord(gap.group()) - _WHOLE - 1
        if place < 0 or len(own) < 2:
            return subject
        return own[place] if len(own) == words else own[-1] if place == words - 1 else own[0]

    return _GAP.sub(name, text)


def gaps_of(text: str) -> tuple[str, ...]:
    """The different gaps of a masked text: how it names its subject."""
    return tuple(sorted(set(_GAP.findall(text))))


def with_gap(text: str, gap: str) -> str:
    """A masked text in which every gap is this one."""
    return _GAP.sub(gap, text)


class Subjects:
    """The subjects of a pool, to see whether a text names one of them: whole, in part, or in another spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names))
        self._words: dict[str, set[str]] = {}
        for name in self._names:
            for spelling in _spellings(name):
                self._words.setdefault(spelling, set()).add(name)
        self._long = [word for word in self._words if len(word) >= _SHORTEST_TYPO]
        self._unspaced = [name for name in self._names if _UNSPACED.search(name)]
        self._near: dict[str, frozenset[str]] = {}

    def names_another(self, text: str, subject: str) -> bool:
        """Whether a text names, by any word of a name, a subject that is not this one."""
        own = set(_spellings(subject))
        if self.names_whole(text, subject):
            return True
        if any(part in text and part not in subject for name in self._unspaced for part in _cut(name)):
            return True
        tokens = [(token, fold(token)) for token in _TOKEN.findall(text)]
        return any(self._is_like(token, folded) - own for token, folded in tokens if folded not in own)

    def names_whole(self, text: str, subject: str) -> bool:
        """Whether a text names another subject by the whole name."""
        tokens = [fold(token) for token in _TOKEN.findall(text)]
        suspects = {name for token in tokens for name in self._words.get(token, ()) if name != subject}
        said, own = _sequence(text), _sequence(subject)
        if any(_sequence(name) in said and _sequence(name) not in own for name in suspects):
            return True
        return any(name in text and name not in subject for name in self._unspaced)

    def _is_like(self, token: str, folded: str) -> frozenset[str]:
        """The words of names that a word of a text is, or may be a form or a misspelling of."""
        key = folded + token[0] if token[0].isupper() else folded
        if key not in self._near:
            stems = {folded[:-letters] for letters in range(1, _ENDINGS + 1)}
            found = {stem for stem in stems if len(stem) >= _SHORTEST_STEM and stem in self._words}
            found |= {folded} & self._words.keys()
            if len(folded) >= _SHORTEST_TYPO and token[0].isupper():
                found |= self._misspelled(folded)
            self._near[key] = frozenset(found)
        return self._near[key]

    def _misspelled(self, folded: str) -> set[str]:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        return {word for word, *_ in process.extract(folded, self._long, scorer=OSA.distance, score_cutoff=1, limit=9)}


@lru_cache(maxsize=8192)
def _sequence(text: str) -> str:
    """The folded words of a text, each between blanks."""
    return f" {' '.join(fold(word) for word in _TOKEN.findall(text))} "


@lru_cache(maxsize=8192)
def _spellings(name: str) -> tuple[str, ...]:
    """The folded words of a name that may stand for it, and what becomes of two of them written as one.

    A number or an initial by itself stands for nobody.
    """
    words = [fold(word) for word in name_words(name)]
    joined = [one + other for one, other in pairwise(words)]
    return tuple(filter(_can_stand, (*words, *joined)))


def _can_stand(word: str) -> bool:
    return len(word) > 1 and not word.isdigit()


def _cut(name: str) -> Sequence[str]:
    """A name without blanks, and its given name where it has one of two characters or more."""
    bare = name.replace(" ", "")
    return [name, bare, bare[1:]] if len(bare) > 2 else [name]
