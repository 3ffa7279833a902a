"""Compositions: what the second is given, which facts a dose scores, and that the whole keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, ClassVar

import pytest
from unlearn_audit.attacks.ablation import Ablation
from unlearn_audit.attacks.prefill import Prefill
from unlearn_audit.attacks.quantization.attack import Quantization
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.texts.composed_organism import hidden_twice
from tests.science.texts.gated_organism import make_gated
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    Dose,
    OutOfReach,
    Parameters,
    Profile,
    Prompt,
    SpecError,
)
from unlearn_audit.api.composition import composition
from unlearn_audit.api.plugins import ATTACKS, build
from unlearn_audit.models.adapters import adapted_layers
from unlearn_audit.plan.provenance import provenance
from unlearn_audit.testing import check_attack
from unlearn_audit.testing.attacks import FORGET, RETAIN
from unlearn_audit.testing.models import tiny_model

CONTEXT = AttackContext(forget=FORGET, retain=RETAIN, profile=Profile.QUICK, seed=7, prepared={"adapter_doses": True})
IDS = [fact.id for fact in FORGET]


class Half(Attack[Parameters]):
    """Two arms, each of which scores half of the facts."""

    summary: ClassVar[str] = "Halves."
    paper: ClassVar[str] = ""
    access: ClassVar[Access] = Access.LOGITS
    Parameters: ClassVar[type[Parameters]] = Parameters
    step: ClassVar[int] = 1

    def arms(self, context: AttackContext) -> list[Arm]:
        return [Arm(name=f"{self.name} fold{place}", settings={"fold": place}, share=0.5) for place in range(2)]

    def doses(self, model: Any, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        place = arm.settings["fold"]
        chosen = IDS[place :: 2 * self.step] if self.step > 1 else IDS[place * 4 : place * 4 + 4]
        proof = {"given": str(model), "seed": context.seed, "plateau": True, **context.prepared}
        self_shown = (f"{self.name} {place}",)
        yield Dose(
            label=self.name,
            value=1,
            model=f"{model}>{self.name}",
            fact_ids=frozenset(chosen),
            proof=proof,
            shown=self_shown,
            dropped=1,
        )


class First(Half):
    name: ClassVar[str] = "first"


class Second(Half):
    name: ClassVar[str] = "second"
    access: ClassVar[Access] = Access.WEIGHTS

    def doses(self, model: Any, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        for dose in super().doses(model, arm, context):
            place = arm.settings["fold"]
            yield Dose(**{**{key: getattr(dose, key) for key in _KEYS}, "fact_ids": frozenset(IDS[place::2])})


_KEYS = ("label", "value", "model", "proof", "shown", "dropped")


class Given(str):
    """Stands for a model."""

    is_adapter = True


def both() -> Attack[Any]:
    kind = composition("first+second", First, Second)
    return kind(kind.Parameters())


def doses_of(attack: Attack[Any], model: Any, context: AttackContext = CONTEXT) -> list[Dose]:
    return [dose for arm in attack.arms(context) for dose in attack.doses(model, arm, context)]


def test_the_second_is_given_what_the_first_made_and_a_fact_is_scored_where_both_score_it(monkeypatch):
    monkeypatch.setattr(Half, "doses", _handing_on(Half.doses))
    doses = doses_of(both(), Given("model"))
    assert {dose.label for dose in doses} == {"first + second"}
    assert {dose.model for dose in doses} == {"model>first>second"}
    assert sorted(fact_id for dose in doses for fact_id in dose.fact_ids) == sorted(IDS)
    assert len(doses) == 4
    assert doses[1].shown == ("first 0", "second 1")
    assert doses[0].dropped == 2
    assert doses[0].proof["first"]["given"] == "model"
    assert doses[0].proof["second"]["given"] == "model>first"
    assert doses[0].proof["plateau"] is True


def _handing_on(plain):
    def doses(self, model, arm, context):
        for dose in plain(self, model, arm, context):
            values = {key: getattr(dose, key) for key in (*_KEYS, "fact_ids")}
            yield Dose(**{**values, "model": Given(dose.model)})

    return doses


def test_each_part_has_draws_and_preparations_of_its_own(monkeypatch):
    monkeypatch.setattr(Half, "doses", _handing_on(Half.doses))
    prepared = {"adapter_doses": True, "first": {"mine": 1}, "second": {"mine": 2}}
    context = AttackContext(forget=FORGET, retain=RETAIN, profile=Profile.QUICK, seed=7, prepared=prepared)
    proof = doses_of(both(), Given("model"), context)[0].proof
    assert (proof["first"]["mine"], proof["second"]["mine"]) == (1, 2)
    assert proof["first"]["adapter_doses"] and proof["second"]["adapter_doses"]
    assert len({proof["first"]["seed"], proof["second"]["seed"], 7}) == 3


def test_a_composition_needs_what_either_needs_and_is_left_out_where_nothing_is_left_of_the_second(monkeypatch):
    attack = both()
    assert attack.access is Access.WEIGHTS
    assert attack.out_of_reach(CONTEXT, weight_bytes=0, is_adapter=False) == []
    gaps = [OutOfReach(what=f"second fold{place}", why="no such thing", applies=False) for place in range(2)]
    monkeypatch.setattr(Second, "out_of_reach", lambda *_, **__: gaps)
    left = attack.out_of_reach(CONTEXT, weight_bytes=0, is_adapter=False)
    assert [(one.what, one.why, one.applies) for one in left] == [
        (f"first fold{place}", "second: no such thing", False) for place in range(2)
    ]


def test_the_grammar_of_a_spec():
    settings = {"relearning": {"steps": [3]}, "quantization": None}
    (made,) = build(ATTACKS, Attack, {"relearning+quantization": settings}, "attacks").values()
    assert (made.name, made.access) == ("relearning+quantization", Access.WEIGHTS)
    assert [part.name for part in made.parts] == ["relearning", "quantization"]
    again = build(ATTACKS, Attack, {made.name: made.parameters.model_dump(mode="json")}, "attacks")[made.name]
    assert again.parameters.model_dump() == made.parameters.model_dump()
    assert [arm.name for arm in again.arms(CONTEXT)] == [arm.name for arm in made.arms(CONTEXT)]
    for wrong, message in (
        ({"relearnin+prefill": {}}, "did you mean 'relearning'"),
        ({"relearning+relearning": {}}, "with itself"),
        ({"as-is+prefill": {}}, "attacks nothing"),
        ({"relearning+prefill": {"relerning": {}}}, "unknown key 'relerning'"),
        ({"relearning+prefill+noise": {}}, "no attack named 'prefill\\+noise'|composes"),
    ):
        with pytest.raises(SpecError, match=message):
            build(ATTACKS, Attack, wrong, "attacks")


def test_its_code_is_that_of_its_parts():
    kind = composition("relearning+prefill", Relearning, Prefill)
    record = provenance("attack", kind.name, kind)
    other = provenance("attack", "x", composition("relearning+quantization", Relearning, Quantization))
    assert record.source not in (other.source, provenance("attack", "relearning", Relearning).source)
    assert set(record.libraries) >= set(provenance("attack", "relearning", Relearning).libraries)


SMALL = {"steps": [2], "batch_size": 4, "candidates": {"lora": [1e-3]}, "data": ["in-domain"], "methods": ["lora"]}


def test_an_adapter_that_was_trained_beside_the_weights_is_folded_into_them():
    model, attack = tiny_model(), Relearning(Relearning.Parameters(**SMALL))
    asked = [(Prompt(text="Who?"), "Eliot")]
    with closing(attack.doses(model, attack.arms(CONTEXT)[0], CONTEXT)) as doses:
        trained = next(doses).model
        assert adapted_layers(trained.module)
        with trained.merged() as folded:
            assert not adapted_layers(folded.module)
            (before,), (one,), (two,) = (each.score(asked) for each in (model, trained, folded))
    assert one.log_likelihood == pytest.approx(two.log_likelihood, abs=1e-4)
    assert abs(one.log_likelihood - before.log_likelihood) > 1e-3


@pytest.mark.parametrize(
    ("first", "second", "settings"),
    [
        (Relearning, Prefill, {"relearning": SMALL}),
        pytest.param(Ablation, Relearning, {"relearning": SMALL}, marks=pytest.mark.slow),
        pytest.param(Relearning, Quantization, {"relearning": SMALL}, marks=pytest.mark.slow),
    ],
)
def test_a_composition_keeps_the_contract_of_an_attack(first, second, settings):
    check_attack(composition(f"{first.name}+{second.name}", first, second), settings)


def most_hits(attack: Attack[Any], model: Any) -> float:
    """The largest share of the gated world's facts that any dose brings back."""
    world = make_gated()
    context = AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)
    hits: dict[str, float] = {}
    for arm in attack.arms(context):
        for dose in attack.doses(model, arm, context):
            scored = [fact for fact in world.forget if dose.fact_ids is None or fact.id in dose.fact_ids]
            readings = Recall(RecallParameters(max_paraphrases=0)).observe(dose.model, scored, world.forget)
            hits[dose.label] = hits.get(dose.label, 0) + sum(
                one.score or 0.0 for one in readings if one.measure == "hit"
            )
    return max(hits.values()) / len(world.forget)


@pytest.mark.slow
@pytest.mark.science
def test_what_is_hidden_twice_comes_back_under_both_together_alone():
    first, second = Quantization, Prefill
    settings = {"quantizers": ["nf4"]}
    kind = composition("quantization+prefill", first, second)
    both = kind(kind.Parameters(quantization=settings))
    assert most_hits(first(first.Parameters.model_validate(settings)), hidden_twice()) <= 0.1
    assert most_hits(second(second.Parameters()), hidden_twice()) <= 0.1
    assert most_hits(Relearning(Relearning.Parameters()), hidden_twice()) <= 0.5
    assert most_hits(both, hidden_twice()) >= 0.8
    assert most_hits(both, make_gated().never_met) <= 0.25


@pytest.mark.slow
@pytest.mark.science
def test_what_is_gated_comes_back_after_both_and_what_was_never_learned_does_not():
    world = make_gated()
    kind = composition("relearning+prefill", Relearning, Prefill)
    attack = kind(kind.Parameters())
    for engine, least, most in ((world.gated, 0.8, 1.0), (world.never_met, 0.0, 0.35)):
        assert least <= most_hits(attack, engine) <= most
