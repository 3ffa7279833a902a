"""Facts as a knowledge graph: names are nodes, a fact is an edge from its subject to its answer.

Two names are one node if their words are the same. A fact's hops are also edges: from whatever previous answer a
hop's question names. What a probe asked of the original can be added. networkx holds it and writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.matching.words import words_of

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from unlearn_audit.api.facts import Fact

FACT, HOP, ELICITED = "fact", "hop", "elicited"
_END = ".!?;:, "


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One edge: what is asked of the head, and the tail that answers it.

    Attributes:
        relation: the fact's; for a hop, its question with the head left out.
        origin: `fact`, `hop` or `elicited`.
        fact_id: whose fact or hop it is; empty for what was elicited.
    """

    head: str
    relation: str
    tail: str
    question: str
    origin: str
    fact_id: str = ""


def node_of(name: str) -> str:
    """What makes two names the same node: their words."""
    return " ".join(words_of(name))


def answer_name(fact: Fact) -> str:
    """The answer in few words: its first alias where it has some."""
    return next((alias.strip(_END) for alias in fact.aliases if alias.strip(_END)), (fact.answer or "").strip(_END))


def replaced(text: str, name: str, other: str) -> str | None:
    """The text with another name in place of one, in whole words; None where it does not name that."""
    if not name.strip():
        return None
    told, times = re.subn(rf"(?<!\w){re.escape(name.strip())}(?!\w)", lambda _: other, text, flags=re.IGNORECASE)
    return told if times else None


def steps_of(fact: Fact) -> Iterator[Step]:
    """A fact and its hops as steps; a hop that names nothing that came before it is none."""
    if not (fact.question or "").strip() or not (fact.answer or "").strip():
        return
    subject, name = fact.subject, answer_name(fact)
    relation = fact.relation or replaced(fact.question or "", subject, "…") or (fact.question or "")
    yield Step(head=subject, relation=relation, tail=name, question=fact.question or "", origin=FACT, fact_id=fact.id)
    heads = [name, *fact.aliases, subject]
    for hop in fact.hops:
        head = next((head for head in heads if replaced(hop.question, head, "") is not None), None)
        if head is None:
            continue
        asked = replaced(hop.question, head, "…") or hop.question
        tail = hop.answer.strip(_END)
        yield Step(head=head, relation=asked, tail=tail, question=hop.question, origin=HOP, fact_id=fact.id)
        heads.insert(0, tail)


def knowledge_graph(facts: Iterable[Fact], *, elicited: Sequence[Step] = ()) -> MultiDiGraph[str]:
    """The graph; an edge carries the fields of its `Step`, a node the first `label` that it was met by."""
    from networkx import MultiDiGraph

    graph: MultiDiGraph[str] = MultiDiGraph()
    for step in (*(step for fact in facts for step in steps_of(fact)), *elicited):
        head, tail = node_of(step.head), node_of(step.tail)
        if not head or not tail or head == tail:
            continue
        for node, label in ((head, step.head), (tail, step.tail)):
            if node not in graph:
                graph.add_node(node, label=label)
        graph.add_edge(head, tail, **asdict(step))
    return graph


def steps_from(graph: MultiDiGraph[str], name: str) -> list[Step]:
    """The steps that go out from a name, in the order in which they were added, hops before facts before the rest."""
    node = node_of(name)
    if node not in graph:
        return []
    found = [Step(**data) for _, _, data in graph.out_edges(node, data=True)]
    return sorted(found, key=lambda step: (HOP, FACT, ELICITED).index(step.origin))
