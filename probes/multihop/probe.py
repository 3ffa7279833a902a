"""Multihop: is a forgotten fact still used as a step on the way to another answer?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from pydantic import Field

from unlearn_audit.api import Access, Fact, Json, Measure, Model, Parameters, Probe, Prompt, Reading
from unlearn_audit.api import knowledge_graph as graphs
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import Ask, token_limit
from unlearn_audit.api.kit.twins import Twins

from ..shared.exposure import HIT, hit_readings, prompted
from ..shared.options import StatementParameters
from .chains import ALIAS, VARIANTS, Chain, Composer

DROPPED = "the original itself cannot answer this chain"


class MultihopParameters(StatementParameters, QuestionParameters):
    """Parameters of `multihop`."""

    extra_tokens: int = Field(32, ge=0, description="Tokens an output may have beyond the longest question and answer.")
    elicit: bool = Field(True, description="Ask the original for neighbors of answers and other names of subjects.")
    neighbours: int = Field(128, ge=0, description="Most names to ask the original about, at each distance.")
    neighbour_tokens: int = Field(16, ge=1, description="Most tokens of an answer about one; longer ones do not count.")


class Multihop(Probe[MultihopParameters]):
    """Questions whose answer lies beyond a forgotten fact (The Unlearning Mirage, 2603.11266).

    - `hit`: greedy output against the answer key of what is asked, a reading for each kind of chain, advisory. What the
      prompt itself says is not a key. The twin score is the share of answers, by frequency, that the same way gives for
      other subjects.

    **Chains.** X and Y stand for names that are not given: "Ann was born in X. Which country is X in?"

    - `two-hop`, `three-hop`: one and two steps beyond the fact's answer. The answer itself is never mentioned.
    - `alias`: the fact's question, its subject called by another name or described by a fact that is true of no
      other subject of the set ("X works as a weaver. Where was X born?"). That fact comes from the set, so it must be
      forgotten as well; it is told, not asked, and the answer that counts is the fact's own.
    - `intersection`: who the subject is, given the fact and another one that together are true of it alone.
    - `inversion`: who the subject is, given the fact alone, if it is true of no one else in the set.

    **Steps** are edges of a knowledge graph (`unlearn-audit graph` exports it): the fact's `hops`, facts of the set
    whose subject is the answer, and neighbors elicited from the original. The original, if given, is asked once about
    answers and what these lead to (`probes/multihop/multihop.yaml`). What it says consistently, however asked, is kept,
    unless more than half of all names get it, or one name to several relations. Of up to three chains of a kind, the
    first that the original answers correctly is asked of every role. If it can answer none, the fact is missing in that
    kind; the report says how many were dropped. Without an original, chains come only from facts and hops
    and none is dropped.

    **Departures** from the Mirage: it generates probes and judges answers with large models; here rules compose and
    the answer key decides. FaithUn and GONE (2603.12275) start from Wikidata; here only the user's graph is used.

    **Known failures**: a small model cannot chain at all; then everything is dropped, and the report says so. Asking
    only what the original can answer makes its own score 1 by selection: this is not evidence of power beyond
    that. The last step may itself be in the forget set. Facts that must stay are not within a
    probe's reach. A step that unlearning damaged looks forgotten.
    """

    name: ClassVar[str] = "multihop"
    summary: ClassVar[str] = "Asks questions that need a forgotten fact as an intermediate step."
    paper: ClassVar[str] = "2603.11266"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (HIT,)
    Parameters: ClassVar[type[Parameters]] = MultihopParameters

    def prepare(self, original: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """What the original says of neighbours and names, and which chains it can do; with counts of both."""
        from .elicited import elicited_names, elicited_neighbours

        own, prepared = self.parameters, dict[str, Json]()
        counts: dict[str, Json] = {}
        limit = self._limit(original, pool)
        if own.elicit:
            most = own.neighbour_tokens
            steps, counts = elicited_neighbours(original, pool, most=own.neighbours, max_new_tokens=most)
            names = elicited_names(original, pool, most=own.neighbours, max_new_tokens=most)
            prepared = {
                "steps": [[step.head, step.relation, step.tail, step.question] for step in steps],
                "names": names,
            }
        composer = self._composer(pool, prepared)
        candidates = {(fact.id, kind): composer.chains(fact, kind) for fact in pool for kind in VARIANTS}
        # One ask a candidate; its place is given by its variant, which no one sees.
        asks = [
            _ask(chain, f"{kind} {place}")
            for (_, kind), chains in candidates.items()
            for place, chain in enumerate(chains)
        ]
        answered = ask_all(original, asks, Twins(pool, rouge_threshold=own.rouge_threshold), limit)
        done = {(one.ask.fact.id, one.ask.variant) for one in answered if one.hit == 1.0}
        kept: dict[str, dict[str, int]] = {kind: {} for kind in VARIANTS}
        for (fact_id, kind), chains in candidates.items():
            place = next((place for place in range(len(chains)) if (fact_id, f"{kind} {place}") in done), None)
            if place is not None:
                kept[kind][fact_id] = place
        had = Counter(kind for (_, kind), chains in candidates.items() if chains)
        told: dict[str, Json] = {
            kind: f"{len(kept[kind])} kept, {had[kind] - len(kept[kind])} dropped" for kind in VARIANTS
        }
        return {**prepared, "kept": kept, "summary": {**told, **counts}}

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """A hit for each kind of chain, of every fact."""
        own = self.parameters
        composer = self._composer(pool, self.prepared)
        known = {fact.id for fact in pool}
        # Twins are what the same way gives for others, whether the original can do those chains or not.
        others = [chain.asked for fact in pool for kind in VARIANTS for chain in self._first(composer, fact, kind)]
        twins = Twins([*pool, *others], rouge_threshold=own.rouge_threshold, judge=self.judge)
        asks = [ask for fact in facts for ask in self._asks(composer, fact, known)]
        answered = ask_all(model, asks, twins, self._limit(model, pool))
        yield from hit_readings(asks, answered, twins, minimum_twins=own.minimum_twins)

    def _first(self, composer: Composer, fact: Fact, kind: str) -> list[Chain]:
        """The chain of a kind that gives a twin; an alias asks the fact itself, which the pool has."""
        if kind == ALIAS:
            return []
        chains = composer.chains(fact, kind)
        place = self._place(fact, kind) or 0
        return chains[place : place + 1]

    def _place(self, fact: Fact, kind: str) -> int | None:
        """Which chain of a fact of the pool the original can do; None where none, and 0 where it was not asked."""
        kept = cast("Mapping[str, Mapping[str, int]] | None", self.prepared.get("kept"))
        return 0 if kept is None else kept[kind].get(fact.id)

    def _asks(self, composer: Composer, fact: Fact, known: set[str]) -> Iterator[Ask]:
        for kind in VARIANTS:
            chains = composer.chains(fact, kind)
            # A stand-in for a fact is not of the pool, and was never put to the original: it has the first chain.
            place = self._place(fact, kind) if fact.id in known else 0
            if not chains:
                yield prompted(fact, kind, None, composer.why_not(fact, kind))
            elif place is None or place >= len(chains):
                yield prompted(fact, kind, None, DROPPED)
            else:
                yield _ask(chains[place], kind)

    def _composer(self, pool: Sequence[Fact], prepared: Mapping[str, Json]) -> Composer:
        found = cast("Mapping[str, Any]", prepared)
        steps = [
            graphs.Step(head=head, relation=relation, tail=tail, question=question, origin=graphs.ELICITED)
            for head, relation, tail, question in found.get("steps", ())
        ]
        return Composer(pool, self.parameters.statements, elicited=steps, names=found.get("names"))

    def _limit(self, model: Model, pool: Sequence[Fact]) -> int:
        own = self.parameters
        return token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)


def _ask(chain: Chain, variant: str) -> Ask:
    return prompted(chain.asked, variant, Prompt(text=chain.asked.question or ""), None)
