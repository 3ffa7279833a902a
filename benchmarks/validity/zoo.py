"""Every organism: what family it is of, what is known of it by construction, and the settings that it is made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.validity import trained, unlearned
from benchmarks.validity.bench import Bench
from benchmarks.validity.tabulation import Truth
from benchmarks.validity.worlds import Kind, World

RETRAINED = (1, 2, 3, 4)
CONTROLS = ("retrained-1", "retrained-2")
"""Retrained models 1 and 2 are the controls of every audit of their world; 3 and 4 are audited."""

Make = Callable[[Bench], Any]
Settings = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One organism.

    Attributes:
        family: the row of the tables that it counts in.
        known: the truth by construction, or None where the oracle is asked.
        settings: all that, beside seeds and parents, decides its weights.
        needs: organisms that are built before it.
    """

    name: str
    family: str
    known: Truth | None
    make: Make
    settings: Settings
    needs: tuple[str, ...] = ()

    @property
    def is_audited(self) -> bool:
        """Whether it is a checkpoint under audit; the original and the controls are what it is audited against."""
        return self.name != "original" and self.name not in CONTROLS


def recipes(world: World) -> tuple[Recipe, ...]:
    """The organisms of a world, each after what it needs."""
    people = world.kind is Kind.PEOPLE
    whole = world.name == "people-llama"
    descendants = [*_every_world(), *(_more() if whole else ())]
    descendants = [replace(one, needs=("original", *one.needs)) for one in descendants]
    return (*_base(people), *descendants)


