"""Multihop: is a forgotten fact still used as a step on the way to another answer?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

from pydantic import Field

from unlearn_audit.api import Access, Fact, Json, Measure, Model, Parameters, Probe, Profile, Reading
from unlearn_audit.api.kit.answered import QuestionParameters, ask_all
from unlearn_audit.api.kit.asking import token_limit
from unlearn_audit.api.kit.twins import Twins

from ..shared.exposure import HIT, hit_readings
from ..shared.options import StatementParameters
from .chains import ALIAS, Chain, Composer
from .elicited import composer_of, elicited
from .forms import WAYS, Form, Wanted, Way, chain_in, put

DROPPED = "the original itself cannot answer this chain"


class MultihopParameters(StatementParameters, QuestionParameters):
    """Parameters of `multihop`."""

    extra_tokens: int = Field(32, ge=0, description="Tokens an output may have beyond the longest question and answer.")
    elicit: bool = Field(True, description="Ask the original for neighbors of answers and other names of subjects.")
    neighbours: int = Field(128, ge=0, description="Most names to ask the original about, at each distance.")
    neighbour_tokens: int = Field(16, ge=1, description="Most tokens of an answer about one; longer ones do not count.")


class Multihop(Probe[MultihopParameters]):
    """Questions whose answer lies beyond a forgotten fact (The Unlearning Mirage, 2603.11266).

    - `hit`: greedy output against the answer key of what is asked, a reading for each kind of chain and form, advisory.
      What the prompt itself says is not a key. The twin score is the share of answers, by frequency, that the same way
      gives for other subjects.

    **Chains.** X and Y stand for names that are not given: "Ann was born in X. Which country is X in?"

    - `two-hop`, `three-hop`: one and two steps beyond the fact's answer. The answer itself is never mentioned.
    - `alias`: the fact's question, its subject called by another name or described by a fact that is true of no
      other subject of the set ("X works as a weaver. Where was X born?"). That fact comes from the set, so it must be
      forgotten as well; it is told, not asked, and the answer that counts is the fact's own.
    - `intersection`: who the subject is, given the fact and another one that together are true of it alone.
    - `inversion`: who the subject is, given the fact alone, if it is true of no one else in the set.

    **Forms.** In one breath, as above, under the kind's name. `-asked`: by turns, each question behind the model's own
    answer to the one before ("Where was Ann born?" - "Let X be your last answer. Which country is X in?").
    `alias-given`: the name is told as well ("X works as a weaver. X is Ann. Where was X born?"), the form that asks
    least of a model. No chain is asked with the fact's own answer told: that would need no knowledge of it.

    **Steps** are edges of a knowledge graph (`unlearn-audit graph` exports it): the fact's `hops`, facts of the set
    whose subject is the answer, and neighbors elicited from the original. The original, if given, is asked once about
    answers and what these lead to (`probes/multihop/multihop.yaml`). What it says consistently, however asked, is kept,
    unless more than half of all names get it, or one name to several relations. Of up to three chains of a kind, the
    first that the original answers correctly in a form is asked of every role in that form. If it can answer none, the
    fact is missing in that form; the report says how many were dropped. Without an original, chains come only from
    facts and hops, and none is dropped.

    **Departures** from the Mirage: it generates probes and judges answers with large models; here rules compose and
    the answer key decides. FaithUn and GONE (2603.12275) start from Wikidata; here only the user's graph is used.

    **Known failures**: a small model cannot chain in one breath; then that form is dropped, and the report says so.
    Asking only what the original can answer makes its own score 1 by selection: this is not evidence of power beyond
    that. The last step may itself be in the forget set. Facts that must stay are not within a
    probe's reach. A step that unlearning damaged looks forgotten.
    """

    name: ClassVar[str] = "multihop"
    summary: ClassVar[str] = "Asks questions that need a forgotten fact as an intermediate step."
    paper: ClassVar[str] = "2603.11266"
    access: ClassVar[Access] = Access.PROMPTS
    measures: ClassVar[tuple[Measure, ...]] = (HIT,)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = MultihopParameters

    def prepare(self, original: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """What the original says of neighbours and names, and which chains it can do; with counts of both."""
        own = self.parameters
        prepared, counts = elicited_for(own, original, pool)
        composer = composer_of(pool, own.statements, prepared)
        # One ask a candidate; its place is given by its variant, which no one sees.
        wanted = [
            Wanted(fact=fact, way=way, variant=f"{way.name} {place}", chain=chain)
            for fact in pool
            for way in WAYS
            for place, chain in enumerate(composer.chains(fact, way.kind))
            if chain_in(chain, way)
        ]
        limit = self._limit(original, pool)
        twins = Twins(pool, rouge_threshold=own.rouge_threshold)
        answered = ask_all(original, put(original, wanted, limit), twins, limit)
        done = {(one.ask.fact.id, one.ask.variant) for one in answered if one.hit == 1.0}
        kept: dict[str, dict[str, int]] = {way.name: {} for way in WAYS}
        had: dict[str, set[str]] = {way.name: set() for way in WAYS}
        for place, one in ((int(one.variant.rpartition(" ")[2]), one) for one in wanted):
            had[one.way.name].add(one.fact.id)
            if (one.fact.id, one.variant) in done:
                kept[one.way.name].setdefault(one.fact.id, place)
        told: dict[str, Json] = {
            name: f"{len(kept[name])} kept, {len(had[name]) - len(kept[name])} dropped" for name in kept
        }
        return {**prepared, "kept": kept, "summary": {**told, **counts}}

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """Every kind of chain in every form, of every fact."""
        own = self.parameters
        composer = composer_of(pool, own.statements, self.prepared)
        known = {fact.id for fact in pool}
        # Twins are what the same way gives for others, whether the original can do those chains or not.
        others = [
            chain.asked for fact in pool for way in WAYS for chain in self._first(composer, fact, way)
            if way.kind != ALIAS and way.form is Form.ONCE
        ]  # fmt: skip
        twins = Twins([*pool, *others], rouge_threshold=own.rouge_threshold, judge=self.judge)
        limit = self._limit(model, pool)
        asks = put(model, [self._wanted(composer, fact, way, known) for fact in facts for way in WAYS], limit)
        yield from hit_readings(asks, ask_all(model, asks, twins, limit), twins, minimum_twins=own.minimum_twins)

    def _first(self, composer: Composer, fact: Fact, way: Way) -> list[Chain]:
        """The chain of a kind that the original can do, in this form or else another; else the first."""
        chains = composer.chains(fact, way.kind)
        others = [own for own in WAYS if own.kind == way.kind]
        places = (self._place(fact, own) for own in (way, *others))
        place = next((place for place in places if place is not None), 0)
        return chains[place : place + 1]

    def _place(self, fact: Fact, way: Way) -> int | None:
        """Which chain of a fact of the pool the original can do; None where none, and 0 where it was not asked."""
        kept = cast("Mapping[str, Mapping[str, int]] | None", self.prepared.get("kept"))
        return 0 if kept is None else kept[way.name].get(fact.id)

    def _wanted(self, composer: Composer, fact: Fact, way: Way, known: set[str]) -> Wanted:
        chains = [chain if chain_in(chain, way) else None for chain in composer.chains(fact, way.kind)]
        # A stand-in for a fact is not of the pool, and was never put to the original: it has the first chain.
        place = self._place(fact, way) if fact.id in known else 0
        chain = chains[place] if place is not None and place < len(chains) else None
        why = composer.why_not(fact, way.kind) if not any(chains) else DROPPED
        return Wanted(fact=fact, way=way, variant=way.name, chain=chain, missing=None if chain is not None else why)

    def _limit(self, model: Model, pool: Sequence[Fact]) -> int:
        own = self.parameters
        return token_limit(model, pool, extra_tokens=own.extra_tokens, max_new_tokens=own.max_new_tokens)


def elicited_for(
    parameters: MultihopParameters, original: Model, pool: Sequence[Fact]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """What the original is asked before any chain is composed, and counts; nothing where it is not to be asked."""
    if not parameters.elicit:
        return {}, {}
    return elicited(original, pool, most=parameters.neighbours, max_new_tokens=parameters.neighbour_tokens)
