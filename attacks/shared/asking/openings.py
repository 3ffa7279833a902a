"""How an answer may open: by a rule from its question, or as the answers to others' questions do; never with a value.

Who asks for a fact knows its question, and may know what is public of others: the facts that stay. So an opening is
made of these alone. Where others' answers are its source, their subject's name becomes a gap for the name that is asked
after, and the text ends before what that answer says. An opening that holds a value of any fact, or a word of another
subject's name, is not used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import takewhile

from unlearn_audit.api import Fact, words_of
from unlearn_audit.api.kit.answer_key import is_short
from unlearn_audit.api.kit.asking import is_askable
from unlearn_audit.api.kit.statements import statement_from_question

from .questions import wordings

GAP = "\ue000"
"""Where the subject's name goes: a private-use character, which no text that means something holds."""

MOST_WORDS = 12
"""Longest opening that is taken from others' answers; what comes later is no opening."""

_MARKS = ".!?;: "
_SHORTEST_NAME = 4
"""Letters from which a word of another subject's name is not to stand in an opening."""


class Opening(StrEnum):
    """Where an opening comes from.

    Attributes:
        QUESTION: the question as the beginning of a statement, by rule ("Ada Lovelace was born in").
        ANSWERS: how the answers to the same question about others open, up to what they say.
        NAME: how answers about others come to their subject's name ("The author Ada Lovelace").
        READY: a fixed text that fits every question ("Sure, the answer is").
    """

    QUESTION = "question"
    ANSWERS = "answers"
    NAME = "name"
    READY = "ready"


class Openings:
    """The openings of answers about some subjects.

    Args:
        facts: those that are asked after, of which only questions, and names, are used, and values to leave out.
        others: facts about others, whose answers show how answers open.
    """

    def __init__(self, facts: Sequence[Fact], others: Sequence[Fact]) -> None:
        everyone = (*facts, *others)
        self.values = Values(everyone)
        self._subjects = {text: fact.subject for fact in everyone for text in wordings(fact)}
        self._held = KnownTexts(self._subjects)
        forms = {marked(text, subject) for text, subject in self._subjects.items()}
        self._forms = sorted({_parted(form) for form in forms if form.count(GAP) == 1}, key=_fixed, reverse=True)
        self._by_question = _by_question(others)
        names = (_to_the_name(fact) for fact in others if is_askable(fact))
        self._to_names = [name for name, _ in Counter(filter(None, names)).most_common()]
        self._found: dict[str, tuple[str, str] | None] = {}

    def of(self, kind: Opening, prompt: str) -> str | None:
        """The opening of the answer to a prompt; None where there is none of this kind that says nothing.

        Args:
            kind: any but `READY`, which no fact is needed for.
            prompt: a question of the facts, a text that holds one, or a question in the words of one.
        """
        if prompt not in self._found:
            self._found[prompt] = self._asked(prompt)
        found = self._found[prompt]
        if found is None:
            return None
        question, subject = found
        told = (text.replace(GAP, subject) for text in self._candidates(kind, question, subject))
        return next((text for text in told if self.values.free(text, question=question, subject=subject)), None)

    def _candidates(self, kind: Opening, question: str, subject: str) -> list[str]:
        if kind is Opening.QUESTION:
            statement = statement_from_question(question, subject)
            opening = None if statement is None else statement.opening()
            return [opening] if opening else []
        return self._to_names if kind is Opening.NAME else self._by_question.get(marked(question, subject), [])

    def _asked(self, prompt: str) -> tuple[str, str] | None:
        """The question that a prompt is or holds, and its subject: a known one, else who stands in a known form."""
        if prompt in self._subjects:
            return prompt, self._subjects[prompt]
        held = self._held.longest_in(prompt)
        if held is not None:
            return held, self._subjects[held]
        for before, after in self._forms:
            name = prompt[len(before) : len(prompt) - len(after)].strip()
            if name and prompt.startswith(before) and prompt.endswith(after):
                return prompt, name
        return None


