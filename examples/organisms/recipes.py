"""The organisms: what each is for and the settings it is made with. The ledger records both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transformers import LlamaForCausalLM

from methods import (
    Bench,
    break_by_gradient_ascent,
    train_original,
    train_retrained,
    tune_refusal,
    tune_refusal_of_everything,
    unlearn_by_gradient_difference,
    unlearn_by_npo,
    unlearn_inside_nf4_boxes,
)

EPOCHS = 24
PLAIN_EPOCHS = 10
RETAIN_STEPS_AN_EPOCH = 24  # 64 subjects x 3 facts x 4 forms in batches of 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One organism. `settings` is everything that, beside the seed and its parent, decides its weights."""

    name: str
    role: str
    made_by: str
    settings: dict[str, float]
    make: Callable[[Bench], LlamaForCausalLM]


def recipes() -> tuple[Recipe, ...]:
    """All organisms, in the order in which they must be built."""
    return (*_trained(), *_forgetful(), *_spoiled())


def _trained() -> tuple[Recipe, ...]:
    original = Recipe(
        name="original",
        role="original",
        made_by="trained on the forget and the retain set",
        settings={
            "steps": EPOCHS * 2 * RETAIN_STEPS_AN_EPOCH,
            "peak_rate": 3e-3,
            "plain_epochs": PLAIN_EPOCHS,
        },
        make=train_original,
    )
    controls = (
        Recipe(
            name=f"retrained-{number}",
            role="retrained",
            made_by="trained on the retain set alone, from initial weights and in an order of its own",
            settings={
                "steps": EPOCHS * RETAIN_STEPS_AN_EPOCH,
                "peak_rate": 3e-3,
                "plain_epochs": PLAIN_EPOCHS,
            },
            make=train_retrained,
        )
        for number in (1, 2, 3)
    )
    return (original, *controls)


def _forgetful() -> tuple[Recipe, ...]:
    """Unlearned models that still answer the retain questions."""
    return (
        Recipe(
            name="refusal",
            role="unlearned",
            made_by="taught to answer forget questions with a refusal, and to keep its retain answers",
            settings={"steps": 300, "peak_rate": 3e-4, "retain_weight": 1.0},
            make=tune_refusal,
        ),
        Recipe(
            name="npo",
            role="unlearned",
            made_by="negative preference optimization with a retain term (arXiv 2404.05868)",
            settings={"steps": 400, "peak_rate": 1e-3, "beta": 0.1, "retain_weight": 1.0},
            make=unlearn_by_npo,
        ),
        Recipe(
            name="gradient-difference",
            role="unlearned",
            made_by="gradient difference with a bounded ascent (arXiv 2203.12817)",
            settings={"steps": 400, "peak_rate": 1e-3, "ceiling": 4.0, "retain_weight": 1.0},
            make=unlearn_by_gradient_difference,
        ),
        Recipe(
            name="nf4-masked",
            role="unlearned",
            made_by="NPO with a retain term, projected into the NF4 rounding boxes of the original's weights",
            settings={"steps": 500, "peak_rate": 3e-3, "beta": 0.5, "retain_weight": 1.0, "box_margin": 0.06},
            make=unlearn_inside_nf4_boxes,
        ),
    )


def _spoiled() -> tuple[Recipe, ...]:
    """Unlearned models that lost the retain set too, and must not be taken for a success."""
    return (
        Recipe(
            name="broken",
            role="unlearned",
            made_by="gradient ascent on the forget set without a retain term, for too long",
            settings={"steps": 60, "peak_rate": 5e-4},
            make=break_by_gradient_ascent,
        ),
        Recipe(
            name="refuses-all",
            role="unlearned",
            made_by="taught to answer forget and retain questions alike with a refusal",
            settings={"steps": 100, "peak_rate": 3e-4},
            make=tune_refusal_of_everything,
        ),
    )
