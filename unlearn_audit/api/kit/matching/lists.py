"""Whether a mention is one of many candidates: a text that names them all answers nothing.

"It could be Paris, Rome, Lyon, or Oslo" and "A) Paris B) Lyon C) Rome" name no place of birth; "French, Greek and Thai"
names three languages, and "Rome or Lyon" is a guess that says more than chance.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from unlearn_audit.api.kit.matching.affixes import script_of
from unlearn_audit.api.kit.matching.folding import fold
from unlearn_audit.api.kit.matching.languages import pattern
from unlearn_audit.api.kit.matching.reading import Mention, Reading

FEWEST = 3
"""Candidates from which a list answers nothing."""

_MOST_WORDS, _MOST_LETTERS = 5, 24
_OPTION = regex.compile(r"(?:^|(?<=[\s,;]))\(?([A-H])[).:]\s")
_COMMA = r"\s*[,،、，]\s*|(?<=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])\s+"
_CASED = ("Latin", "Cyrillic", "Greek", "Armenian")
_HEDGE = regex.compile(
    r"\b(?:could|might|may|either|possibly|perhaps|maybe|one of|such as|options|candidates|whether)\b", regex.IGNORECASE
)


def is_candidate(reading: Reading, mention: Mention, start: int, end: int) -> bool:
    """Whether a mention is one of many candidates, in its sentence or among lettered options.

    Args:
        reading: a text.
        mention: where it holds the answer.
        start: where the sentence begins.
        end: where it ends.
    """
    return _is_lettered(reading.text, mention) or _is_alternative(reading, mention, start, end)


def _is_lettered(text: str, mention: Mention) -> bool:
    letters = [(found[1], found.end()) for found in _OPTION.finditer(text)]
    runs = [letter for letter, _ in letters]
    if runs[:FEWEST] != ["A", "B", "C", "D"][:FEWEST]:
        return False
    return int(letters[0][1]) <= mention.start


def _is_alternative(reading: Reading, mention: Mention, start: int, end: int) -> bool:
    marks = _marks(reading.spoken)
    if marks is None:
        return False
    before, after = reading.text[start : mention.start], reading.text[mention.end : end]
    named = reading.text[mention.start].isupper()
    hedged = _HEDGE.search(before) is not None
    left = [(found["either"], part) for found, part in _leftward(marks, before)]
    right = [(found["either"], part) for found, part in _rightward(marks, after)]
    kept_left = _while_alike(left, named=named, hedged=hedged, outward_last=True)
    kept_right = _while_alike(right, named=named, hedged=hedged, outward_last=False)
    return 1 + kept_left[0] + kept_right[0] >= FEWEST and (kept_left[1] or kept_right[1])


def _leftward(marks: regex.Pattern[str], before: str) -> list[tuple[regex.Match[str], str]]:
    """What stands between the marks before a mention, outward, each with the mark that follows it."""
    found = list(marks.finditer(before))
    if not found or _words(before[found[-1].end() :]) > 2:  # "or in Lyon"
        return []
    starts = [0, *(one.end() for one in found)]
    parts = [before[low : one.start()] for low, one in zip(starts, found, strict=False)]
    return list(zip(found, parts, strict=True))[::-1]


def _rightward(marks: regex.Pattern[str], after: str) -> list[tuple[regex.Match[str], str]]:
    found = list(marks.finditer(after))
    if not found or _words(after[: found[0].start()]) > 2:
        return []
    ends = [*(one.start() for one in found[1:]), len(after)]
    return [(one, after[one.end() : high]) for one, high in zip(found, ends, strict=True)]


def _while_alike(
    parts: list[tuple[str | None, str]], *, named: bool, hedged: bool, outward_last: bool
) -> tuple[int, bool]:
    """How many candidates stand on one side, and whether an "or" joins them."""
    count, either = 0, False
    for at, (joined, part) in enumerate(parts):
        lead_in = outward_last and at == len(parts) - 1  # "It could be Paris": what it opens with is no part of it
        words = part.split()
        short = len(words) <= _MOST_WORDS and len(part.strip()) <= _MOST_LETTERS * max(1, len(words))
        if not words or not (short or lead_in):
            break
        shown = any(word[:1].isupper() for word in (words[-2:] if lead_in else words[:2]))
        cased = script_of(fold(words[0])) in _CASED
        if cased and not (shown if named else hedged):
            break
        count, either = count + 1, either or bool(joined)
    return count, either


def _words(text: str) -> int:
    return len(text.split())


@lru_cache(maxsize=1024)
def _marks(spoken: tuple[str, ...]) -> regex.Pattern[str] | None:
    words = pattern(spoken, "either")
    if words is None:
        return None
    return regex.compile(rf"(?:{_COMMA})?\s*(?P<either>{words.pattern})\s*|{_COMMA}", regex.IGNORECASE)
