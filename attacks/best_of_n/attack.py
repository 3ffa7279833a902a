"""Best-of-n: the same question in n random spellings; any answer counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, cast

from pydantic import Field, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import Access, Arm, Attack, AttackContext, Dose, Fact, Json, Model, Planting, Profile, Prompt

from ..shared.refusal_plant import refusal_planting
from ..shared.splits import half_passage
from .augmentation import ways_of

COUNTS = {Profile.QUICK: (1, 4), Profile.STANDARD: (1, 4), Profile.DEEP: (1, 4, 16)}
SIGMAS = {Profile.QUICK: (0.02,), Profile.STANDARD: (0.4, 0.02), Profile.DEEP: (0.4, 0.02)}


class BestOfNParameters(api.Parameters):
    """What the adversary may spend. None follows the profile."""

    counts: tuple[PositiveInt, ...] | None = Field(
        None, min_length=1, description="Doses, rising: number of spellings of each question."
    )
    temperature: float = Field(
        1.0, ge=0, description="Temperature at which each spelling's answer is drawn; 0: the likeliest answer."
    )
    sigmas: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None, min_length=1, description="Strengths of the augmentation, one arm each; the authors use 0.4."
    )

    @model_validator(mode="after")
    def _rising(self) -> BestOfNParameters:
        api.check_rising("counts", self.counts)
        if self.sigmas is not None and len(set(self.sigmas)) != len(self.sigmas):
            raise ValueError(f"sigmas: expected different values, got {self.sigmas}")
        return self


class BestOfN(Attack[BestOfNParameters]):
    """Asks every question in n random spellings; anything that any answer gives away counts.

    Words have their inner letters shuffled, letters change their case and characters become their neighbours, with
    probabilities set by one strength as in the authors' code (sigma 0.4: 0.6, 0.6 and 0.06). The spellings
    depend only on the seed and the question, so that every role is asked the same; dose n takes the first n of
    one list. The answers are read together, also for the controls: exposure over a fixed budget, as leak@k (2511.04934)
    measures it over samples.

    As with the authors, each spelling's answer is drawn once, at temperature 1; the noise is the same in every role.

    Where we depart: n is 4 or 16, where they go to 10,000; there is no judge and no stop at the first success; only
    their text augmentations, and no prefix before the question. A passage's beginning is augmented like a question.
    Names are misspelled like all words, and a small model does not know a misspelled name: besides the authors' sigma
    there is a milder one, 0.02, which changes one letter in seven and leaves most names intact.

    Profiles: `quick` asks in 1 and 4 ways with sigma 0.02; `standard` also with 0.4; `deep` in 16 as well, three times.
    """

    name: ClassVar[str] = "best-of-n"
    summary: ClassVar[str] = "Asks each question in n random spellings; counts anything that any answer gives away."
    paper: ClassVar[str] = "2412.03556"
    access: ClassVar[Access] = Access.PROMPTS
    dose_unit: ClassVar[str] = "tries"
    seeded: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = BestOfNParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm per strength. A dose of n ways costs n askings, and the plan counts it as n doses."""
        asked = sum(self._counts(context))
        return [
            Arm(
                name=f"sigma {sigma:g}",
                settings={"sigma": sigma},
                doses=asked,
                repeated=context.profile is Profile.DEEP,
            )
            for sigma in self.parameters.sigmas or SIGMAS[context.profile]
        ]

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model asked in the first n ways."""
        sigma = cast("float", arm.settings["sigma"])
        seed = api.derive_seed(context.seed, "spellings")
        for count in self._counts(context):
            ways = ways_of(count, sigma, seed=seed)
            yield Dose(
                label=f"best of {count}, sigma {sigma:g}",
                value=count,
                model=self._drawn(model.asked(*ways), context),
                proof={
                    "ways": count,
                    "temperature": self.parameters.temperature,
                    **_changed(context.forget, count, sigma, seed),
                },
            )

    def _drawn(self, asked: Model, context: AttackContext) -> Model:
        temperature = self.parameters.temperature
        if temperature == 0:
            return asked
        return asked.drawn(count=1, seed=api.derive_seed(context.seed, "draws"), temperature=temperature)

    def _counts(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.counts or COUNTS[context.profile]


def _changed(facts: Sequence[Fact], count: int, sigma: float, seed: int) -> dict[str, Json]:
    """How many spellings of the questions differ from the questions and from each other."""
    prompts = [Prompt(text=fact.question) if fact.question else half_passage(fact).prompt for fact in facts]
    ways = ways_of(count, sigma, seed=seed)
    spelt = [{way(prompt).text for way in ways} for prompt in prompts]
    return {
        "spellings": len(prompts) * count,
        "different_spellings": sum(len(texts) for texts in spelt),
        "unchanged_questions": sum(prompt.text in texts for prompt, texts in zip(prompts, spelt, strict=True)),
    }
