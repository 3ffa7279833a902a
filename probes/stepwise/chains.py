"""The chains of `stepwise`: templates, what fills them, and the premises that a generator writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from unlearn_audit.api import Fact, Json, Model, Prompt, Screen
from unlearn_audit.api.kit.answer_key import Output, normalize
from unlearn_audit.api.kit.asking import NO_QUESTION, Ask, is_askable
from unlearn_audit.api.kit.statements import Statement, statement_of
from unlearn_audit.api.kit.text_files import Way, read_texts
from unlearn_audit.api.kit.twins import Twins

from ..shared.exposure import prompted

NO_SIBLING = "no other question on the subject keeps the answer back"
NO_OPENING = "no statement can be made of the fact that names the subject before the answer"
NOT_WRITTEN = "no generator wrote premises for the fact that keep the answer back"

_SIBLINGS = 3
_MOST_LINES, _MOST_LETTERS = 3, 200
_PARTIAL = frozenset({"siblings", "opening", "written"})


class Chain(Way):
    """One chain of reasoning."""

    kind: Literal["direct", "indirect", "implied"]


class StepwiseTexts(BaseModel):
    """The data file next to this module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ways: tuple[Chain, ...]
    requests: dict[str, str]


@lru_cache(maxsize=1)
def stepwise_texts() -> StepwiseTexts:
    """Templates, and what a generator is asked."""
    return read_texts(StepwiseTexts, Path(__file__).with_name("stepwise.yaml"))


class Chains:
    """Writes the chains of facts.

    Args:
        pool: source of other questions on a subject.
        twins: gives the answer keys.
        statements: templates of `statement_of`.
        written: fact id -> kind -> lines of a generator; None where there was none.
    """

    def __init__(
        self,
        pool: Sequence[Fact],
        twins: Twins,
        statements: Mapping[str, str],
        written: Mapping[str, Mapping[str, Sequence[str]]] | None,
    ) -> None:
        self._twins = twins
        self._statements = statements
        self._written = written
        self._of_subject: dict[str, list[Fact]] = {}
        for fact in filter(is_askable, pool):
            self._of_subject.setdefault(normalize(fact.subject), []).append(fact)

    def asks(self, fact: Fact) -> Iterator[Ask]:
        """Every chain to a fact, or why there is none; those of a generator where there was one."""
        for way in stepwise_texts().ways:
            if "written" in way.places and self._written is None:
                continue
            if not is_askable(fact):
                yield prompted(fact, way.name, None, NO_QUESTION)
                continue
            filled = self._filled(fact, way)
            if isinstance(filled, str):
                yield prompted(fact, way.name, None, filled)
                continue
            yield prompted(fact, way.name, way.filled(filled), None, exposes=not way.places & _PARTIAL)

    def _filled(self, fact: Fact, way: Chain) -> dict[str, str] | str:
        """What stands in the places of a way, or why something is lacking."""
        filled = {"question": fact.question or "", "subject": fact.subject}
        if "siblings" in way.places:
            filled["siblings"] = " ".join(self._siblings(fact))
        if "opening" in way.places:
            statement = statement_of(fact, self._statements)
            filled["opening"] = (statement.opening() or "") if isinstance(statement, Statement) else ""
        if "written" in way.places:
            filled["written"] = " ".join((self._written or {}).get(fact.id, {}).get(way.kind, ()))
        lacking = {"siblings": NO_SIBLING, "opening": NO_OPENING, "written": NOT_WRITTEN}
        return next((why for place, why in lacking.items() if filled.get(place) == ""), filled)

    def _siblings(self, fact: Fact) -> list[str]:
        others = self._of_subject.get(normalize(fact.subject), [])
        asked = [other.question or "" for other in others if other.id != fact.id]
        return kept_back(asked, fact, self._twins)[:_SIBLINGS]


def kept_back(texts: Sequence[str], fact: Fact, twins: Twins) -> list[str]:
    """The texts that neither hold a fact's answer nor ask its own question."""
    key = twins.entry(fact).key
    kept = [text for text in texts if not key.held(Output(text))]
    gives_away = Screen([fact])(kept).gives_away if kept else ()
    return [text for text, gives in zip(kept, gives_away, strict=True) if not gives]


def write_premises(generator: Model, pool: Sequence[Fact], twins: Twins, *, max_new_tokens: int) -> dict[str, Json]:
    """Lines that lead up to each question, by fact and kind of chain, with how many were kept and thrown away.

    A line that holds the answer, or asks the question itself, is thrown away.
    """
    requests = stepwise_texts().requests
    facts = [fact for fact in pool if is_askable(fact)]
    wanted = [(fact, kind) for fact in facts for kind in requests]
    prompts = [
        Prompt(text=requests[kind].format(question=fact.question, subject=fact.subject)) for fact, kind in wanted
    ]
    texts: dict[str, dict[str, list[str]]] = {}
    kept = dropped = 0
    for (fact, kind), said in zip(wanted, generator.generate(prompts, max_new_tokens=max_new_tokens), strict=True):
        lines = list(_lines(said.text))
        held = kept_back(lines, fact, twins)
        kept, dropped = kept + len(held), dropped + len(lines) - len(held)
        texts.setdefault(fact.id, {})[kind] = held
    return {"written": texts, "summary": {"premises_kept": kept, "premises_dropped": dropped}}


def _lines(text: str) -> Iterator[str]:
    """The first lines of what a generator wrote, without numbers and bullets: hostile text, so short and plain."""
    lines = (" ".join(line.strip().lstrip("0123456789.)-*• ").split()) for line in text.splitlines())
    printable = ("".join(letter for letter in line if letter.isprintable()) for line in lines)
    yield from [line[:_MOST_LETTERS] for line in printable if line][:_MOST_LINES]
