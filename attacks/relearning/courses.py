"""Which trainings relearning is made of: data x method x rank x variant x rate, each over its folds and steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

from unlearn_audit.api import AttackContext, AuditError, Json, OutOfReach, Profile

from ..shared import memory
from ..shared.splits import lessons_of
from .data import Data
from .parameters import (
    BATCH_SIZE,
    BENIGN_LOOKS,
    BENIGN_METHODS,
    DATA,
    DOUBLINGS,
    EPOCHS,
    FEWEST_STEPS,
    GRID,
    METHODS,
    MOST_LESSONS,
    QUICK_GRID,
    RANKS,
    RATES_ARE_DOSES,
    SURVIVORS,
    VARIANTS,
    Method,
    RelearningParameters,
    Variant,
)

LEAST_TOKENS, TEMPLATE_TOKENS, CHARACTERS_A_TOKEN = 256, 32, 3
"""What a text comes to in tokens, before there is a tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One training, run alike on every role.

    Attributes:
        rank: of the LoRA update; None for full fine-tuning.
        rate: its learning rate; None where it chooses the one at which it learns its own lessons best.
        fold: which facts are scored; None where nothing of the forget set is trained on, and all are.
        steps: where it is measured; the same training whatever they are.
        frugal: all weights are trained with little memory.
    """

    data: Data
    method: Method
    rank: int | None
    variant: Variant = Variant.PLAIN
    rate: float | None
    fold: int | None
    steps: tuple[int, ...]
    frugal: bool = False

    @property
    def prefix(self) -> str:
        """How its doses are labelled: `lora r16`, `lora r16 lr 1e-03`, `lora r16 sgd`, `same-syntax full`."""
        variant = [] if self.variant is Variant.PLAIN else [self.variant.value]
        rate = [] if self.rate is None else [f"lr {rate_label(self.rate)}"]
        return " ".join([self.family, *variant, *rate])

    @property
    def family(self) -> str:
        """Data and method: the first words of the names of all arms that fall away together."""
        method = self.method.value if self.rank is None else f"{self.method} r{self.rank}"
        return method if self.data is Data.IN_DOMAIN else f"{self.data} {method}"

    @property
    def name(self) -> str:
        """Of its arm."""
        return self.prefix + ("" if self.fold is None else f" fold{self.fold}")

    @property
    def main(self) -> bool:
        """Whether it is what relearning stands for: plain training on the forget set."""
        return self.data is Data.IN_DOMAIN and self.variant is Variant.PLAIN

    @property
    def settings(self) -> Mapping[str, Json]:
        """What `from_settings` makes it from."""
        return {
            "data": self.data.value,
            "method": self.method.value,
            "rank": self.rank,
            "variant": self.variant.value,
            "rate": self.rate,
            "fold": self.fold,
            "steps": list(self.steps),
            **({"frugal": True} if self.frugal else {}),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Json]) -> Course:
        """The course of an arm."""
        return cls(
            data=Data(str(settings["data"])),
            method=Method(str(settings["method"])),
            rank=cast("int | None", settings["rank"]),
            variant=Variant(str(settings["variant"])),
            rate=cast("float | None", settings["rate"]),
            fold=cast("int | None", settings["fold"]),
            steps=tuple(cast("list[int]", settings["steps"])),
            frugal=settings.get("frugal") is True,
        )


@dataclass(frozen=True, kw_only=True)
class Syllabus:
    """What the parameters and the profile come to; `frugal` as in `Course`."""

    parameters: RelearningParameters
    context: AttackContext
    frugal: bool = False

    @property
    def data(self) -> tuple[Data, ...]:
        """Kinds of data that can be had.

        Raises:
            AuditError: a kind was asked for that cannot be made, or was given texts and is not run.
        """
        asked = self._asked
        if unused := sorted(set(self.parameters.texts) - set(asked)):
            raise AuditError(
                f"relearning: texts for {unused}, which the profile {self.context.profile} does not train on; name it "
                f"in `data`"
            )
        missing = self._missing
        if missing and self.parameters.data is not None:
            raise AuditError(
                f"relearning: {missing[0]} needs retain facts, but there are none; give a retain set, or texts "
                f"of your own (`texts: {{{missing[0]}: FILE}}`)"
            )
        return tuple(kind for kind in asked if kind not in missing)

    @property
    def methods(self) -> tuple[Method, ...]:
        """What is trained.

        Raises:
            AuditError: rates are given for a method that is not run.
        """
        named = {*self.parameters.learning_rates, *self.parameters.candidates}
        methods = self.parameters.methods or METHODS[self.context.profile]
        if unused := named - set(methods):
            raise AuditError(
                f"relearning: rates for {sorted(unused)}, which the profile {self.context.profile} does not run; "
                f"name it in `methods`"
            )
        return methods

    @property
    def steps(self) -> tuple[int, ...]:
        """Where a training on the forget set is measured; the last is every training's length.

        By default doublings up to so many steps that each lesson is read twenty times, and at least the profile's;
        but for `quick` also step 0, which is asked under `as-is` as well.
        """
        if self.parameters.steps is not None:
            return self.parameters.steps
        profile = self.context.profile
        halves = 2 ** (DOUBLINGS[profile] - 1)
        enough = max(FEWEST_STEPS[profile], EPOCHS * self.in_domain_lessons / self.batch_size)
        first = math.ceil(enough / halves)
        begun = () if profile is Profile.QUICK else (0,)
        return (*begun, *(first << place for place in range(DOUBLINGS[profile])))

    def ranks(self, method: Method) -> tuple[int | None, ...]:
        """Ranks of the update; None where there is no adapter."""
        if method is Method.FULL:
            return (None,)
        return self.parameters.ranks or RANKS[self.context.profile]

    def rates(self, data: Data, method: Method, rank: int | None, variant: Variant) -> tuple[float | None, ...]:
        """Learning rates that are doses; None for one that the training chooses itself."""
        if given := self.parameters.learning_rates.get(method):
            return given
        if (
            data is Data.IN_DOMAIN
            and variant is Variant.PLAIN
            and rank == _middle(self.ranks(method))
            and RATES_ARE_DOSES[self.context.profile]
            and method not in self.parameters.candidates
        ):
            return GRID[method]
        return (None,)

    def candidates(self, method: Method) -> tuple[float, ...]:
        """Rates from which a training chooses."""
        usual = QUICK_GRID if self.context.profile is Profile.QUICK else GRID
        return self.parameters.candidates.get(method, usual[method])

    def steps_taken(self, course: Course) -> int:
        """Steps of a training and of all rates that race in it, where one answers its lessons by the first look."""
        looks = [step for step in self.steps if step > 0]
        length = looks[-1] if looks else 0
        racing = 1 if course.rate is not None else len(self.candidates(course.method))
        if racing == 1:
            return length
        if course.method is Method.FULL:
            return length + racing * looks[len(looks) // 2]
        taken, before = 0, 0
        for step in looks:
            taken += racing * (step - before)
            racing, before = math.ceil(racing / SURVIVORS), step
        return taken

    @property
    def variants(self) -> tuple[Variant, ...]:
        """How in-domain trainings differ.

        Raises:
            AuditError: a variant was asked for that cannot be run.
        """
        if self.parameters.variants is None:
            without = () if self.context.retain else (Variant.RETAIN_MIX,)
            return tuple(one for one in VARIANTS[self.context.profile] if one not in without)
        if Variant.RETAIN_MIX in self.parameters.variants and not self.context.retain:
            raise AuditError("relearning: the variant retain-mix needs retain facts, but there are none; give a set")
        if self.parameters.variants == (Variant.ATTENTION_ONLY,) and Method.LORA not in self.methods:
            raise AuditError("relearning: the variant attention-only is one of lora; add lora to `methods`")
        return self.parameters.variants

    @property
    def in_domain_lessons(self) -> int:
        """How many lessons a training on the forget set has, and any other at most."""
        folds = self.parameters.folds
        there = max(1, sum(len(lessons_of(fact)) for fact in self.context.forget) * (folds - 1) // folds)
        return min(there, self.parameters.most_lessons or MOST_LESSONS[self.context.profile])

    @property
    def batch_size(self) -> int:
        """Texts per optimizer step."""
        return self.parameters.batch_size or BATCH_SIZE[self.context.profile]

    @property
    def largest_batch(self) -> memory.Batch:
        """By the longest text of the facts, or of the user's own; the package's are below the least."""
        facts = chain(self.context.forget, self.context.retain)
        told = (" ".join(filter(None, (fact.question, fact.answer, fact.text))) for fact in facts)
        own = (text.lesson.text for texts in self.parameters.texts.values() for text in texts)
        longest = max((len(text) for text in chain(told, own)), default=0)
        tokens = max(LEAST_TOKENS, TEMPLATE_TOKENS + longest // CHARACTERS_A_TOKEN)
        return memory.Batch(texts=self.batch_size, tokens=tokens)

    def courses(self) -> list[Course]:
        """All trainings; the un-attacked model (step 0) is a dose of the first alone."""
        found: list[Course] = []
        first: Course | None = None
        for course in self._all():
            first = first or replace(course, fold=None)
            steps = course.steps
            if 0 in self.steps and replace(course, fold=None) == first:
                steps = (0, *steps)
            if steps:
                found.append(replace(course, steps=steps))
        return found

    def left_out(self) -> list[OutOfReach]:
        """What the profile has no room for, or the retain set nothing for, unless it was asked for by name."""
        profile = self.context.profile
        gaps = []
        if self.parameters.methods is None and Method.FULL not in self.methods:
            gaps.append(OutOfReach(what="full", why=f"full fine-tuning is not part of the profile {profile}"))
        if self.parameters.data is None:
            if others := [kind.value for kind in Data if kind not in self._asked]:
                gaps.append(OutOfReach(what=", ".join(others), why=f"not part of the profile {profile}"))
            gaps += [OutOfReach(what=kind.value, why="needs retain facts; none given") for kind in self._missing]
        if self.parameters.variants is None:
            others = [one.value for one in Variant if one not in self.variants]
            gaps += [OutOfReach(what=name, why=self._why_not(name)) for name in others]
        return gaps

    def _why_not(self, variant: str) -> str:
        if Variant(variant) in VARIANTS[self.context.profile]:
            return "needs retain facts; none given"
        return f"not part of the profile {self.context.profile}"

    @property
    def _asked(self) -> tuple[Data, ...]:
        return self.parameters.data or DATA[self.context.profile]

    @property
    def _missing(self) -> list[Data]:
        if self.context.retain:
            return []
        return [kind for kind in self._asked if kind.needs_retain and kind not in self.parameters.texts]

    def _all(self) -> Iterator[Course]:
        trained = tuple(step for step in self.steps if step > 0)
        for data in self.data:
            benign = data is not Data.IN_DOMAIN
            folds = (None,) if benign else tuple(range(self.parameters.folds))
            steps = trained[-BENIGN_LOOKS[self.context.profile] :] if benign else trained
            for method, rank, variant in self._ways(benign=benign):
                for rate in self.rates(data, method, rank, variant):
                    for fold in folds:
                        yield Course(
                            data=data,
                            method=method,
                            rank=rank,
                            variant=variant,
                            rate=rate,
                            fold=fold,
                            steps=steps,
                            frugal=self.frugal and method is Method.FULL,
                        )

    def _ways(self, *, benign: bool) -> Iterator[tuple[Method, int | None, Variant]]:
        """What is trained, and how: every rank plainly, and the middle one in each variant; on benign text it alone."""
        few = benign and self.parameters.methods is None
        for method in self.methods[: BENIGN_METHODS[self.context.profile]] if few else self.methods:
            ranks = self.ranks(method)
            for variant in (Variant.PLAIN,) if benign else self.variants:
                if variant is Variant.ATTENTION_ONLY and method is not Method.LORA:
                    continue
                for rank in ranks if variant is Variant.PLAIN and not benign else (_middle(ranks),):
                    yield method, rank, variant


def _middle(ranks: tuple[int | None, ...]) -> int | None:
    return ranks[len(ranks) // 2]


def rate_label(rate: float) -> str:
    """A learning rate as it stands in a label: `1e-03`, `2.5e-04`; different rates never look alike."""
    mantissa, exponent = f"{rate:.12e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
