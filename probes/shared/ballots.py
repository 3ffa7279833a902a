"""Forms in which the answer stands before the model's eyes: it is to be recognized, not said.

Each gives a probability to every option: the truth and answers of other subjects, drawn as `forced-choice` draws them.
A model that leans to a letter or to the word "true" gives each option the same, so that nothing of it is left once
chance is taken off.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from unlearn_audit.api import AnswerScore, Fact, Prompt
from unlearn_audit.api.kit.asking import NOT_A_NUMBER, Pair, unreadable
from unlearn_audit.api.kit.statements import NO_PHRASE, Statement, form_texts, short_answer

from .choosing import Choice, option_probabilities

Scores = Mapping[Pair, AnswerScore]

MULTIPLE_CHOICE = "multiple-choice"
TRUE_FALSE = "true-false"
ODD_ONE_OUT = "odd-one-out"
REVERSE = "reverse"
CHOICE_FORMS = (MULTIPLE_CHOICE, TRUE_FALSE, REVERSE, ODD_ONE_OUT)

NO_MASS = "every option has probability 0"
NO_SUBJECT = "the statement does not name the subject"


class Reader(Protocol):
    """Log-odds of the options from the scores of the pairs: one row a question, in nats."""

    def __call__(self, scores: Sequence[AnswerScore]) -> list[list[float]]:
        """Scores in the order of the pairs -> (questions, options)."""


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """One fact in one form, with what must be scored.

    Attributes:
        pairs: what is scored.
        read: turns the scores of the pairs into log-odds of the options, a row a question.
        weights: how many other subjects have each option as their answer; None if the options are not twins.
        missing: why the fact has no such form, or None.
    """

    fact: Fact
    variant: str
    pairs: tuple[Pair, ...] = ()
    read: Reader | None = None
    weights: tuple[int, ...] | None = None
    missing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """How far a model chose the truth: `score` and `twin_score` in [0, 1], chance taken off, or why not."""

    fact_id: str
    variant: str
    score: float | None
    twin_score: float | None = None
    missing: str | None = None


def above_chance(probability: float, options: int) -> float:
    """max(0, (p - 1/n) / (1 - 1/n)): 0 at chance and below, 1 at certainty."""
    return max(0.0, (probability - 1 / options) / (1 - 1 / options))


def shortened(fact: Fact) -> Fact:
    """The fact with its answer in few words where there are such, so that options look alike."""
    answer = short_answer(fact)
    return fact if answer is None else replace(fact, answer=answer)


def narrowed(choice: Choice, options: int) -> Choice:
    """The first options of a choice; they stand in the order of a hash, so that any number of them is a fair draw."""
    weights = None if choice.weights is None else choice.weights[:options]
    return replace(choice, options=choice.options[:options], weights=weights)


def multiple_choice(choice: Choice) -> Ballot:
    """The question with lettered options, in all rotations; P(letter | one of the letters), averaged over them."""
    ask = partial(form_texts().prompts[MULTIPLE_CHOICE].format, question=choice.fact.question)
    return _lettered(MULTIPLE_CHOICE, choice, choice.options, ask)


def odd_one_out(choice: Choice, statement: Statement | str) -> Ballot:
    """Statements of which one is right, lettered, in all rotations: which differs from the others?"""
    if isinstance(statement, str):
        return Ballot(fact=choice.fact, variant=ODD_ONE_OUT, missing=statement)
    told = [statement.with_answer(option) for option in choice.options]
    return _lettered(ODD_ONE_OUT, choice, told, form_texts().prompts[ODD_ONE_OUT].format)


def true_false(choice: Choice, statement: Statement | str) -> Ballot:
    """Each option stated by itself: the odds of "True" against "False", of the truth among those of all options.

    If exactly one statement is true, o_i / sum_j o_j with o_i = P(true | i) / P(false | i) is the probability that it
    is i; a leaning to either word multiplies all odds alike and cancels.
    """
    if isinstance(statement, str) or choice.missing is not None:
        missing = statement if isinstance(statement, str) else choice.missing
        return Ballot(fact=choice.fact, variant=TRUE_FALSE, missing=missing)
    texts = form_texts()
    pairs = tuple(
        (Prompt(text=texts.prompts[TRUE_FALSE].format(statement=statement.with_answer(option))), texts.words[word])
        for option in choice.options
        for word in ("true", "false")
    )
    return Ballot(fact=choice.fact, variant=TRUE_FALSE, pairs=pairs, read=_odds, weights=choice.weights)


def reversed_fact(fact: Fact, statement: Statement | str, prompt: str) -> Fact | str:
    """The fact with subject and answer changed places, or why it cannot be turned round.

    Subjects of equal answers become siblings, and so are never wrong options for one another.

    Args:
        fact: what to turn round.
        statement: the fact as a statement.
        prompt: with {cloze} where the statement without its subject stands.
    """
    answer = short_answer(fact)
    if isinstance(statement, str) or answer is None:
        return statement if isinstance(statement, str) else NO_PHRASE
    cloze = statement.reverse_cloze(answer)
    if cloze is None:
        return NO_SUBJECT
    question = prompt.format(cloze=cloze)
    return Fact(id=fact.id, subject=answer, question=question, answer=fact.subject, relation=fact.relation)


def reverse(choice: Choice) -> Ballot:
    """The subject among other subjects, by summed log-likelihood, as in `forced-choice`."""
    return by_likelihood(choice, REVERSE)


def by_likelihood(choice: Choice, variant: str) -> Ballot:
    """The answer among the options by its summed log-likelihood after the question."""
    return Ballot(
        fact=choice.fact,
        variant=variant,
        pairs=tuple(choice.pairs),
        read=_as_they_are,
        weights=choice.weights,
        missing=choice.missing,
    )


def chosen(ballot: Ballot, scores: Scores) -> Chosen:
    """The outcome of a ballot."""
    if ballot.missing is not None or ballot.read is None:
        return _unchosen(ballot, ballot.missing or NO_MASS)
    found = [scores[pair] for pair in ballot.pairs]
    if why := unreadable(found):
        return _unchosen(ballot, why)
    rows = ballot.read(found)
    if any(math.isnan(value) or value == math.inf for row in rows for value in row):
        return _unchosen(ballot, NOT_A_NUMBER)
    given = [probabilities for row in rows if (probabilities := option_probabilities(row)) is not None]
    if len(given) < len(rows):
        return _unchosen(ballot, NO_MASS)
    means = [math.fsum(column) / len(column) for column in zip(*given, strict=True)]
    above = [above_chance(mean, len(means)) for mean in means]
    return Chosen(
        fact_id=ballot.fact.id,
        variant=ballot.variant,
        score=above[0],
        twin_score=_twin_score(above, ballot.weights),
    )


def _unchosen(ballot: Ballot, reason: str) -> Chosen:
    return Chosen(fact_id=ballot.fact.id, variant=ballot.variant, score=None, missing=reason)


def _twin_score(above: Sequence[float], weights: Sequence[int] | None) -> float | None:
    if weights is None:
        return None
    return math.fsum(value * weight for value, weight in zip(above, weights, strict=True)) / sum(weights)


class _Asks(Protocol):
    def __call__(self, *, options: str) -> str: ...


def _lettered(variant: str, choice: Choice, shown: Sequence[str], ask: _Asks) -> Ballot:
    if choice.missing is not None:
        return Ballot(fact=choice.fact, variant=variant, missing=choice.missing)
    letters = string.ascii_uppercase[: len(shown)]
    pairs = []
    for turn in range(len(shown)):
        # Option i stands at place (i + turn) mod n: over all turns, each stands at each place once.
        turned = [shown[(place - turn) % len(shown)] for place in range(len(shown))]
        lines = "\n".join(f"{letter}. {option}" for letter, option in zip(letters, turned, strict=True))
        pairs += [(Prompt(text=ask(options=lines)), letter) for letter in letters]
    return Ballot(fact=choice.fact, variant=variant, pairs=tuple(pairs), read=_by_option, weights=choice.weights)


def _by_option(scores: Sequence[AnswerScore]) -> list[list[float]]:
    """Scores of the letters in every turn -> log-likelihoods of the options, a row a turn."""
    count = math.isqrt(len(scores))
    return [
        [scores[turn * count + (option + turn) % count].log_likelihood for option in range(count)]
        for turn in range(count)
    ]


def _odds(scores: Sequence[AnswerScore]) -> list[list[float]]:
    """Log-likelihoods of "true" and "false" after each statement -> one row of log-odds."""
    likelihoods = [score.log_likelihood for score in scores]
    return [[true - false for true, false in zip(likelihoods[::2], likelihoods[1::2], strict=True)]]


def _as_they_are(scores: Sequence[AnswerScore]) -> list[list[float]]:
    return [[score.log_likelihood for score in scores]]
