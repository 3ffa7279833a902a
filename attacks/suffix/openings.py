"""What an adversarial text is optimized toward: openings of answers, in the model's own form, without its answers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pydantic import Field, PositiveInt

from unlearn_audit import api
from unlearn_audit.api import AttackContext, Fact, Json, Model, Prompt

from ..shared.asking.questions import sampled
from ..shared.splits import half_passage

OPENING_TOKENS = 12
"""Tokens of an answer that are generated to see how it opens."""

REPEATED_SHARE = 0.2
"""An opening that this share of the questions gets is not an answer to any of them (a refusal), and so not a target."""

SCORED_AT_ONCE = 2048


class Objective(StrEnum):
    """What the answer should begin with, without looking at the true one.

    Attributes:
        OWN: for each question the likeliest of the openings that this model gives to retain questions.
        AFFIRMATIVE: a fixed opening ("Sure, here is the answer:").
    """

    OWN = "own"
    AFFIRMATIVE = "affirmative"


class Openings(api.Parameters):
    """What an answer-free search aims at."""

    objective: Objective = Field(
        Objective.OWN, description="`own`: openings of this model's own answers; `affirmative`: the fixed `targets`."
    )
    targets: tuple[str, ...] = Field(
        ("Sure, here is the answer:",), min_length=1, description="Affirmative openings, dealt over the questions."
    )
    opening_words: PositiveInt = Field(4, description="Words of the model's own answers that form an opening.")
    openings: PositiveInt = Field(256, description="Most retain questions whose answers' openings are candidates.")

    def targets_of(
        self, model: Model, facts: Sequence[Fact], context: AttackContext
    ) -> tuple[dict[str, str], dict[str, Json]]:
        """Fact id -> opening, affirmative where the model gives none of its own; and how many are which."""
        targets = {fact.id: self.targets[place % len(self.targets)] for place, fact in enumerate(facts)}
        own: dict[str, str] = {}
        if self.objective is Objective.OWN:
            own = own_openings(model, facts, context.retain, words=self.opening_words, most=self.openings)
        return {**targets, **own}, {
            "objective": self.objective.value,
            "own_openings": len(own),
            "affirmative_openings": len(facts) - len(own),
        }


def question_of(fact: Fact) -> Prompt:
    """How a fact is asked for: its question, or the first half of its passage."""
    return Prompt(text=fact.question) if fact.question and fact.answer else half_passage(fact).prompt


def answer_of(fact: Fact) -> str:
    """The true answer, or the second half of the passage."""
    return fact.answer if fact.question and fact.answer else half_passage(fact).answer


def own_openings(
    model: Model, facts: Sequence[Fact], retain: Sequence[Fact], *, words: int, most: int
) -> dict[str, str]:
    """For each fact the opening with which this model would rather answer it, were it to answer as it does elsewhere.

    Openings are the first `words` words of the model's greedy answers to at most `most` retain questions. The one
    for a fact is that whose length-normalized log-probability behind its question exceeds its mean over all questions
    of the same kind most. An opening that many of the questions get un-attacked (a refusal) is left out. No answer of
    any fact is read; two roles differ in what they say themselves.

    Returns:
        Fact id -> opening; a fact has none where the model gives no opening of its kind (passage or question).
    """
    found: dict[str, str] = {}
    for chat in (True, False):
        asked = [fact for fact in facts if question_of(fact).chat is chat]
        known = sampled([fact for fact in retain if question_of(fact).chat is chat], most)
        said = Counter(_openings(model, asked, words))
        refusals = {opening for opening, times in said.items() if times > max(1, REPEATED_SHARE * len(asked))}
        openings = sorted(set(_openings(model, known, words)) - refusals)
        if asked and openings:
            found.update(_likeliest(model, asked, openings))
    return found


def _openings(model: Model, facts: Sequence[Fact], words: int) -> list[str]:
    if not facts:
        return []
    answers = model.generate([question_of(fact) for fact in facts], max_new_tokens=OPENING_TOKENS)
    openings = [" ".join(answer.text.split()[:words]) for answer in answers]
    return [
        opening if question_of(fact).chat else f" {opening}"
        for fact, opening in zip(facts, openings, strict=True)
        if opening
    ]


def _likeliest(model: Model, facts: Sequence[Fact], openings: Sequence[str]) -> dict[str, str]:
    pairs = [(question_of(fact), opening) for fact in facts for opening in openings]
    means: list[float] = []
    for start in range(0, len(pairs), SCORED_AT_ONCE):
        scores = model.score(pairs[start : start + SCORED_AT_ONCE])
        means += [math.nan if score.missing else score.log_likelihood / len(score.log_probs) for score in scores]
    width = len(openings)
    rows = {fact.id: means[width * place : width * (place + 1)] for place, fact in enumerate(facts)}
    read = {name: row for name, row in rows.items() if not any(map(math.isnan, row))}
    usual = [sum(column) / len(read) for column in zip(*read.values(), strict=True)]
    return {name: openings[max(range(width), key=lambda at: (row[at] - usual[at], -at))] for name, row in read.items()}


class Asked:
    """Which text a prompt gets: that of the question it is, holds, or is most like.

    A prompt that was not optimized on (a placebo's question) gets the text of the known question with which it shares
    the most words, so that it is asked under a text of the same kind.
    """

    def __init__(self, texts: Mapping[str, tuple[Fact, str]]) -> None:
        self._text_of: dict[str, str] = {}
        self._passages: list[tuple[str, str]] = []
        for fact, text in texts.values():
            for question in (fact.question, *fact.paraphrases):
                if question:
                    self._text_of[question] = text
            if not (fact.question and fact.answer):
                self._passages.append(((fact.text or "").strip(), text))
        self._words = {question: set(question.lower().split()) for question in self._text_of}
        self._found: defaultdict[str, str] = defaultdict(str)

    def __call__(self, prompt: Prompt) -> str:
        """The text for a prompt."""
        if prompt.text not in self._found:
            self._found[prompt.text] = self._find(prompt.text)
        return self._found[prompt.text]

    def _find(self, asked: str) -> str:
        if asked in self._text_of:
            return self._text_of[asked]
        for passage, text in self._passages:
            if passage.startswith(asked.strip()):
                return text
        if held := [question for question in self._text_of if question in asked]:
            return self._text_of[max(held, key=len)]
        words = set(asked.lower().split())
        if not self._words:
            return self._passages[0][1]
        alike = max(sorted(self._words), key=lambda question: len(words & self._words[question]))
        return self._text_of[alike]
