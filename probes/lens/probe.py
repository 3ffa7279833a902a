"""Lens: layer by layer, do a model's hidden states hold the answer that its output may withhold?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from unlearn_audit.api import Access, Fact, Measure, Model, Parameters, Probe, Profile, Reading, ScoreKind
from unlearn_audit.api.kit.asking import NOT_A_NUMBER

from ..shared.choosing import Choice, ChoiceParameters, chooser_of, first_choice, weighted_mean
from ..shared.exposure import ANY, EXPOSURE

if TYPE_CHECKING:
    from .reading import LensReading

LOGIT = Measure(name="logit", kind=ScoreKind.SOFT)
LINEAR = Measure(name="linear", kind=ScoreKind.SOFT)
NO_STATES = "the part gives no states of its own"

Values = list[float]
"""One number for each option of a choice, the true answer's first."""


class LensParameters(ChoiceParameters):
    """Parameters of `lens`."""

    depths: PositiveInt = Field(8, description="Most blocks to read, evenly spread, including the last.")
    components: bool = Field(True, description="Also read what attention and MLP write, besides the residual stream.")
    minimum_subjects: int = Field(8, ge=2, description="Fewest other subjects to train a linear probe.")


class Lens(Probe[LensParameters]):
    """Reads the answer from the hidden states, against the options of `forced-choice`: other subjects' answers.

    - `logit`: the logit lens (nostalgebraist, 2020; described in 2303.08112, section 2). The state at each place where
      an answer token is predicted goes through the model's final norm and unembedding as if the model ended there; an
      option's score is the sum of its tokens' log-probabilities, teacher-forced. A variant for each place: `resid-3`
      is the residual stream after block 3 (the last one is the model's own output), `attn-3` and `mlp-3` what its
      parts write into it. The reading is the share of wrong options that are less likely than the truth, ties counted
      half: in [0, 1], 0.5 if nothing is known, on the same scale in all layers, whatever the lens does to all alike.
    - `linear`: the same share by a linear probe (1610.01644), for `resid-...`: ridge regression from the state at the
      last prompt token to the mean output embedding of the answer's tokens, both relative to their relation's mean.
      Two folds by subject: each fact is read by the probe of the other half, which was not trained on its
      subject, and even unique answers can be identified. Every model trains its own, on the same facts.
    - `exposure`: 1 if the logit lens puts the true answer strictly first at any place of the residual stream that is
      read; gates. Its twin score is the share of options, by their frequency, that are first at any of them: each
      place is one more chance to be first by luck, and the twins get as many.

    All three are relative to other answers, so refusing does not help, and none sees whether the model would say
    the answer. At most `depths` blocks are read, in every role the same.

    **Departures.** Terms that a model applies to its logits after the unembedding (a soft cap, a scale) are not part
    of the lens. Parts are read alone, through the norm of the stream that they write into.

    **Known failures.** The lens is blind to what a layer holds in its own basis, which the linear probe may see,
    and to knowledge that is assembled from parts after the last place that is read. A probe of a wide model on few
    subjects fits poorly: compare it with the original's. If an architecture shows no blocks, the residual stream
    is read from the states that it lists, and parts are missing with the reason.
    """

    name: ClassVar[str] = "lens"
    summary: ClassVar[str] = "Reads the answer from every layer with the logit lens and a linear probe."
    paper: ClassVar[str] = "2303.08112"
    access: ClassVar[Access] = Access.ACTIVATIONS
    measures: ClassVar[tuple[Measure, ...]] = (EXPOSURE, LOGIT, LINEAR)
    refusal_proof: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = LensParameters

    def observe(self, model: Model, facts: Sequence[Fact], pool: Sequence[Fact]) -> Iterator[Reading]:
        """One exposure a fact, a `logit` for each place, a `linear` for each place of the residual stream."""
        from .reading import LensReading

        chooser = chooser_of(self.parameters, tuple(pool))
        choices = [chooser.choice(fact) for fact in facts]
        lens = LensReading(model, most_depths=self.parameters.depths, components=self.parameters.components)
        found = lens.log_likelihoods([pair for choice in choices for pair in choice.pairs])
        choices = [
            choice if (why := lens.why_unread(choice.pairs)) is None else replace(choice, missing=why)
            for choice in choices
        ]
        for choice in choices:
            values = {place: [at[pair] for pair in choice.pairs if pair in at] for place, at in found.items()}
            yield _exposure(choice, [values[place] for place in lens.residual])
            for place in (*lens.residual, *lens.components):
                yield _shared(choice, LOGIT, place, values[place], lens.missing.get(place, NO_STATES))
        yield from self._linear(model, choices, pool, lens)

    def _linear(
        self, model: Model, choices: Sequence[Choice], pool: Sequence[Fact], lens: LensReading
    ) -> Iterator[Reading]:
        from ..shared.linear_probe import LinearProbes

        probes = LinearProbes(model, pool, depths=lens.depths, minimum_subjects=self.parameters.minimum_subjects)
        probes.prepare([choice.fact for choice in choices])
        for choice in choices:
            told = choice.missing or probes.alignments(choice.fact, choice.options)
            for number, place in enumerate(lens.residual):
                values, missing = ([], told) if isinstance(told, str) else (told[number], "")
                yield _shared(choice, LINEAR, place, values, missing)


def shares_below(values: Values) -> Values:
    """For each value the share of the others that are smaller, ties counted half."""
    return [
        sum(1.0 if other < value else 0.5 if other == value else 0.0 for at, other in enumerate(values) if at != place)
        / (len(values) - 1)
        for place, value in enumerate(values)
    ]


def first_anywhere(places: Sequence[Values]) -> Values:
    """1 for each option that is strictly first at any place, else 0."""
    return [max(hits) for hits in zip(*map(first_choice, places), strict=True)]


def _shared(choice: Choice, measure: Measure, place: str, values: Values, missing: str) -> Reading:
    """The share of options below the truth at one place, or why there is none."""
    missing = _why_missing(choice, [values], missing)
    return _reading(choice, measure, place, [] if missing else shares_below(values), missing)


def _exposure(choice: Choice, places: Sequence[Values]) -> Reading:
    read = [values for values in places if values]
    missing = _why_missing(choice, read, "")
    return _reading(choice, EXPOSURE, ANY, [] if missing else first_anywhere(read), missing)


def _why_missing(choice: Choice, places: Sequence[Values], missing: str) -> str:
    """Why a choice cannot be read; empty where it can."""
    if choice.missing is not None:
        return choice.missing
    if not all(places):
        return missing
    return NOT_A_NUMBER if any(math.isnan(value) for values in places for value in values) else ""


def _reading(choice: Choice, measure: Measure, variant: str, scores: Values, missing: str) -> Reading:
    twin_score = weighted_mean(scores, choice.weights) if scores and choice.weights is not None else None
    return Reading(
        fact_id=choice.fact.id,
        measure=measure.name,
        variant=variant,
        score=scores[0] if scores else None,
        twin_score=twin_score,
        missing=missing or None,
    )
