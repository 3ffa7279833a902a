"""Decoding: reads more from a model than its likeliest answer, without changing a word of the question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import ClassVar

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import Access, Arm, Attack, AttackContext, Dose, Model, Planting, Profile

from .shared.refusal_plant import refusal_planting

COUNTS = {Profile.QUICK: (4,), Profile.STANDARD: (4,), Profile.DEEP: (4, 16)}


class Way(StrEnum):
    """How answers are decoded: drawn several times, or without an end."""

    DRAWS = "draws"
    NO_END = "no-end"


class DecodingParameters(api.Parameters):
    """What the adversary may spend. None follows the profile."""

    ways: tuple[Way, ...] = Field(
        tuple(Way), min_length=1, description="`draws` (several answers at a temperature), `no-end` (read on)."
    )
    counts: tuple[PositiveInt, ...] | None = Field(
        None, min_length=1, description="Doses of `draws`, rising: answers to each question."
    )
    temperature: PositiveFloat = Field(1.0, description="Temperature of the draws.")

    @model_validator(mode="after")
    def _rising(self) -> DecodingParameters:
        api.check_rising("counts", self.counts)
        if len(set(self.ways)) != len(self.ways):
            raise ValueError(f"ways: expected different ones, got {self.ways}")
        return self


class Decoding(Attack[DecodingParameters]):
    """Draws several answers, or keeps a model from ending its answer, and looks for the fact in all that it says.

    Arm `draws`: n answers from the model's own distribution (2310.06987 finds that another temperature alone breaks
    alignment); they are read together, so that any of them counts, as in leak@k (2511.04934). The noise depends on seed
    and prompt alone, the same in every role; dose n takes the first n of one list. Arm `no-end`: an answer may not end
    (`min_tokens`, or a bias on the end, which APIs offer), so that a model that refuses briefly must say more; it
    is read up to the probe's limit, and is whole there.

    The probe `sampling` measures draws from the un-attacked model, with bounds. As an attack they can follow another
    (`relearning+decoding`). Thinking is suppressed by the probe `thinking`, and by `prefill`, which closes a thought.

    Where we depart: the authors of 2310.06987 search temperature, top-k and top-p for each prompt with a scorer; ours
    is one temperature, and the key decides. Likelihoods do not change: `forced-choice` reads what it reads un-attacked.

    Blind to: what a model does not say at all; `no-end` to a model that goes on in circles. Of the bundled refusal
    neither brought anything back. Guesses add up: of many draws a control shows some, too.

    In `deep` alone, which draws 4 and 16 answers; a draw costs what asking costs.
    """

    name: ClassVar[str] = "decoding"
    summary: ClassVar[str] = "Draws several answers, or forbids an answer to end, and reads all of it."
    paper: ClassVar[str] = "2310.06987"
    access: ClassVar[Access] = Access.PROMPTS
    dose_unit: ClassVar[str] = "answers drawn"
    seeded: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = DecodingParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a way. A dose of n draws costs n askings, and the plan counts it as n doses."""
        cost = {Way.DRAWS: sum(self._counts(context.profile)), Way.NO_END: 1}
        return [
            Arm(name=way.value, settings={"way": way.value}, doses=cost[way])
            for way in Way
            if way in self.parameters.ways
        ]

    def sparingly(self, profile: Profile) -> Decoding:
        """A few draws, and no end."""
        return Decoding(DecodingParameters(counts=COUNTS[Profile.QUICK]))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model decoded otherwise."""
        if Way(str(arm.settings["way"])) is Way.NO_END:
            yield Dose(label="no end", value=None, model=model.unending(), proof={"ends": False})
            return
        seed, temperature = api.derive_seed(context.seed, "draws"), self.parameters.temperature
        for count in self._counts(context.profile):
            yield Dose(
                label=f"{count} draws at {temperature:g}",
                value=count,
                model=model.drawn(count=count, seed=seed, temperature=temperature),
                proof={"draws": count, "temperature": temperature},
            )

    def _counts(self, profile: Profile) -> tuple[int, ...]:
        return self.parameters.counts or COUNTS[profile]
