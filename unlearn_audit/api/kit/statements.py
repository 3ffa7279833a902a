"""A fact as a statement with a gap where the answer goes: made by rules, never by a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from unlearn_audit.api.facts import Fact
from unlearn_audit.api.kit.answer_key import is_short
from unlearn_audit.api.kit.asking import is_askable
from unlearn_audit.api.kit.text_files import read_texts

NO_PHRASE = "the fact has neither a short answer nor an alias to put into a statement"
NO_STATEMENT = (
    "no statement can be made: neither the answer nor the text is a sentence with subject and answer, no rule fits the "
    "question, and `statements` has none for the relation"
)

_SUBJECT = "\ue000"  # a private-use character: no text that means something holds it
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_END = ".!?;:, "


class Rule(BaseModel):
    """A question, as a regular expression, and the statement that it becomes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    statement: str


class FormTexts(BaseModel):
    """The data file next to this module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    blank: str
    prompts: dict[str, str]
    words: dict[str, str]
    statements: tuple[Rule, ...]
    past: dict[str, str]


@lru_cache(maxsize=1)
def form_texts() -> FormTexts:
    """Prompts, rules and irregular verbs."""
    return read_texts(FormTexts, Path(__file__).with_name("forms.yaml"))


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A sentence around a gap."""

    subject: str
    before: str
    after: str

    def with_answer(self, answer: str) -> str:
        """The sentence with an answer in its gap."""
        return _sentence(self.before + answer + self.after)

    def cloze(self) -> str:
        """The sentence with a blank for the answer."""
        return _sentence(self.before + form_texts().blank + self.after)

    def reverse_cloze(self, answer: str) -> str | None:
        """The sentence with its answer, and a blank for the subject; None where the sentence does not name that."""
        told, times = _named(self.subject).subn(form_texts().blank, self.before + answer + self.after)
        return _sentence(told) if times else None

    def opening(self) -> str | None:
        """The words before the gap, to be gone on from; None where they do not name the subject yet."""
        text = self.before.strip()
        return text[:1].upper() + text[1:] if _named(self.subject).search(text) else None


def short_answer(fact: Fact) -> str | None:
    """The answer in few words, as it stands inside a sentence: itself, else the first alias; None where neither is."""
    answer = (fact.answer or "").strip().rstrip(_END)
    if is_short(answer):
        return answer
    return next((alias.strip().rstrip(_END) for alias in fact.aliases if alias.strip(_END)), None)


def statement_of(fact: Fact, templates: Mapping[str, str]) -> Statement | str:
    """A fact as a statement, or why there is none.

    From, in this order: the user's template for the relation; the answer, where it is a sentence about the subject; the
    sentence of the text that names subject and answer; a rule for the question, then for each paraphrase.

    Args:
        fact: what to state.
        templates: relation -> a sentence with {subject} and {answer}.
    """
    if not is_askable(fact) or (answer := short_answer(fact)) is None:
        return NO_PHRASE
    template = templates.get(fact.relation or "")
    if template is not None:
        before, _, after = template.replace("{subject}", fact.subject).partition("{answer}")
        return Statement(subject=fact.subject, before=before, after=after)
    found = next(_from_sentences(fact, answer), None) or next(_from_questions(fact), None)
    return found or NO_STATEMENT


def _from_sentences(fact: Fact, answer: str) -> Iterator[Statement]:
    for text in (fact.answer or "", fact.text or ""):
        for sentence in _SENTENCE_END.split(text.strip()):
            for phrase in dict.fromkeys((answer, *fact.aliases)):
                parts = _named(phrase).split(sentence) if phrase.strip() else []
                if len(parts) == 2 and _named(fact.subject).search(" ".join(parts)):
                    yield Statement(subject=fact.subject, before=parts[0], after=parts[1])


def _from_questions(fact: Fact) -> Iterator[Statement]:
    told = (statement_from_question(question, fact.subject) for question in (fact.question or "", *fact.paraphrases))
    return (statement for statement in told if statement is not None)


def statement_from_question(question: str, subject: str) -> Statement | None:
    """A question, turned by a rule into a statement with a gap where its answer goes; None where no rule fits.

    Looks at no answer.
    """
    marked = _named(subject).sub(_SUBJECT, question.strip()).rstrip("?. ")
    for rule, template in _rules():
        if (match := rule.fullmatch(marked)) is not None:
            told = template.format(subject=_SUBJECT, answer="{answer}", **_filled(match.groupdict()))
            before, _, after = told.replace(_SUBJECT, subject).partition("{answer}")
            return Statement(subject=subject, before=before, after=after)
    return None


@lru_cache(maxsize=1)
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rule.question.replace("{subject}", _SUBJECT), re.IGNORECASE), rule.statement)
        for rule in form_texts().statements
    )


def _filled(groups: Mapping[str, str | None]) -> dict[str, str]:
    found = {name: (value or "") for name, value in groups.items()}
    for name in found.keys() & {"aux", "preposition", "verb"}:  # they may have begun the question
        found[name] = found[name].casefold()
    if "verb" in found:
        verb = found["verb"]
        found |= {"verb_s": third_person(verb), "verb_ed": past_tense(verb)}
    return found


def third_person(verb: str) -> str:
    """A verb as it follows "she"."""
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if _ends_in_y(verb) else f"{verb}s"


def past_tense(verb: str) -> str:
    """A verb in the past: from the list of irregular ones, else by the rule."""
    if (irregular := form_texts().past.get(verb)) is not None:
        return irregular
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if _ends_in_y(verb) else f"{verb}ed"


def _ends_in_y(verb: str) -> bool:
    return verb.endswith("y") and verb[-2:-1] not in "aeiou"


def _named(phrase: str) -> re.Pattern[str]:
    """A phrase in whole words."""
    return re.compile(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)", re.IGNORECASE)


def _sentence(text: str) -> str:
    """With a capital at its beginning and a stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
