"""One arm of relearning on one organism under one seed, and what it brings back at each of its doses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.relearning.parameters import RelearningParameters
from unlearn_audit.attacks.shared.splits import lessons_of

from unlearn_audit.api import AttackContext, Fact, FactSet, Model, Profile, derive_seed
from unlearn_audit.demo import ASSETS, organism_spec
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import resolve

SUBJECTS = 32
STEPS = (20, 40, 80)
FRUGAL_STEPS = (20, 40)
"""Half precision is slow on a CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What is run.

    Attributes:
        arm: `lora` or `full`, with its rate; `frugal` for all weights in the frugal way.
        seed: of the audit; folds, batches and adapters follow from it.
    """

    organism: str
    arm: str
    seed: int
    steps: tuple[int, ...] = STEPS

    @property
    def name(self) -> str:
        """Its key among the results."""
        return f"{self.organism}, {self.arm}, seed {self.seed}, {self.steps[-1]} steps"


ARMS: Mapping[str, Mapping[str, Any]] = {
    "lora 3e-3": {"methods": ["lora"], "learning_rates": {"lora": [3e-3]}},
    "full 1e-3": {"methods": ["full"], "learning_rates": {"full": [1e-3]}},
    "full 1e-3, frugal": {"methods": ["full"], "learning_rates": {"full": [1e-3]}, "frugal": True},
}


def recovered(run: Run) -> dict[str, float]:
    """Steps -> share of the facts that are answered, each by the model that never saw its subject."""
    where = _context(run.seed)
    attack = Relearning(
        RelearningParameters.model_validate({"data": ["in-domain"], "steps": run.steps, **ARMS[run.arm]})
    )
    hits: dict[str, list[bool]] = {}
    with loaded(resolve(str(ASSETS / run.organism)), organism_spec(run.organism).models) as engine:
        for arm in attack.arms(where):
            for dose in attack.doses(engine, arm, where):
                scored = [fact for fact in where.forget if dose.fact_ids is None or fact.id in dose.fact_ids]
                hits.setdefault(f"{dose.value:g}", []).extend(_answered(dose.model, scored))
    return {step: round(sum(found) / len(found), 4) for step, found in hits.items()}


def _answered(model: Model, facts: list[Fact]) -> list[bool]:
    asked = [(lessons_of(fact)[0].prompt, lessons_of(fact)[0].answer) for fact in facts]
    return [all(score.greedy) for score in model.score(asked)]


def _context(seed: int) -> AttackContext:
    forget, retain = _facts()
    return AttackContext(forget=forget, retain=retain, profile=Profile.QUICK, seed=derive_seed(0, "relearning", seed))


@cache
def _facts() -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    forget, retain = (
        load_facts(str(ASSETS / "facts" / f"{name}.jsonl"), name, {}).facts for name in (FactSet.FORGET, FactSet.RETAIN)
    )
    chosen = set(list(dict.fromkeys(fact.subject for fact in forget))[:SUBJECTS])
    return tuple(fact for fact in forget if fact.subject in chosen), retain
