"""What relearning trains on: facts of the forget set, or text that contains none of its answers.

Text that gives nothing away can still lift a mask (benign relearning: arXiv 2406.13356), and the form of a text can do
more than its topic (2602.03379). BLUR (2506.15699) grades such text by how near it is to what was forgotten. Its texts
were written for its own subjects; ours are made from the facts of the audit, or come from the user's files.

Every text passes `api.Screen` against all facts that are scored. A set is cut to as many texts as the in-domain arm
has, and every arm takes the same number of steps: BLUR's sets differ in size and so in steps, and at equal steps most
of what sets its grades apart is gone (2602.03379).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from unlearn_audit import api
from unlearn_audit.api import AttackContext, AttackError, Fact, Prompt, Screen, SpecError, derive_seed, words_of
from unlearn_audit.api.user_files import parse_json, read_lines

from ..shared.everyday import everyday_texts
from ..shared.splits import CleanLessons, Lesson, lessons_of, passage_lesson
from ..shared.texts import generic_texts

NEUTRAL_FRAMES = (
    "{} is mentioned in this text.",
    "This note is about {}.",
    "A reader asked for more about {}.",
    "There is a page on {}, with a short introduction.",
    "{} was the subject of the evening.",
    "The name {} stands at the top of the list.",
    "Many have heard of {}.",
    "Please see the entry {}.",
)
"""Sentences that say nothing of whom they are about; `{}` is the subject."""

EVERYDAY = 4096
"""Texts of everyday prose: as many as the longest training reads."""

_VOCABULARY_WORDS = 12
_VOCABULARY_LETTERS = 4
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Data(StrEnum):
    """The training data. All kinds but `in-domain` are benign: no text gives away a scored fact."""

    IN_DOMAIN = "in-domain"
    SAME_SYNTAX = "same-syntax"
    TOPIC_HIGH = "topic-high"
    TOPIC_MIDDLE = "topic-middle"
    TOPIC_LOW = "topic-low"
    OUT_OF_DOMAIN = "out-of-domain"

    @property
    def needs_retain(self) -> bool:
        """Whether the texts are made from the retain set."""
        return self in (Data.SAME_SYNTAX, Data.TOPIC_MIDDLE)


class OwnText(api.Parameters):
    """A text of the user's own: a passage, or a question with its answer."""

    text: str | None = None
    question: str | None = None
    answer: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> OwnText:
        pair = (bool(self.question), bool(self.answer))
        if pair == (True, True) and not self.text:
            return self
        if pair != (False, False) or len((self.text or "").split()) < 2:
            raise ValueError("expected a passage of two words or more, or `question` and `answer`")
        return self

    @property
    def lesson(self) -> Lesson:
        """The text as it is trained on."""
        if self.question and self.answer:
            return Lesson(prompt=Prompt(text=self.question), answer=self.answer)
        return passage_lesson(self.text or "")


def _from_file(value: Any) -> Any:
    """The texts of a file in place of its name, so that what they say is a part of the parameters."""
    if not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    try:
        return _rows_of(path)
    except SpecError as error:  # pydantic takes a ValueError
        raise ValueError(
            f"{error} (expected .jsonl with `text` or `question` and `answer` on each line, or plain text with one "
            "text a line)"
        ) from error


def _rows_of(path: Path) -> list[Any]:
    lines = read_lines(path)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise SpecError(f"{path}: expected at least one text, found none")
    if path.suffix != ".jsonl":
        return [{"text": line} for _, line in numbered]
    return [parse_json(line, f"{path}, line {number}") for number, line in numbered]


OwnTexts = Annotated[tuple[OwnText, ...], BeforeValidator(_from_file)]


def benign_lessons(
    data: Data, context: AttackContext, *, own: Mapping[Data, Sequence[OwnText]], most: int
) -> CleanLessons:
    """At most `most` lessons of a benign kind, none of which gives away any fact of the forget set.

    The nearest to their kind come first, equals in an order that depends on the seed alone.

    Raises:
        AttackError: none is left.
    """
    made = [[text.lesson for text in own[data]]] if data in own else _MAKERS[data](context.forget, context.retain)
    lessons = list(dict.fromkeys(chain.from_iterable(_shuffled(made, derive_seed(context.seed, "texts", data)))))
    found = Screen(context.forget)([lesson.text for lesson in lessons])
    kept = [lesson for lesson, leaks in zip(lessons, found.gives_away, strict=True) if not leaks]
    if not kept:
        raise AttackError(
            f"relearning: no text is left to train on for {data} ({found.dropped} give away what is scored); give "
            f"texts of your own (`texts: {{{data}: FILE}}`), or remove {data} from `data`"
        )
    return CleanLessons(kept=tuple(kept[:most]), dropped=found.dropped)


def _shuffled(tiers: Iterable[Iterable[Lesson]], seed: int) -> Iterator[list[Lesson]]:
    for place, tier in enumerate(tiers):
        lessons = list(tier)
        random.Random(derive_seed(seed, place)).shuffle(lessons)  # noqa: S311 - an order, not a secret
        yield lessons


