"""What an adversarial text is optimized toward: openings of answers, in the model's own form, without its answers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import fmean

from pydantic import Field, PositiveInt

from unlearn_audit import api
from unlearn_audit.api import AttackContext, Fact, Json, Model, Prompt

from ..shared.asking.openings import GAP, Opening, Values, before_value, marked, values_of
from ..shared.asking.openings import Openings as Made
from ..shared.asking.questions import sampled
from ..shared.splits import half_passage

OPENING_TOKENS = 32
"""Tokens of an answer that are generated to see how it opens, and whether it comes to its value."""

REPEATED_SHARE = 0.2
"""An opening that this share of the questions gets is not an answer to any of them (a refusal), and so not a target."""

SCORED_AT_ONCE = 2048


class Objective(StrEnum):
    """What the answer should begin with, without looking at the true one.

    Attributes:
        OWN: for each question the likeliest of the openings that this model gives to retain questions, as templates.
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
        own, bare = dict[str, str](), 0
        if self.objective is Objective.OWN:
            own, bare = own_openings(model, facts, context, words=self.opening_words, most=self.openings)
        return {**targets, **own}, {
            "objective": self.objective.value,
            "own_openings": len(own),
            **({"openings_that_are_values": bare} if bare else {}),
            "affirmative_openings": len(facts) - len(own),
        }


def question_of(fact: Fact) -> Prompt:
    """How a fact is asked for: its question, or the first half of its passage."""
    return Prompt(text=fact.question) if fact.question and fact.answer else half_passage(fact).prompt


def answer_of(fact: Fact) -> str:
    """The true answer, or the second half of the passage."""
    return fact.answer if fact.question and fact.answer else half_passage(fact).answer


def own_openings(
    model: Model, facts: Sequence[Fact], context: AttackContext, *, words: int, most: int
) -> tuple[dict[str, str], int]:
    """For each fact the opening with which this model would rather answer it, were it to answer as it does elsewhere.

    Openings are the first `words` words of the model's greedy answers to at most `most` retain questions, up to the
    value where that is known, as templates: the name that is asked after stands where the other's stood. With them
    compete those that `prefill` makes of others' answers. One that holds a value of any fact, or a word of another's
    name, is not used for a fact. The one for a fact is that whose length-normalized log-probability behind its question
    exceeds its mean over all questions of the same kind most. An opening that many of the questions get un-attacked,
    and that leads to no known value (a refusal), is left out. No answer of any asked fact is read; two roles differ in
    what they say themselves.

    A model whose answers are the value alone has no opening. Then, and only then, the values that it gives to retain
    questions are the openings: what stands where an answer of its form begins.

    Returns:
        Fact id -> opening, and how many of them are such values; a fact has none where the model gives no opening of
        its kind (passage or question) that says nothing.
    """
    found: dict[str, str] = {}
    bare = 0
    made, names = Made(context.forget, context.retain), Values(context.retain, values=False)
    for chat in (True, False):
        asked = [fact for fact in facts if question_of(fact).chat is chat]
        if not asked:
            continue
        known = sampled([fact for fact in context.retain if question_of(fact).chat is chat], most)
        templates, alone = _templates(model, asked, known, words)
        columns = {fact.id: _filled(fact, templates, made.values) + _made(fact, made) for fact in asked}
        if not any(text for row in columns.values() for text in row):
            columns = {fact.id: _filled(fact, alone, names) for fact in asked}
            bare += sum(any(row) for row in columns.values())
        found.update(_likeliest(model, asked, columns))
    return found, bare


def _templates(model: Model, asked: Sequence[Fact], known: Sequence[Fact], words: int) -> tuple[list[str], list[str]]:
    """How the model's answers to known questions open, with a gap for the name; and those that open with the value."""
    said = Counter(_first(text, fact, words) for fact, text in _answered(model, asked))
    refusals = {opening for opening, times in said.items() if times > max(1, REPEATED_SHARE * len(asked))}
    templates, alone = set[str](), set[str]()
    for fact, text in _answered(model, known):
        before, first = before_value(text, fact), _first(text, fact, words)
        if before is not None:  # it is an answer, however often it opens so
            templates.add(_spaced(" ".join(before.split()[:words]), fact))
        elif first and first not in refusals:
            (alone if values_of(fact) else templates).add(first)
    return sorted(templates), sorted(alone)


def _answered(model: Model, facts: Sequence[Fact]) -> list[tuple[Fact, str]]:
    if not facts:
        return []
    answers = model.generate([question_of(fact) for fact in facts], max_new_tokens=OPENING_TOKENS)
    return [(fact, answer.text) for fact, answer in zip(facts, answers, strict=True)]


def _first(text: str, fact: Fact, words: int) -> str:
    """The first words of an answer, with a gap for the subject's name."""
    return _spaced(" ".join(marked(text, fact.subject).split()[:words]), fact)


def _spaced(opening: str, fact: Fact) -> str:
    return opening if question_of(fact).chat or not opening else f" {opening}"


def _filled(fact: Fact, templates: Sequence[str], values: Values) -> list[str | None]:
    """The templates about a fact's subject; None for one that says something."""
    question = question_of(fact).text
    texts = (template.replace(GAP, fact.subject) for template in templates)
    return [text if values.free(text, question=question, subject=fact.subject) else None for text in texts]


def _made(fact: Fact, made: Made) -> list[str | None]:
    """What `prefill` would begin the answer with, after the answers to others' questions."""
    question = question_of(fact)
    return [made.of(kind, question.text) if question.chat else None for kind in (Opening.ANSWERS, Opening.NAME)]


def _likeliest(model: Model, facts: Sequence[Fact], columns: Mapping[str, Sequence[str | None]]) -> dict[str, str]:
    pairs = [(question_of(fact), text) for fact in facts for text in columns[fact.id] if text]
    means: list[float] = []
    for start in range(0, len(pairs), SCORED_AT_ONCE):
        scores = model.score(pairs[start : start + SCORED_AT_ONCE])
        means += [math.nan if score.missing else score.log_likelihood / len(score.log_probs) for score in scores]
    left = iter(means)
    rows = {fact.id: [next(left) if text else None for text in columns[fact.id]] for fact in facts}
    rows = {
        name: row for name, row in rows.items() if not any(value is not None and math.isnan(value) for value in row)
    }
    usual = [
        fmean(known) if (known := [v for v in column if v is not None]) else 0.0
        for column in zip(*rows.values(), strict=True)
    ]
    found = {}
    for name, row in rows.items():
        standing = [(value - usual[at], -at) for at, value in enumerate(row) if value is not None]
        if standing:
            found[name] = columns[name][-max(standing)[1]] or ""
    return found


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
