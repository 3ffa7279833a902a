"""How nearly a text says what a sentence says that names nothing: the words that both have, by how rare they are.

Most of what is written about a thing is wording, which answers about other subjects have too. So a word weighs
what it tells: 1 where no answer about another subject has it, less the more have. A text is held against the sentence
both ways, as retrieval does: of what the sentence tells, how much does the text say; and of what the text says that was
not asked with, how much does the sentence tell. What is told of something else in the same words loses in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import log

from unlearn_audit.api.kit.matching.wording.related import stem

MOST_SENTENCES = 12
"""Sentences of a text that are looked at, from its beginning."""


def rarity(told: Iterable[tuple[str, Iterable[str]]]) -> dict[str, float]:
    """Stem -> what it weighs, in (0, 1]: 1 where one subject's answers have it, near 0 where all have it.

    log((S + 1) / n) / log(S + 1) for a word in the answers about n of S subjects.

    Args:
        told: subject and the words of an answer about it, for each answer.
    """
    having: dict[str, set[str]] = {}
    subjects: set[str] = set()
    for subject, words in told:
        subjects.add(subject)
        for word in words:
            having.setdefault(stem(word), set()).add(subject)
    scale = log(len(subjects) + 1)
    return {one: log((len(subjects) + 1) / len(own)) / scale for one, own in having.items()}


def likeness(
    told: Mapping[str, float],
    sentences: Iterable[Sequence[str]],
    *,
    weight: Callable[[str], float],
    met: Callable[[str], Collection[str]],
) -> float:
    """Harmonic mean of the two shares, in [0, 1], for that run of a text's sentences for which it is greatest.

    Args:
        told: the words that a sentence tells, folded, with their weights.
        sentences: those of a text, each by the words in it that its question does not say, folded.
        weight: what a word weighs.
        met: which of the words that are told a word stands for.
    """
    whole = sum(told.values())
    read = list(sentences)[:MOST_SENTENCES]
    said = {word: (stem(word), met(word)) for sentence in read for word in sentence}
    if not whole or not any(own for _, own in said.values()):
        return 0.0
    weights = {one: weight(word) for word, (one, _) in said.items()}
    best = 0.0
    for first in range(len(read)):
        given: set[str] = set()
        new: set[str] = set()
        mine: set[str] = set()
        for sentence in read[first:]:
            for word in sentence:
                one, own = said[word]
                given.update(own)
                new.add(one)
                if own:
                    mine.add(one)
            of_it = sum(told[word] for word in given) / whole
            of_me = sum(weights[one] for one in mine) / (sum(weights[one] for one in new) or 1.0)
            best = max(best, 2 * of_it * of_me / ((of_it + of_me) or 1.0))
    return best
