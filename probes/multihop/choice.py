"""Multihop by choice: does a model that says nothing at the end of a chain still prefer the right end?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from unlearn_audit.api import Access, Fact, Json, Measure, Model, Parameters, Probe, Profile, Reading
from unlearn_audit.api.kit.asking import score_all

from ..shared.ballots import Ballot, by_likelihood, chosen, narrowed, shortened
from ..shared.choosing import ChoiceParameters, Chooser, chooser_of
from ..shared.options import CHOICE, choice_reading
from .chains import ALIAS, Composer
from .elicited import composer_of
from .forms import WAYS, Form, Way
from .probe import MultihopParameters, elicited_for

_WAYS = tuple(way for way in WAYS if way.form is not Form.ASKED)


class MultihopChoice(Probe[MultihopParameters]):
    """The chains of `multihop` as a choice, which asks less of a small model than saying the answer.

    - `choice`: probability of the chain's answer among `options` that the same kind of chain has for others, by summed
      log-likelihood after the question, chance taken off: 0 at chance and below. Advisory. The twin score is the mean
      of what the options score, by their frequency.

    The first chain of each kind in one breath, and `alias-given` (see `multihop`). None is dropped: what the original
    scores says whether the kind has power on it.

    **Known failures**: subtracting chance cuts off at 0, so a guesser scores a little above 0, in every role. An answer
    that many chains of the set share is rarely offered. A forgetting that lowers all answers alike keeps their order.
    """

    name: ClassVar[str] = "multihop-choice"
    summary: ClassVar[str] = "Lets the model choose among the answers of chains through a forgotten fact."
    paper: ClassVar[str] = "2603.11266"
    access: ClassVar[Access] = Access.LOGITS
    measures: ClassVar[tuple[Measure, ...]] = (CHOICE,)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = MultihopParameters

    def prepare(self, original: Model, pool: Sequence[Fact]) -> Mapping[str, Json]:
        """What the original says of neighbours and names, with counts."""
        prepared, counts = elicited_for(self.parameters, original, pool)
        return {**prepared, "summary": counts} if counts else prepared

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """A choice for each kind of chain, of every fact."""
        composer = composer_of(pool, self.parameters.statements, self.prepared)
        choosers = {way: self._chooser(composer, pool, way) for way in _WAYS}
        ballots = [self._ballot(composer, choosers[way], fact, way) for fact in facts for way in _WAYS]
        scores = score_all(model, [pair for ballot in ballots for pair in ballot.pairs])
        yield from (choice_reading(chosen(ballot, scores)) for ballot in ballots)

    def _chooser(self, composer: Composer, pool: Sequence[Fact], way: Way) -> Chooser:
        """Draws from what the same kind of chain leads to for others; an alias leads to the pool's own answers."""
        own = self.parameters
        drawn = ChoiceParameters(
            options=max(own.options, own.minimum_twins + 1),
            minimum_twins=own.minimum_twins,
            rouge_threshold=own.rouge_threshold,
        )
        ends = [chain.asked for fact in pool for chain in composer.chains(fact, way.kind)[:1]]
        return chooser_of(drawn, tuple(shortened(fact) for fact in (pool if way.kind == ALIAS else ends)))

    def _ballot(self, composer: Composer, chooser: Chooser, fact: Fact, way: Way) -> Ballot:
        chain = next(iter(composer.chains(fact, way.kind)), None)
        asked = None if chain is None else chain.given_fact if way.form is Form.GIVEN else chain.asked
        if asked is None:
            return Ballot(fact=fact, variant=way.name, missing=composer.why_not(fact, way.kind))
        return by_likelihood(narrowed(chooser.choice(shortened(asked)), self.parameters.options), way.name)
