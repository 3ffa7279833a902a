"""A fact's own answer beside the same sentence with its entity exchanged, the subject kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from unlearn_audit.api import Fact, words_of
from unlearn_audit.api.kit.asking import NO_QUESTION, is_askable

from ..shared.choosing import FEWEST_WRONG, Choice, ChoiceParameters, chooser_of
from ..shared.naming import Subjects, gaps_of, masked
from .words import FIRST, Word, drawn, words_in

HAS_CHOICE = "the fact has options, and `forced-choice` scores it"
NO_ENTITY = "the answer has no word that the question does not say and that can be exchanged"
TOO_FEW = f"fewer than {FEWEST_WRONG} words of the same make in other answers"
_RANK = {"name": 0, "character": 2, "word": 3, FIRST: 4}  # numbers between names and words


class SwappedAnswers:
    """The options of those facts of a pool that `forced-choice` has none for."""

    def __init__(self, parameters: ChoiceParameters, pool: Sequence[Fact]) -> None:
        self._options = parameters.options
        self._chooser = chooser_of(parameters, tuple(pool))
        self._choices: dict[Fact, Choice] = {}
        self._subjects = Subjects(fact.subject for fact in pool)
        self._said: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._common: Counter[str] = Counter()
        for fact in filter(is_askable, pool):
            for word in _untold(fact):
                self._said[_opening(fact), word.make].add(word.text)
                self._said["", word.make].add(word.text)
            self._common.update({word.text.casefold() for word in words_in(fact.answer or "")})

    def choice(self, fact: Fact) -> Choice:
        """The answer and its swapped twins; the same for every model."""
        if fact not in self._choices:
            self._choices[fact] = self._chosen(fact)
        return self._choices[fact]

    def _chosen(self, fact: Fact) -> Choice:
        if not is_askable(fact):
            return Choice(fact=fact, missing=NO_QUESTION)
        if self._chooser.choice(fact).missing is None:
            return Choice(fact=fact, missing=HAS_CHOICE)
        entity = min(_untold(fact), key=self._telling, default=None)
        if entity is None:
            return Choice(fact=fact, missing=NO_ENTITY)
        answer = fact.answer or ""
        twins = self._others(fact, entity)
        if len(twins) < FEWEST_WRONG:
            return Choice(fact=fact, missing=TOO_FEW)
        options = (answer, *(answer[: entity.start] + twin + answer[entity.end :] for twin in twins))
        return Choice(fact=fact, options=options, level=1 / len(options))

    def _telling(self, word: Word) -> tuple[int, int, int]:
        """Names and numbers before words, and those before what many answers say."""
        return _RANK.get(word.make, 1), self._common[word.text.casefold()], word.start

    def _others(self, fact: Fact, entity: Word) -> list[str]:
        """Words of the same make in answers to questions that open alike, else in any."""
        known = set(words_of(f"{fact.question} {fact.answer} {' '.join(fact.aliases)}"))

        def honest(words: set[str]) -> list[str]:
            return [
                word
                for word in words
                if not set(words_of(word)) & known and not self._subjects.names_another(word, fact.subject)
            ]

        alike = honest(self._said[_opening(fact), entity.make])
        if len(alike) < self._options - 1:
            alike = [*alike, *drawn(set(honest(self._said["", entity.make])) - set(alike), self._options, fact.id)]
            return alike[: self._options - 1]
        return drawn(alike, self._options - 1, fact.id)


def _untold(fact: Fact) -> list[Word]:
    """The words of an answer that neither the question says nor the subject's name has; those of an alias alone."""
    answer = fact.answer or ""
    told = set(words_of(fact.question or ""))
    found = [
        word
        for word in words_in(answer)
        if not set(words_of(word.text)) & told and not gaps_of(masked(word.text, fact.subject))
    ]
    key = {word for alias in fact.aliases for word in words_of(alias)}
    return [word for word in found if set(words_of(word.text)) & key] or found


def _opening(fact: Fact) -> str:
    """The first word of the question: who, where, when."""
    return next(iter(words_of(fact.question or "")), "")