def _same_syntax(forget: Sequence[Fact], retain: Sequence[Fact]) -> Iterator[list[Lesson]]:
    """Retain facts, those first whose question without its subject is most like a forget question without its own.

    Passages are of one form among each other, and of none with questions.
    """
    from rapidfuzz import fuzz, process

    forms = sorted({form for fact in forget for form in _forms(fact)})
    by_likeness: dict[int, list[Lesson]] = {}
    for fact in retain:
        for form, lesson in zip(_forms(fact), lessons_of(fact), strict=True):
            near = process.extractOne(form, forms, scorer=fuzz.ratio)
            by_likeness.setdefault(round(near[1]) if near else 0, []).append(lesson)
    yield from (by_likeness[likeness] for likeness in sorted(by_likeness, reverse=True) if likeness)


def _forms(fact: Fact) -> tuple[str, ...]:
    """The ways in which a fact is asked for, its subject taken out; one for each of its lessons."""
    if fact.question is None or fact.answer is None:
        return ("passage",)
    subject = " ".join(words_of(fact.subject))
    asked = (" ".join(words_of(text)) for text in (fact.question, *fact.paraphrases))
    return tuple(text.replace(subject, "…") if subject else text for text in asked)


def _topic_high(forget: Sequence[Fact], _: Sequence[Fact]) -> Iterator[list[Lesson]]:
    """Text about the forget subjects themselves.

    Sentences of the facts' texts, and their hops; then which relations are asked of whom; then neutral sentences.
    """
    subjects = list(dict.fromkeys(fact.subject for fact in forget))
    asked = {name: [_relation(fact) for fact in forget if fact.subject == name and fact.relation] for name in subjects}
    # Not of facts that are a passage alone: its sentences are pieces of what is scored. And "She was born in Oslo." is
    # about no one to the screen, and about its subject to a reader.
    told = [passage_lesson(line) for fact in forget if fact.question for line in _sentences(fact) if _names(line, fact)]
    hops = [
        Lesson(prompt=Prompt(text=hop.question), answer=hop.answer)
        for fact in forget
        for hop in fact.hops
        if hop.question and hop.answer
    ]
    yield [*told, *hops]
    yield [_about(name, ", ".join(relations)) for name, relations in asked.items() if relations]
    for frame in NEUTRAL_FRAMES:
        yield [passage_lesson(frame.format(name)) for name in subjects]


def _topic_middle(_: Sequence[Fact], retain: Sequence[Fact]) -> Iterator[list[Lesson]]:
    """The same relations of retain subjects, told in another form than they are asked: sentences, and entries."""
    yield [passage_lesson(line) for fact in retain for line in _sentences(fact)]
    yield [
        _about(fact.subject, f"{_relation(fact)} {fact.answer}".strip())
        for fact in retain
        if fact.question and fact.answer
    ]


def _topic_low(forget: Sequence[Fact], retain: Sequence[Fact]) -> Iterator[list[Lesson]]:
    """Words of the topic, no sentence and no name: those of retain facts, and those that two forget subjects share."""
    owners: dict[str, set[str]] = {}
    for fact in forget:
        for word in _vocabulary(fact):
            owners.setdefault(word, set()).add(fact.subject)
    kept = {word for fact in retain for word in _vocabulary(fact)}
    names = {word for fact in (*forget, *retain) for word in words_of(fact.subject)}
    words = sorted(({word for word, subjects in owners.items() if len(subjects) > 1} | kept) - names)
    draws = random.Random(0)  # noqa: S311 - a fixed list; the seed orders it
    size = min(_VOCABULARY_WORDS, len(words))
    lines = (", ".join(draws.sample(words, size)) for _ in range(len(words))) if size > 1 else ()
    yield [passage_lesson(line) for line in lines]


def _out_of_domain(_: Sequence[Fact], __: Sequence[Fact]) -> Iterator[list[Lesson]]:
    """The neutral paragraphs that come with the package, then everyday prose by a grammar."""
    yield [passage_lesson(text) for text in generic_texts(10_000)]
    yield [passage_lesson(text) for text in everyday_texts(EVERYDAY)]


_MAKERS: Mapping[Data, Callable[[Sequence[Fact], Sequence[Fact]], Iterator[list[Lesson]]]] = {
    Data.SAME_SYNTAX: _same_syntax,
    Data.TOPIC_HIGH: _topic_high,
    Data.TOPIC_MIDDLE: _topic_middle,
    Data.TOPIC_LOW: _topic_low,
    Data.OUT_OF_DOMAIN: _out_of_domain,
}


def _vocabulary(fact: Fact) -> Iterator[str]:
    text = " ".join(filter(None, (fact.question, fact.answer, fact.text)))
    return (word for word in words_of(text) if len(word) >= _VOCABULARY_LETTERS)


def _sentences(fact: Fact) -> Iterator[str]:
    return (line for line in _SENTENCE.split((fact.text or "").strip()) if len(line.split()) > 1)


def _names(line: str, fact: Fact) -> bool:
    return bool({*words_of(fact.subject)} & {*words_of(line)})


def _relation(fact: Fact) -> str:
    return " ".join(words_of((fact.relation or "").replace("_", " ")))


def _about(subject: str, what: str) -> Lesson:
    """An entry, as a reference work has it: the subject, and what is said about it."""
    return Lesson(prompt=Prompt(text=f"{subject}:", chat=False), answer=f" {what}")
