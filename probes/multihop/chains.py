"""Chains of reasoning that go through a forgotten fact, composed from a knowledge graph by rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from unlearn_audit.api import Fact
from unlearn_audit.api import knowledge_graph as graphs
from unlearn_audit.api.kit.answer_key import Output, answer_key, normalize
from unlearn_audit.api.kit.asking import NO_QUESTION, is_askable
from unlearn_audit.api.kit.statements import Statement, short_answer, statement_of
from unlearn_audit.api.kit.text_files import read_texts

if TYPE_CHECKING:
    from networkx import MultiDiGraph

TWO_HOP, THREE_HOP, ALIAS, INTERSECTION, INVERSION = "two-hop", "three-hop", "alias", "intersection", "inversion"
VARIANTS = (TWO_HOP, THREE_HOP, ALIAS, INTERSECTION, INVERSION)

_NOTHING_FOLLOWS = "nothing follows from the answer: no hop, no fact of the set, nothing that the original says"
WHY_NOT = {
    TWO_HOP: _NOTHING_FOLLOWS,
    THREE_HOP: f"{_NOTHING_FOLLOWS} twice over",
    ALIAS: "no other name, and no other fact of the subject that is true of it alone in the set",
    INTERSECTION: "no other fact of the subject that with this one is true of it alone in the set",
    INVERSION: "no statement of the fact that is true of its subject alone in the set",
}
CANDIDATES = 3
"""Most chains of one kind that are composed for a fact; the first that the original can do is kept."""


class Neighbour(BaseModel):
    """A relation that is asked of an answer, in several ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ask: tuple[str, ...]
    told: str = ""


class MultihopTexts(BaseModel):
    """The data file next to this module."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    variables: tuple[str, str]
    chains: dict[str, str]
    given: str
    then: str
    who: str
    unstated: str
    neighbours: dict[str, Neighbour]
    names: Neighbour


@lru_cache(maxsize=1)
def multihop_texts() -> MultihopTexts:
    """Templates."""
    return read_texts(MultihopTexts, Path(__file__).with_name("multihop.yaml"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """One question through a fact, put in up to three forms.

    Attributes:
        asked: the question in one breath and what answers it, as a fact whose relation names the whole way; it
            keeps the fact's id.
        turns: the same in several questions, one after the other; empty for a kind without a step between.
        given: an alias's question with the alias explained; None for other kinds.
    """

    asked: Fact
    turns: tuple[str, ...] = ()
    given: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the question leaves something to be answered, in one breath and by turns."""
        return all(_keeps_back(self.asked, text) for text in (self.asked.question or "", *self.turns))

    @property
    def given_fact(self) -> Fact | None:
        """The question with what lies between told, if there is one and it leaves something to be answered."""
        sound = self.given is not None and _keeps_back(self.asked, self.given)
        return replace(self.asked, question=self.given) if sound else None