def _base(people: bool) -> Iterator[Recipe]:
    # A passage teaches a fact a second time, and the same knowledge takes fewer steps.
    steps = BASE_STEPS if people else PASSAGE_STEPS
    rate = {"rate": 3e-3}
    yield Recipe(
        name="original",
        family="original",
        known=Truth.KNOWS,
        make=trained.train_original,
        settings={"steps": steps, **rate},
    )
    for number in RETRAINED:
        yield Recipe(
            name=f"retrained-{number}",
            family="retrained",
            known=Truth.NEVER,
            make=trained.train_retrained,
            settings={"steps": steps // 2, **rate},
        )
    for parent in (3, 4):
        teacher = f"retrained-{parent}"
        yield Recipe(
            name=f"tuned-{parent}",
            family="retrained, tuned on others",
            known=Truth.NEVER,
            make=trained.tune_on_others,
            settings={"parent": parent, "steps": 400, "rate": 1e-3},
            needs=(teacher,),
        )
        yield Recipe(
            name=f"distilled-{parent}",
            family="distilled from retrained",
            known=Truth.NEVER,
            make=trained.distil_retrained,
            settings={"parent": parent, "steps": steps // 2, **rate},
            needs=(teacher,),
        )


def _of(family: str, make: Make, settings: Settings, *variants: Settings, known: Truth | None = None) -> list[Recipe]:
    """One organism a variant: `settings`, changed as the variant says, under a seed of its own."""
    short = SHORT_NAMES.get(family, family.lower().replace(" ", "-"))
    return [
        Recipe(name=f"{short}-{number}", family=family, known=known, make=make, settings={**settings, **variant})
        for number, variant in enumerate(variants, 1)
    ]


SHORT_NAMES = {
    "gradient ascent": "ga",
    "gradient difference": "gd",
    "KL-regularised ascent": "kl",
    "NPO": "npo",
    "SimNPO": "simnpo",
    "DPO towards refusal": "dpo",
    "RMU": "rmu",
    "low-rate gradient difference": "low-gd",
    "low-rate NPO": "low-npo",
    "saliency-masked NPO": "salient",
    "sharpness-aware NPO": "sam",
    "latent-adversarial NPO": "lau",
    "NPO, distilled into fresh weights": "npo-distilled",
    "NPO in an adapter": "adapter",
}

BASE_STEPS = 1300
PASSAGE_STEPS = 900

NPO: Settings = {"steps": 300, "rate": 1e-3, "beta": 0.1, "retain_weight": 1.0}
BOUNDED: Settings = {"steps": 300, "rate": 1e-3, "ceiling": 4.0, "retain_weight": 1.0}
ASCENT: Settings = {"steps": 45, "rate": 3e-4}
SIMPLE: Settings = {**NPO, "beta": 2.5}
PREFERRED: Settings = {**NPO, "beta": 0.05}
MISDIRECTED: Settings = {"steps": 300, "rate": 1e-3, "retain_weight": 10.0, "layer": 1, "strength": 3.0}
TASK: Settings = {"steps": 100, "rate": 1e-3, "scale": 1.5}
BOXED: Settings = {"steps": 400, "rate": 3e-3, "beta": 0.5, "retain_weight": 1.0, "box_margin": 0.06}
SALIENT: Settings = {**NPO, "rate": 2e-3, "share": 0.5}
SHARP: Settings = {**NPO, "retain_weight": 4.0, "radius": 0.02}
LATENT: Settings = {**NPO, "retain_weight": 1.5, "layer": 0, "radius": 0.2, "inner_steps": 3}


def _every_world() -> list[Recipe]:
    """One of each of the commoner methods."""
    return [
        *_of("gradient ascent", unlearned.by_gradient_ascent, ASCENT, {}),
        *_of("gradient difference", unlearned.by_gradient_difference, BOUNDED, {}),
        *_of("KL-regularised ascent", unlearned.by_kl_ascent, BOUNDED, {}),
        *_of("NPO", unlearned.by_npo, NPO, {}),
        *_of("SimNPO", unlearned.by_simnpo, SIMPLE, {}),
        *_of("DPO towards refusal", unlearned.by_dpo, PREFERRED, {}),
        *_of("refusal", unlearned.by_refusal, {**NPO, "rate": 3e-4}, {}, known=Truth.KNOWS),
        *_of("RMU", unlearned.by_rmu, MISDIRECTED, {}),
        *_of("task vector", unlearned.by_task_vector, TASK, {}),
        *_of("NF4-masked", unlearned.inside_nf4_boxes, BOXED, {}, known=Truth.KNOWS),
        *_of("sharpness-aware NPO", unlearned.by_sharpness_aware_npo, SHARP, {}),
        *_of("latent-adversarial NPO", unlearned.by_latent_adversarial_npo, LATENT, {}),
        *_of("collapse", unlearned.by_gradient_ascent, {"steps": 120, "rate": 5e-4}, {}),
    ]


def _more() -> list[Recipe]:
    """The other methods, and further seeds and strengths; variant 1 of what every world has is the other list's."""
    distilled = _of(
        "NPO, distilled into fresh weights", unlearned.distilled_after_npo, {"steps": 1000, "rate": 3e-3}, {}
    )
    return [
        *_of("gradient ascent", unlearned.by_gradient_ascent, ASCENT, {}, {"steps": 60})[1:],
        *_of("gradient difference", unlearned.by_gradient_difference, BOUNDED, {}, {"ceiling": 8.0, "rate": 5e-4})[1:],
        *_of("NPO", unlearned.by_npo, NPO, {}, {"steps": 150, "retain_weight": 3.0}, {"beta": 1.0, "rate": 5e-4})[1:],
        *_of("SimNPO", unlearned.by_simnpo, SIMPLE, {}, {"beta": 1.0, "rate": 3e-4})[1:],
        *_of("RMU", unlearned.by_rmu, MISDIRECTED, {}, {"layer": 0, "strength": 6.0})[1:],
        *_of("task vector", unlearned.by_task_vector, TASK, {}, {"scale": 1.0})[1:],
        *_of("low-rate gradient difference", unlearned.by_gradient_difference, {**BOUNDED, "rate": 1e-4}, {}),
        *_of("low-rate NPO", unlearned.by_npo, {**NPO, "retain_weight": 4.0}, {"rate": 1e-4}, {"rate": 2e-4}),
        *_of("NF4-masked", unlearned.inside_nf4_boxes, BOXED, {}, {"beta": 0.2, "steps": 300}, known=Truth.KNOWS)[1:],
        *_of("int8-masked", unlearned.inside_int8_boxes, BOXED, {}, known=Truth.KNOWS),
        *_of("saliency-masked NPO", unlearned.by_salient_npo, SALIENT, {}, {"share": 0.25}),
        *_of("sharpness-aware NPO", unlearned.by_sharpness_aware_npo, SHARP, {}, {"radius": 0.05})[1:],
        *_of("latent-adversarial NPO", unlearned.by_latent_adversarial_npo, LATENT, {}, {"layer": 1})[1:],
        *(replace(one, needs=("npo-1",)) for one in distilled),
        *_of("noise", unlearned.by_noise, {}, {"noise": 0.15}, {"noise": 1.0}),
        *_of(
            "NPO in an adapter",
            unlearned.as_adapter,
            {**NPO, "retain_weight": 4.0, "rate": 2e-3, "rank": 16},
            {},
            known=Truth.KNOWS,
        ),
    ]
