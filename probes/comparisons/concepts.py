"""Concepts: are the value vectors that wrote an answer in the original still there, and do they still write it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from unlearn_audit.api import (
    Access,
    Compared,
    Comparison,
    ComparisonContext,
    Fact,
    FactSet,
    Features,
    GroupEstimate,
    GroupReading,
    Model,
    Parameters,
    Profile,
    Rendered,
    Role,
    mean_estimate,
)
from unlearn_audit.api.kit.answer_key import normalize
from unlearn_audit.api.kit.asking import is_askable

from .tools.by_subject import means_by, sampled
from .tools.reading import UNREAD, read_by, spread
from .unlearning_depth import FACTS, entity_of

FloatArray = npt.NDArray[np.float64]
PLACES, VECTORS, OWN, OTHERS, SIZES = "places", "vectors", "without own", "without others", "sizes"
NO_PAIRS = "no two subjects have different answers to one relation"
UNLIKE = "the checkpoint's MLPs are of another number or size than the original's"
TIE = 1e-6
"""Difference of log-probabilities, in nats, below which neither ablation cost more."""


class ConceptsParameters(Parameters):
    """Parameters of `concepts`. None follows the profile."""

    facts: PositiveInt | None = Field(None, description="Most facts to examine; 48, 96 or 256 by profile.")
    vectors: PositiveInt = Field(8, description="Value vectors per fact.")


class Concepts(Comparison[ConceptsParameters]):
    """Finds where MLPs of the original write an answer, and examines the same places in the others (2406.11614).

    A value vector is a column of the last matrix of an MLP; projected to the vocabulary it shows what it writes. The
    vectors of a fact are those that write most of its answer in the original: coefficient times projection on the
    answer's tokens (relative to the mean token, final norm's gain folded in), summed over the places where these are
    predicted, over all blocks.

    - `effect`, the causal check: the share of facts whose answer loses more when the coefficients of its own vectors
      are set to 0 than when those of another subject's fact of the same relation are, ties counted half. 0.5 if
      these places have nothing to do with the fact. The original's shows that the places matter at all; the
      checkpoint's, whether they still do. In [0, 1], higher = more is left. The null is the controls' own.
    - `similarity`: the mean cosine of the vectors with those at the same places of the original. Informational: models
      that were tuned from one start are similar whatever they know.

    Intervals assume independent subjects and hold for any distribution. Facts whose question and answer are longer than
    what one of the models reads are left out.

    **Departures.** The authors find vectors of broad concepts by their projection alone, judged by a language model,
    and check them by adding noise; we use facts, count the coefficient, and set it to 0. Only vectors of MLPs
    that end with a plain matrix can be read: no mixture of experts, no packed weights.

    **Known failure.** A vector that writes a city in general is also one of the fact's own, and removing it costs the
    city in a model that shares the original's base and never knew the fact. So there is no null without a control,
    and a control that was trained from scratch, whose places mean nothing, is a lenient one.
    """

    name: ClassVar[str] = "concepts"
    summary: ClassVar[str] = "Removes the value vectors that wrote an answer in the original and measures the cost."
    paper: ClassVar[str] = "2406.11614"
    access: ClassVar[Access] = Access.WEIGHTS
    roles: ClassVar[tuple[Role, ...]] = (Role.ORIGINAL, Role.UNLEARNED)
    crosses: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = ConceptsParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """`places`: block and column of each fact's vectors in this model; `sizes`: of its MLPs, block by block.

        Places are NaN for facts that are not read.
        """
        from .tools.value_vectors import value_vectors_of, writers

        rows = self._rows(model, context)
        read = read_by(model, rows)
        if not rows:
            return {}
        with model.merged() as whole:
            found = value_vectors_of(whole)
            places = np.full((len(rows), self.parameters.vectors, 2), np.nan)
            if read.any():
                places[read] = writers(whole, found, list(compress(rows, read)), self.parameters.vectors)
            return {PLACES: places, SIZES: found.sizes}

    def cross(
        self, model: Model, own: Features, others: Mapping[str, Features], context: ComparisonContext
    ) -> Features:
        """At the original's places: the vectors, and mean log p of each answer without own and without others'."""
        from .tools.value_vectors import log_probs_without, value_vectors_of

        rows, partners = self._rows(model, context), self._partners(context)
        if not rows:
            return {}
        original = others.get(Role.ORIGINAL, own)  # where it is not another, it is this
        places = np.asarray(original[PLACES], dtype=np.float64)
        placed = np.all(np.isfinite(places).reshape(len(rows), -1), axis=1)
        read = placed & placed[partners] & read_by(model, rows)
        with model.merged() as whole:
            found = value_vectors_of(whole)
            if not np.array_equal(found.sizes, original[SIZES]):
                return {}
            if not read.any():
                return {OWN: np.full(len(rows), np.nan), OTHERS: np.full(len(rows), np.nan)}
            own_places, other_places = (some[read].astype(np.int64) for some in (places, places[partners]))
            asked = list(compress(rows, read))
            return {
                VECTORS: spread(found.at(own_places).astype(np.float64), read).astype(np.float16),
                OWN: spread(log_probs_without(whole, found, asked, own_places), read),
                OTHERS: spread(log_probs_without(whole, found, asked, other_places), read),
            }

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """`effect` of the original, the controls and the checkpoint; `similarity` of all but the original."""
        original = next(model for model in models if model.role is Role.ORIGINAL)
        controls = [self._effect(model, context) for model in models if model.role is Role.RETRAINED]
        known = [control for control in controls if control is not None]
        for model in models:
            between = (model.name,) if model is original else (model.name, original.name)
            found = self._effect(model, context)
            if found is None:
                why = NO_PAIRS if not self._facts(context) else UNREAD if OWN in model.features else UNLIKE
                yield GroupReading(measure="effect", variant="", between=between, missing=why)
                continue
            null = (min(one.lower for one in known), max(one.upper for one in known)) if known else None
            judged = model.role is Role.UNLEARNED and null is not None
            yield GroupReading(
                measure="effect",
                variant="",
                between=between,
                estimate=found.estimate,
                lower=found.lower,
                upper=found.upper,
                null=null if judged else None,
                null_from="the controls' own" if judged else "",
                p_value=found.p_value,
                size=found.members,
            )
            if model is not original and VECTORS in original.features:
                yield self._similarity(model, original, context)

    def _effect(self, model: Compared, context: ComparisonContext) -> GroupEstimate | None:
        if OWN not in model.features:
            return None
        loss = np.asarray(model.features[OTHERS], dtype=np.float64) - np.asarray(model.features[OWN], dtype=np.float64)
        return self._by_subject(effects(loss), 0.5, context)

    def _similarity(self, model: Compared, original: Compared, context: ComparisonContext) -> GroupReading:
        alike = cosines(*(np.asarray(one.features[VECTORS], dtype=np.float64) for one in (model, original)))
        found = self._by_subject(alike.mean(axis=1).clip(0.0, 1.0), 1.0, context)
        between = (model.name, original.name)
        if found is None:
            return GroupReading(measure="similarity", variant="", between=between, missing=UNREAD)
        return GroupReading(
            measure="similarity",
            variant="",
            between=between,
            estimate=found.estimate,
            lower=found.lower,
            upper=found.upper,
            size=found.members,
        )

    def _by_subject(self, values: FloatArray, null: float, context: ComparisonContext) -> GroupEstimate | None:
        read = ~np.isnan(values)
        if not read.any():
            return None
        means = means_by((fact.subject for fact in compress(self._facts(context), read)), values[read].tolist())
        return mean_estimate(np.array(list(means.values())), null=null, alpha=context.alpha, seed=context.seed)

    def _rows(self, model: Model, context: ComparisonContext) -> list[Rendered]:
        return [model.render(*entity_of(fact)) for fact in self._facts(context)]

    def _facts(self, context: ComparisonContext) -> list[Fact]:
        """Facts that have a partner, drawn evenly at random."""
        facts = [fact for fact in context.of(FactSet.FORGET) if is_askable(fact)]
        drawn = sampled(facts, self.parameters.facts or FACTS[context.profile], context.seed)
        return [fact for place, fact in enumerate(drawn) if partner_of(place, drawn) is not None]

    def _partners(self, context: ComparisonContext) -> list[int]:
        facts = self._facts(context)
        found = [partner_of(place, facts) for place in range(len(facts))]
        return [place for place in found if place is not None]


def partner_of(place: int, facts: Sequence[Fact]) -> int | None:
    """The next fact of the same relation with another subject and another answer, in a ring; None where there is none.

    Having a partner goes both ways, so that leaving out facts without one leaves no other fact without.
    """
    own = facts[place]
    for other in (step % len(facts) for step in range(place + 1, place + len(facts))):
        fact = facts[other]
        same = fact.subject == own.subject or normalize(fact.answer or "") == normalize(own.answer or "")
        if fact.relation == own.relation and not same:
            return other
    return None


def effects(loss: FloatArray) -> FloatArray:
    """1 where taking out its own vectors cost an answer more than another's, 0 where less, 0.5 where the same.

    Args:
        loss: log p without the other's vectors less log p without its own, in nats; NaN stays.
    """
    found = np.where(np.abs(loss) <= TIE, 0.5, (loss > 0).astype(np.float64))
    return np.where(np.isnan(loss), np.nan, found)


def cosines(one: FloatArray, other: FloatArray) -> FloatArray:
    """Of vectors along the last axis; 0 where one has no length."""
    size = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    found: FloatArray = (one * other).sum(axis=-1) / np.where(size > 0, size, 1.0)
    return found
