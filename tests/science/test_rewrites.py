"""A leaky organism and a control, written otherwise: relearning finds the same in each."""

from __future__ import annotations

import copy

import pytest
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.relearning.parameters import RelearningParameters
from unlearn_audit.attacks.shared.splits import lessons_of

from tests.attacks.shared.rewrites import REWRITES
from unlearn_audit.api import AttackContext, Fact, FactSet, Model, Profile
from unlearn_audit.demo import ASSETS, organism_spec
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.loading import loaded
from unlearn_audit.models.references import resolve

pytestmark = [pytest.mark.science, pytest.mark.slow]

PARAMETERS = {"data": ["in-domain"], "learning_rates": {"lora": [3e-3]}, "steps": [40]}
SUBJECTS = 32


@pytest.fixture(scope="module")
def context() -> AttackContext:
    forget, retain = (
        load_facts(str(ASSETS / "facts" / f"{name}.jsonl"), name, {}).facts for name in (FactSet.FORGET, FactSet.RETAIN)
    )
    chosen = set(list(dict.fromkeys(fact.subject for fact in forget))[:SUBJECTS])
    few = tuple(fact for fact in forget if fact.subject in chosen)
    return AttackContext(forget=few, retain=retain, profile=Profile.QUICK, seed=0)


def answered(model: Model, facts: list[Fact]) -> list[bool]:
    asked = [(lessons_of(fact)[0].prompt, lessons_of(fact)[0].answer) for fact in facts]
    return [all(score.greedy) for score in model.score(asked)]


def found(model: Model, context: AttackContext) -> float:
    """Share of the facts that relearning brings back."""
    attack = Relearning(RelearningParameters.model_validate(PARAMETERS))
    hits = [
        hit
        for arm in attack.arms(context)
        for dose in attack.doses(model, arm, context)
        for hit in answered(dose.model, [fact for fact in context.forget if fact.id in dose.fact_ids])
    ]
    return sum(hits) / len(hits)


@pytest.mark.parametrize(("name", "leaks"), [("npo", True), ("retrained-1", False)])
def test_relearning_finds_the_same_however_a_checkpoint_is_written(context, name, leaks):
    with loaded(resolve(str(ASSETS / name)), organism_spec(name).models) as engine:
        plain = found(engine, context)
        assert plain > 0.15 if leaks else plain < 0.05
        for rewrite in ("norms uneven", "pairs rescaled"):
            module = copy.deepcopy(engine.module).float()
            state = REWRITES[rewrite](module.state_dict(), module.config.num_attention_heads)
            module.load_state_dict(state)
            assert found(engine.with_module(module), context) == pytest.approx(plain, abs=0.05), rewrite
