"""A text cut into tokens, and written without what stands between them, so that a phrase is found whatever joins it.

"Yun-Sol", "Yun Sol" and "Yunsol" are one run of letters; where a token begins and ends says what is a whole word.
Scripts without blanks are cut by ICU's dictionaries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import regex

from unlearn_audit.api.kit.matching.folding import fold, spellings
from unlearn_audit.api.kit.matching.languages import spoken

_TOKEN = regex.compile(
    r"""
    (?P<address>[\p{L}\p{N}_.+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+ | (?:https?://|www\.)[^\s<>"']*[\p{L}\p{N}/])
  | (?P<decade>\p{Nd}{2,4}['’]?s(?![\p{L}\p{N}]))
  | (?P<unspaced>[\p{Han}\p{Hiragana}\p{Katakana}ー々〇]+ | [\p{Thai}--\p{Nd}]+ | [\p{Lao}--\p{Nd}]+
        | [\p{Khmer}\u200b--\p{Nd}]+ | [\p{Myanmar}--\p{Nd}]+)
  | (?P<number>(?<![\p{L}\p{N}\p{M}])(?:(?<![\p{L}\p{N}\p{M}.,)\]])[+\-−])?\p{Nd}+(?:[.,٫٬]\p{Nd}+)*[\p{Latin}\p{Nd}]*)
  | (?P<word>(?:(?<![\p{L}\p{N}.])\.(?=\p{Lu}))?
        [[\p{L}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]
        [[\p{L}\p{N}\p{M}\u200c\u200d\u00ad]--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]*
        (?:(?<=(?<![\p{L}\p{N}])[\p{L}\p{N}]{1,2})(?:\+\+|\#|♯|[+\-−](?![\p{L}\p{N}])))?)
    """,
    regex.V1 | regex.X,
)
_ASCII = re.compile(
    r"(?P<address>[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|(?:https?://|www\.)[^\s<>\"']*[A-Za-z0-9/])"
    r"|(?P<decade>\d{2,4}'?s(?![A-Za-z0-9]))"
    r"|(?P<number>(?<![A-Za-z0-9])(?:(?<![A-Za-z0-9.,)\]])[+-])?\d+(?:[.,]\d+)*[A-Za-z0-9]*)"
    r"|(?P<word>(?:(?<![A-Za-z0-9.])\.(?=[A-Z]))?[A-Za-z0-9]+"
    r"(?:(?:(?<=(?<![A-Za-z0-9])[A-Za-z0-9])|(?<=(?<![A-Za-z0-9])[A-Za-z0-9]{2}))(?:\+\+|\#|[+-](?![A-Za-z0-9])))?)",
    re.ASCII,
)
"""The same for ASCII alone, many times as fast."""

_SCHEME = re.compile(r"^https?://(?:www\.)?|^www\.")
EDGE = "\0"
"""Stands for the edge of a token: no token holds it."""

_DATE = regex.compile(r"\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})|\d{4}\.\d{1,2}\.\d{1,2}")
_THOUSANDS = regex.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PIECE = regex.compile(r"\d+")


class Token(NamedTuple):
    """One word, number, address, or piece of a script without blanks; `start` and `end` are places in the text."""

    text: str
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Mention:
    """Where a text holds a phrase: places in the text, and the numbers of its first and last token."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """A text without what stands between its tokens.

    Attributes:
        letters: all tokens, folded, with nothing between them.
        edged: the same with `EDGE` before, between and behind them.
        starts: where each begins in `edged`.
    """

    letters: str
    edged: str
    starts: tuple[int, ...]

    def token_at(self, place: int) -> int:
        """The number of the token that holds a letter of `edged`."""
        return bisect_right(self.starts, place) - 1


@dataclass(frozen=True)
class Reading:
    """A text, read once for any number of phrases.

    Attributes:
        also: languages that it may be in besides those that its words show.
    """

    text: str
    also: tuple[str, ...] = ()

    def as_spoken(self, also: tuple[str, ...]) -> Reading:
        """The same text, which may be in some more languages."""
        kept = self.__dict__.setdefault("_as_spoken", {})
        if also not in kept:
            other = self if {*also} <= {*self.spoken} else Reading(self.text, also=also)
            if other is not self:
                names = ("tokens", "runs", "folds", "letters")
                other.__dict__.update({name: getattr(self, name) for name in names})
            kept[also] = other
        found: Reading = kept[also]
        return found

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Its tokens, in their order."""
        return tuple(_tokens(self.text))

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The text as one run of letters; a second one with umlauts spelt out, where it has any."""
        spelt = [_folds(token) for token in self.tokens]
        runs = [_run([one[0] for one in spelt])]
        if any(len(one) > 1 for one in spelt):
            runs.append(_run([one[-1] for one in spelt]))
        return tuple(runs)

    @cached_property
    def letters(self) -> str:
        """All its runs, one to a line: what is not in it is nowhere in the text."""
        return "\n".join(run.letters for run in self.runs)

    @cached_property
    def folds(self) -> tuple[str, ...]:
        """Its tokens, folded."""
        return tuple(_folds(token)[0] for token in self.tokens)

    @cached_property
    def spoken(self) -> tuple[str, ...]:
        """The languages that it may be in."""
        return tuple(sorted({*spoken(self.text, self.folds), *self.also}))

    @cached_property
    def digits(self) -> bool:
        """Whether it holds a digit."""
        return any(letter.isdecimal() for letter in self.text)

    def between(self, token: int) -> str:
        """What stands between a token and the one before it."""
        return self.text[self.tokens[token - 1].end : self.tokens[token].start]


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """A text in tokens, read once."""
    return Reading(text)


def _run(folds: list[str]) -> Run:
    starts, at = [], 1
    for one in folds:
        starts.append(at)
        at += len(one) + 1
    return Run(letters="".join(folds), edged=f"{EDGE}{EDGE.join(folds)}{EDGE}", starts=tuple(starts))


def _tokens(text: str) -> Iterator[Token]:
    plain = text.isascii()
    for found in (_ASCII if plain else _TOKEN).finditer(text):
        kind, word, start = str(found.lastgroup), found[0], found.start()
        if kind == "unspaced":
            yield from _pieces(word, start)
        elif kind == "number" and _DATE.fullmatch(fold(word)):
            for piece in _PIECE.finditer(word):
                yield Token(piece[0], start + piece.start(), start + piece.end(), kind)
        elif plain or _folds(Token(word, start, found.end(), kind))[0]:
            yield Token(word, start, found.end(), kind)


@lru_cache(maxsize=16_384)
def pieces(text: str) -> tuple[str, ...]:
    """The words of a script without blanks, by ICU's dictionaries."""
    from icu4py.breakers import WordBreaker

    return tuple(WordBreaker(text, "und"))


def _pieces(text: str, start: int) -> Iterator[Token]:
    at = start
    for piece in pieces(text):
        end = at + len(piece)
        if piece.strip("\u200b"):
            yield Token(piece, at, end, "unspaced")
        at = end


def _folds(token: Token) -> tuple[str, ...]:
    if token.kind == "number":
        return (_number(fold(token.text)),)
    if token.kind == "address":
        return (_SCHEME.sub("", fold(token.text)).rstrip("/"),)
    if token.kind == "decade":
        return (fold(token.text).replace("'", "").replace("’", ""),)
    return (token.text.lower(),) if token.text.isascii() else spellings(token.text)


def _number(text: str) -> str:
    """A number without commas between thousands, and with a point before decimals."""
    text = text.replace("٬", ",").replace("٫", ".").replace("−", "-")
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text.replace(",", "")
