"""Places in a passage where its own word stands beside others: does the model know which comes?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from unlearn_audit.api import Fact, Prompt
from unlearn_audit.api.kit.asking import Pair, is_askable

from ..shared.naming import Subjects
from ..shared.passages import HAS_QUESTION, NO_PASSAGE, as_given, split_passage
from .words import FIRST, Word, drawn, spread, starts_in, words_in

FEWEST_SLOTS = 3
FEWEST_OTHERS = 2
TOO_SHORT = f"the passage has fewer than {FEWEST_SLOTS} words after its beginning that can be exchanged for others"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One place of a passage.

    Attributes:
        before: the passage up to there.
        options: the passage's own word first, each as it would follow.
    """

    before: str
    options: tuple[str, ...]

    @property
    def pairs(self) -> list[Pair]:
        """Every option after the passage so far."""
        return [(Prompt(text=self.before, chat=False), one) for one in self.options]


class RewordedPassages:
    """The slots of a pool's passages.

    Args:
        pool: whose words are put in.
        slots: places of a passage, at most.
        options: words of a place, at most.
        context: words before a place that the model reads, at most.
        prompt_share: where the passage's beginning ends.
    """

    def __init__(self, pool: Sequence[Fact], *, slots: int, options: int, context: int, prompt_share: float) -> None:
        self._slots, self._options, self._context = slots, options, context
        self._share = prompt_share
        self._found: dict[Fact, list[Slot] | str] = {}
        self._subjects = Subjects(fact.subject for fact in pool)
        self._by_make: dict[str, set[str]] = defaultdict(set)
        for fact in pool:
            for word in () if is_askable(fact) else words_in(fact.text or ""):
                self._by_make[word.make].add(word.text)

    def slots(self, fact: Fact) -> list[Slot] | str:
        """The places of a fact's passage, or why there are none; the same for every model."""
        if fact not in self._found:
            self._found[fact] = self._looked_up(fact)
        return self._found[fact]

    def _looked_up(self, fact: Fact) -> list[Slot] | str:
        if is_askable(fact):
            return HAS_QUESTION
        text = (fact.text or "").strip()
        parts = as_given(fact, text) or split_passage(text, self._share)
        if parts is None:
            return NO_PASSAGE
        words = [word for word in words_in(text) if word.make != FIRST]
        later = [word for word in words if word.start >= len(parts[0])]
        own: dict[str, set[str]] = defaultdict(set)
        for word in words:
            own[word.make].add(word.text)
        found = [self._slot(fact, text, word, own[word.make]) for word in spread(later, self._slots)]
        slots = [one for one in found if len(one.options) > FEWEST_OTHERS]
        return slots if len(slots) >= FEWEST_SLOTS else TOO_SHORT

    def _slot(self, fact: Fact, text: str, word: Word, own: set[str]) -> Slot:
        """The words of the passage itself come first: they fit its subject as well as the right one does."""
        key, wanted = f"{fact.id}\x1f{word.start}", self._options - 1
        others = drawn(self._honest(own, fact, word), wanted, key)
        if len(others) < wanted:
            others += drawn(self._honest(self._by_make[word.make] - own, fact, word), wanted - len(others), key)
        before = text[: word.start].rstrip()
        blank = text[len(before) : word.start]
        return Slot(
            before=_last(before, self._context),
            options=tuple(blank + one for one in (word.text, *others)),
        )

    def _honest(self, words: set[str], fact: Fact, word: Word) -> list[str]:
        return [
            one
            for one in words
            if one.casefold() != word.text.casefold() and not self._subjects.names_another(one, fact.subject)
        ]


def level(slots: Sequence[Slot]) -> float:
    """How often a guess is right in more than half of the places: the tail of a Poisson-binomial distribution."""
    chances = [1.0]
    for slot in slots:
        right = 1 / len(slot.options)
        chances = [
            (chances[hits] * (1 - right) if hits < len(chances) else 0.0) + (chances[hits - 1] * right if hits else 0.0)
            for hits in range(len(chances) + 1)
        ]
    return math.fsum(chances[hits] for hits in range(len(chances)) if 2 * hits > len(slots))


def _last(text: str, words: int) -> str:
    """The last so many words of a text, in scripts without blanks so many characters."""
    starts = starts_in(text)
    return text if len(starts) <= words else text[starts[-words] :]
