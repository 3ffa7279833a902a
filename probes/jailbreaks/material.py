"""What jailbreak prompts are filled with: other subjects' facts, hints and other words. None gives the answer away."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from unlearn_audit.api import Fact, Model, Screen
from unlearn_audit.api.kit.answer_key import Output, normalize
from unlearn_audit.api.kit.asking import count_tokens, is_askable
from unlearn_audit.api.kit.statements import Statement, short_answer, statement_of
from unlearn_audit.api.kit.text_files import Way, read_texts
from unlearn_audit.api.kit.twins import Twins

from ..shared.shots import shot

NO_SYNONYM = "no word of the question has a synonym in the list"
NO_HINT = "no other text about the subject withholds the answer"
NO_SHOTS = "no other subject's fact withholds the answer and fits into the model's context"

_TEMPLATE_TOKENS = 64
"""Room left in the context for what a chat template writes around a message."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HINTS = 3


class JailbreakTexts(BaseModel):
    """The data file next to this module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ways: tuple[Way, ...]
    synonyms: dict[str, str]


@lru_cache(maxsize=1)
def jailbreak_texts() -> JailbreakTexts:
    """Templates and synonyms."""
    return read_texts(JailbreakTexts, Path(__file__).with_name("jailbreaks.yaml"))


def reworded(question: str, subject: str, synonyms: Mapping[str, str]) -> str | None:
    """The question with the phrases of the list exchanged, the subject's name as it is; None where there are none."""
    phrases = sorted(synonyms, key=len, reverse=True)
    name = re.escape(subject) or r"(?!)"
    found = re.compile(rf"(?<!\w)(?P<name>{name})(?!\w)|(?<!\w)(?:{'|'.join(map(re.escape, phrases))})(?!\w)", re.I)

    def other(match: re.Match[str]) -> str:
        if match["name"] is not None:
            return match[0]
        told = synonyms[match[0].casefold()]
        return told[:1].upper() + told[1:] if match[0][:1].isupper() else told

    told = found.sub(other, question)
    return None if told == question else told


@lru_cache(maxsize=4)
def material_of(pool: tuple[Fact, ...], statements: tuple[tuple[str, str], ...], *, rouge_threshold: float) -> Material:
    """The material of a pool: the same for every model of an audit, and screened once."""
    return Material(pool, dict(statements), rouge_threshold=rouge_threshold)


class Material:
    """Facts of a pool as shots and hints for one another.

    Args:
        pool: their source; never the asked subject's own as a shot.
        statements: templates of `statement_of`.
        rouge_threshold: as in the answer key.
    """

    def __init__(self, pool: Sequence[Fact], statements: Mapping[str, str], *, rouge_threshold: float) -> None:
        self._twins = Twins.shared(pool, rouge_threshold=rouge_threshold)
        self._statements = statements
        self._shots: dict[tuple[Fact, int, bool], list[str]] = {}
        self._hints: dict[Fact, str | None] = {}
        ranked = sorted((fact for fact in pool if is_askable(fact)), key=_rank)
        self._askable = [(normalize(fact.subject), fact) for fact in ranked]
        self._of_subject: dict[str, list[Fact]] = {}
        self._of_relation: dict[str | None, list[tuple[str, Fact]]] = {}
        for subject, fact in self._askable:
            self._of_subject.setdefault(subject, []).append(fact)
            self._of_relation.setdefault(fact.relation, []).append((subject, fact))

    def shots(self, fact: Fact, count: int, *, same_relation: bool = False) -> list[str]:
        """Up to `count` lines, each another subject's question with its answer, of which none gives this answer away.

        The same facts in the same order for every asked fact, but for those that are left out: for its own subject,
        for the answer, or because `Screen` finds the asked subject in them.

        Args:
            fact: what will be asked.
            count: most lines.
            same_relation: facts of the same relation first.
        """
        place = (fact, count, same_relation)
        if place not in self._shots:
            self._shots[place] = self._chosen(fact, count, same_relation=same_relation)
        return self._shots[place]

    def _chosen(self, fact: Fact, count: int, *, same_relation: bool) -> list[str]:
        own = normalize(fact.subject)
        others = (one for subject, one in self._in_order(fact, same_relation=same_relation) if subject != own)
        key = self._twins.entry(fact).key
        lines: list[str] = []
        while asked := list(islice(others, max(1, count))):
            batch = [line for line in map(shot, asked) if not key.held(Output(line))]
            lines += self._kept(batch, [fact, *self._of_subject.get(own, [])])
            if len(lines) >= count:
                break
        return lines[:count]

    def _in_order(self, fact: Fact, *, same_relation: bool) -> Iterator[tuple[str, Fact]]:
        """All that can be asked, by rank; facts of the same relation first, where that is wanted."""
        if not same_relation:
            yield from self._askable
            return
        yield from self._of_relation.get(fact.relation, ())
        yield from ((subject, one) for subject, one in self._askable if one.relation != fact.relation)

    def hint(self, fact: Fact) -> str | None:
        """Up to three sentences on the subject that keep the answer back: of the text, else its other facts."""
        if fact not in self._hints:
            self._hints[fact] = self._hint(fact)
        return self._hints[fact]

    def _hint(self, fact: Fact) -> str | None:
        told = [one for one in _SENTENCE_END.split((fact.text or "").strip()) if one.strip()]
        siblings = self._of_subject.get(normalize(fact.subject), [])
        kept = self._held_back(told, fact) or self._held_back(self._told_of(siblings, fact), fact)
        return " ".join(kept[:_HINTS]) or None

    def _told_of(self, siblings: Sequence[Fact], fact: Fact) -> Iterator[str]:
        for sibling in siblings:
            statement, answer = statement_of(sibling, self._statements), short_answer(sibling)
            if sibling.id != fact.id and isinstance(statement, Statement) and answer is not None:
                yield statement.with_answer(answer)

    def _held_back(self, texts: Sequence[str] | Iterator[str], fact: Fact) -> list[str]:
        key = self._twins.entry(fact).key
        return self._kept([text for text in texts if not key.held(Output(text))], [fact])

    @staticmethod
    def _kept(texts: Sequence[str], scored: Sequence[Fact]) -> list[str]:
        """Texts that state none of these facts."""
        gives_away = Screen(scored)(texts).gives_away if texts else ()
        return [text for text, gives in zip(texts, gives_away, strict=True) if not gives]


def fitting(model: Model, lines: Sequence[str], *, beside: str, new_tokens: int) -> list[str]:
    """As many of the first lines as fit the model's context with a text and its answer; all if it has no limit."""
    longest = model.context
    if longest is None:
        return list(lines)
    room = longest - new_tokens - _TEMPLATE_TOKENS - count_tokens(model.tokenizer, beside)
    kept: list[str] = []
    for line in lines:
        room -= count_tokens(model.tokenizer, line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _rank(fact: Fact) -> bytes:
    return hashlib.sha256(f"shot\x1f{fact.id}".encode()).digest()