class Values:
    """What openings may not hold: a value of any fact, and words of another subject's name.

    Args:
        facts: their short answers and aliases are values; their subjects have the names.
        values: whether values are forbidden, and not names alone.
    """

    def __init__(self, facts: Iterable[Fact], *, values: bool = True) -> None:
        known = tuple(facts)
        told = (value for fact in known for value in values_of(fact)) if values else ()
        self._runs = {words for value in told if (words := words_of(value))}
        self._names = {word for fact in known for word in words_of(fact.subject) if len(word) >= _SHORTEST_NAME}
        self._lengths = sorted({len(run) for run in self._runs})

    def free(self, opening: str, *, question: str, subject: str) -> bool:
        """Whether an opening says nothing that its question does not say."""
        words, asked = words_of(opening), words_of(question)
        own = {*asked, *words_of(subject)}
        if any(word in self._names and word not in own for word in words):
            return False
        return not any(run in self._runs and not _holds(asked, run) for run in _runs(words, self._lengths))


def values_of(fact: Fact) -> tuple[str, ...]:
    """What an answer says, where that is known: its aliases, else itself where it is short."""
    return fact.aliases or ((fact.answer,) if fact.answer and is_short(fact.answer) else ())


def marked(text: str, subject: str) -> str:
    """A text with a gap for each time that it names the subject whole."""
    return re.sub(rf"(?<!\w){re.escape(subject)}(?!\w)", GAP, text, flags=re.IGNORECASE) if subject else text


def before_value(text: str, fact: Fact) -> str | None:
    """How a text about a fact begins, with a gap for the name, up to the fact's value.

    None where the text does not say the value, or begins with it. What a fact without a known value says is not known.
    """
    said = [re.search(rf"(?<!\w){re.escape(value.strip(_MARKS))}(?!\w)", text, re.I) for value in values_of(fact)]
    first = min((match.start() for match in said if match is not None), default=0)
    return _short(marked(text[:first], fact.subject))


def _by_question(others: Iterable[Fact]) -> dict[str, list[str]]:
    """Form of a question -> how the answers of others to it open, the commonest first."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    whole: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for fact in others:
        for form in {marked(text, fact.subject) for text in wordings(fact)}:
            if opening := before_value(fact.answer or "", fact):
                told[form][opening] += 1
            elif not values_of(fact):
                whole[form].setdefault(fact.subject, marked(fact.answer or "", fact.subject).split())
    for form, answers in whole.items():
        # Of sentences whose value is not known, what two subjects' answers share is the form.
        shared = [words[0] for words in takewhile(_alike, zip(*answers.values(), strict=False))]
        if len(answers) > 1 and all(len(words) > len(shared) for words in answers.values()):
            told[form].update(filter(None, [_short(" ".join(shared))]))
    return {form: [opening for opening, _ in openings.most_common()] for form, openings in told.items()}


def _alike(words: tuple[str, ...]) -> bool:
    return len(set(words)) == 1


def _to_the_name(fact: Fact) -> str | None:
    before, named, _ = marked(fact.answer or "", fact.subject).partition(GAP)
    return _short(before + named) if named else None


def _short(text: str) -> str | None:
    """The text without white space around it; None where it is empty, or too long to be an opening."""
    text = text.strip()
    return text if text and len(text.split()) <= MOST_WORDS else None


def _parted(form: str) -> tuple[str, str]:
    before, _, after = form.partition(GAP)
    return before, after


def _fixed(form: tuple[str, str]) -> tuple[int, tuple[str, str]]:
    return len(form[0]) + len(form[1]), form


def _runs(words: tuple[str, ...], lengths: Iterable[int]) -> Iterable[tuple[str, ...]]:
    return (words[start : start + size] for size in lengths for start in range(len(words) - size + 1))


def _holds(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    return any(words[start : start + len(run)] == run for start in range(len(words) - len(run) + 1))


class KnownTexts:
    """Finds which of many texts a prompt holds, in steps that grow with the prompt and not with their number.

    Args:
        texts: all of them; an empty one is never found.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        known = tuple(filter(None, texts))
        self._key = min(map(len, known), default=1)
        self._by_key: dict[str, list[str]] = {}
        for text in sorted(known, key=len, reverse=True):
            self._by_key.setdefault(text[: self._key], []).append(text)

    def longest_in(self, prompt: str) -> str | None:
        """The longest text that stands somewhere in the prompt."""
        starts = range(len(prompt) - self._key + 1)
        found = (
            text
            for start in starts
            for text in self._by_key.get(prompt[start : start + self._key], ())
            if prompt.startswith(text, start)
        )
        return max(found, key=len, default=None)