class Composer:
    """Composes the chains of facts.

    Args:
        pool: the fact set.
        statements: templates of `statement_of`.
        elicited: what the original said about the neighbours of answers.
        names: subject -> another name of it.
    """

    def __init__(
        self,
        pool: Sequence[Fact],
        statements: Mapping[str, str],
        *,
        elicited: Sequence[graphs.Step] = (),
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.graph: MultiDiGraph[str] = graphs.knowledge_graph(pool, elicited=elicited)
        self._statements = statements
        self._names = names or {}
        self._texts = multihop_texts()
        self._x, self._y = self._texts.variables
        self._known: dict[tuple[Fact, str], list[Chain]] = {}
        self._stated: dict[Fact, Statement | str] = {}
        self._of_subject: dict[str, list[Fact]] = {}
        self._holders: dict[tuple[str | None, str], set[str]] = {}
        for fact in filter(is_askable, pool):
            self._of_subject.setdefault(normalize(fact.subject), []).append(fact)
            self._holders.setdefault(_claim(fact), set()).add(normalize(fact.subject))

    def chains(self, fact: Fact, variant: str) -> list[Chain]:
        """Up to `CANDIDATES` chains of one kind; none where nothing fits, or where the chain's answer stands in it."""
        if (fact, variant) not in self._known:
            self._known[fact, variant] = self._composed(fact, variant) if is_askable(fact) else []
        return self._known[fact, variant]

    def _composed(self, fact: Fact, variant: str) -> list[Chain]:
        compose = {
            TWO_HOP: self._two_hops,
            THREE_HOP: self._three_hops,
            ALIAS: self._aliased,
            INTERSECTION: self._intersected,
            INVERSION: self._inverted,
        }[variant]
        return list(islice((chain for chain in compose(fact) if chain.is_sound), CANDIDATES))

    def why_not(self, fact: Fact, variant: str) -> str:
        """Why a fact has no chain of a kind."""
        return WHY_NOT[variant] if is_askable(fact) else NO_QUESTION

    def inverted(self, fact: Fact, variant: str, text: str) -> Fact:
        """What is asked after the subject."""
        return replace(
            _plain(fact), subject=answer_name(fact), question=text, answer=fact.subject, relation=_way(fact, variant)
        )

    def _two_hops(self, fact: Fact) -> Iterator[Chain]:
        yield from self._ready(fact, TWO_HOP)
        for step in self._onward(fact):
            question = graphs.replaced(step.question, step.head, self._x)
            if question is not None:
                text = self._texts.chains[TWO_HOP].format(first=self._first(fact), question=question)
                turns = (fact.question or "", self._then(step))
                yield Chain(asked=_outer(fact, TWO_HOP, text, step), turns=turns)

    def _three_hops(self, fact: Fact) -> Iterator[Chain]:
        yield from self._ready(fact, THREE_HOP)
        for middle in self._onward(fact):
            for step in graphs.steps_from(self.graph, middle.tail):
                met = {graphs.node_of(name) for name in (fact.subject, middle.head, middle.tail)}
                question = graphs.replaced(step.question, step.head, self._y)
                if question is None or graphs.node_of(step.tail) in met:
                    continue
                text = self._texts.chains[THREE_HOP].format(
                    first=self._first(fact), second=self._second(middle), question=question
                )
                turns = (fact.question or "", self._then(middle), self._then(step))
                yield Chain(asked=_outer(fact, THREE_HOP, text, middle, step), turns=turns)

    def _ready(self, fact: Fact, variant: str) -> Iterator[Chain]:
        """The fact's own hops that ask of the subject already: the first goes two hops far, the second three."""
        own = [
            step for step in graphs.steps_of(fact)
            if step.origin == graphs.HOP and graphs.node_of(step.head) == graphs.node_of(fact.subject)
        ]  # fmt: skip
        place = (TWO_HOP, THREE_HOP).index(variant)
        if place < len(own):
            steps = own[: place + 1]
            yield Chain(
                asked=_outer(fact, variant, steps[-1].question, steps[-1]),
                turns=(fact.question or "", *(step.question for step in steps)),
            )

    def _then(self, step: graphs.Step) -> str:
        """A step asked of the model's own last answer."""
        question = graphs.replaced(step.question, step.head, self._x) or step.question
        return self._texts.then.format(question=question)

    def _onward(self, fact: Fact) -> list[graphs.Step]:
        """Steps from the fact's answer that do not lead back to its subject."""
        names = dict.fromkeys(graphs.node_of(name) for name in (answer_name(fact), *fact.aliases))
        steps = [step for name in names for step in graphs.steps_from(self.graph, name)]
        return [step for step in steps if graphs.node_of(step.tail) != graphs.node_of(fact.subject)]

    def _first(self, fact: Fact) -> str:
        """The fact as a statement, with X for its answer."""
        statement = self._statement(fact)
        if isinstance(statement, Statement):
            return statement.with_answer(self._x)
        return self._texts.unstated.format(variable=self._x, question=fact.question)

    def _second(self, step: graphs.Step) -> str:
        if step.origin == graphs.ELICITED:
            return self._texts.neighbours[step.relation].told.format(entity=self._x, answer=self._y)
        question = graphs.replaced(step.question, step.head, self._x) or step.question
        told = Fact(id="", subject=self._x, question=question, answer=step.tail, relation=step.relation)
        statement = statement_of(told, self._statements)
        if isinstance(statement, Statement):
            return statement.with_answer(self._y)
        return self._texts.unstated.format(variable=self._y, question=question)

    def _aliased(self, fact: Fact) -> Iterator[Chain]:
        name, texts = self._names.get(normalize(fact.subject)), self._texts
        renamed = graphs.replaced(fact.question or "", fact.subject, name) if name else None
        who = texts.given.format(subject=fact.subject)
        if name and renamed is not None:
            told = graphs.replaced(who, self._x, name) or who
            asks = graphs.replaced(texts.who.format(told="").strip(), self._x, name) or ""
            yield Chain(asked=replace(_plain(fact), question=renamed), turns=(asks, renamed), given=f"{told} {renamed}")
        question = graphs.replaced(fact.question or "", fact.subject, self._x)
        for told in self._descriptions(fact) if question is not None else ():
            text = texts.chains[ALIAS].format(told=told, question=question)
            yield Chain(
                asked=replace(_plain(fact), question=text),
                turns=(texts.who.format(told=told), question or ""),
                given=texts.chains[ALIAS].format(told=f"{told} {who}", question=question),
            )

    def _descriptions(self, fact: Fact) -> Iterator[str]:
        """What is true of the subject alone: hops that lead up to it, then its other facts."""
        for hop in fact.hops:
            if graphs.node_of(hop.answer) == graphs.node_of(fact.subject):
                yield self._texts.unstated.format(variable=self._x, question=hop.question)
        for other in self._others(fact):
            if len(self._holders[_claim(other)]) == 1 and (told := self._told(other)) is not None:
                yield told

    def _intersected(self, fact: Fact) -> Iterator[Chain]:
        told = self._told(fact)
        # One that is also true of others comes first: it does not tell the subject without the fact that is asked.
        others = sorted(self._others(fact), key=lambda other: len(self._holders[_claim(other)]) == 1)
        for other in others if told is not None else ():
            both = self._holders.get(_claim(fact), set()) & self._holders[_claim(other)]
            beside = self._told(other)
            if len(both) == 1 and beside is not None:
                text = self._texts.chains[INTERSECTION].format(told=told, other=beside)
                yield Chain(asked=self.inverted(fact, INTERSECTION, text))

    def _inverted(self, fact: Fact) -> Iterator[Chain]:
        told = self._told(fact)
        if told is not None and self._holders.get(_claim(fact), set()) <= {normalize(fact.subject)}:
            yield Chain(asked=self.inverted(fact, INVERSION, self._texts.chains[INVERSION].format(told=told)))

    def _others(self, fact: Fact) -> list[Fact]:
        found = self._of_subject.get(normalize(fact.subject), [])
        return [other for other in found if other.id != fact.id and _claim(other) != _claim(fact)]

    def _statement(self, fact: Fact) -> Statement | str:
        if fact not in self._stated:
            self._stated[fact] = statement_of(fact, self._statements)
        return self._stated[fact]

    def _told(self, fact: Fact) -> str | None:
        """The fact as a statement with X for its subject."""
        statement, answer = self._statement(fact), short_answer(fact)
        if not isinstance(statement, Statement) or answer is None:
            return None
        return graphs.replaced(statement.with_answer(answer), fact.subject, self._x)


def answer_name(fact: Fact) -> str:
    """The answer in few words."""
    return short_answer(fact) or graphs.answer_name(fact)


def _claim(fact: Fact) -> tuple[str | None, str]:
    """What a fact says, whatever its subject."""
    return fact.relation, normalize(answer_name(fact))


def _way(fact: Fact, *parts: str) -> str | None:
    """The relation of a whole chain; None where the fact has none, and so no twins."""
    return None if fact.relation is None else "\x1f".join((*parts, fact.relation))


def _plain(fact: Fact) -> Fact:
    return replace(fact, paraphrases=(), wrong_answers=(), text=None, hops=())


def _outer(fact: Fact, variant: str, text: str, *steps: graphs.Step) -> Fact:
    """The last step's answer, asked of the fact's subject."""
    way = _way(fact, variant, *(step.relation for step in steps))
    return replace(_plain(fact), question=text, answer=steps[-1].tail, aliases=(), relation=way)


def _keeps_back(asked: Fact, text: str) -> bool:
    """Whether a question leaves something to be answered."""
    return answer_key(asked, rouge_threshold=1.0).asked(Output(text)).missing is None
