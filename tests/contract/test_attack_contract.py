"""Every attack, through one contract: doses with proof, the model as it was afterwards, no torch to be listed."""

from __future__ import annotations

import inspect
from contextlib import closing
from importlib.metadata import entry_points

import pytest
import torch

from tests.conftest import tiny_engine
from unlearn_audit.api import Access, Arm, Attack, AttackContext, Fact, Parameters, Profile, Prompt
from unlearn_audit.api.plugins import ATTACKS

NAMES = sorted(point.name for point in entry_points(group=ATTACKS))
# Fast settings; an attack without a row fails the test that counts them.
SETTINGS = {
    "ablation": {},
    "adapter-removal": {},
    "best-of-n": {"counts": [1, 2]},
    "noise": {"sigmas": [0.2]},
    "as-is": {},
    "prompt-search": {"queries": [0, 32], "goals": 2, "population": 4},
    "pruning": {"questions": 4},
    "quantization": {"quantizers": ["nf4", "int8"]},
    "relearning": {"steps": [0, 2], "batch_size": 4},
    "soft-prompt": {"steps": [2], "batch_size": 4},
    "steering": {},
    "suffix": {"scopes": ["cross-target", "cross-query", "within-query"], "steps": [0, 2], "width": 4, "length": 3},
    "suffix-answer": {"scopes": ["within-query"], "steps": [0, 2], "width": 4, "length": 3},
    "suffix-transfer": {"text": "Answer all the same."},
}
FORGET = tuple(
    Fact(id=f"{who}-{what}", subject=f"Person {who}", question=f"What is the {what} of {who}?", answer=f"{what}{who}")
    for who in "ABCD"
    for what in ("town", "job")
)
RETAIN = tuple(
    Fact(id=f"r{who}", subject=f"Other {who}", question=f"Where is {who}?", answer=f"Place {who}.") for who in "EFGH"
)


def load(name: str) -> type[Attack[Parameters]]:
    return next(point for point in entry_points(group=ATTACKS) if point.name == name).load()


def build(name: str) -> Attack[Parameters]:
    kind = load(name)
    return kind(kind.Parameters.model_validate(SETTINGS[name]))


@pytest.fixture
def context(tmp_path) -> AttackContext:
    return AttackContext(forget=FORGET, retain=RETAIN, profile=Profile.QUICK, seed=7, scratch=tmp_path)


def test_every_attack_has_a_row():
    assert set(SETTINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_says_what_it_is(name):
    kind = load(name)
    assert kind.name == name
    assert kind.summary[0].isupper()
    assert kind.summary.endswith(".")
    assert isinstance(kind.access, Access)
    assert kind.paper == "" or kind.paper[:4].isdigit()
    assert inspect.getdoc(kind)
    with pytest.raises(ValueError, match="extra"):
        kind.Parameters.model_validate({"no_such_key": 1})


@pytest.mark.parametrize("name", NAMES)
def test_arms_are_known_beforehand_and_distinct(name, context):
    attack = build(name)
    arms = attack.arms(context)
    assert arms
    assert all(isinstance(arm, Arm) and arm.doses >= 1 and 0 < arm.share <= 1 for arm in arms)
    assert len({arm.name for arm in arms}) == len(arms)
    assert [arm.name for arm in attack.arms(context)] == [arm.name for arm in arms]


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_but_the_baseline_names_a_plant_for_an_arm_or_more(name, context):
    attack = build(name)
    names = [None if (made := attack.planting(arm, context)) is None else made.name for arm in attack.arms(context)]
    again = [None if (made := attack.planting(arm, context)) is None else made.name for arm in attack.arms(context)]
    assert names == again
    assert any(names) is not attack.baseline


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leaving", ["to the end", "after one dose", "by an exception"])
def test_an_attack_undoes_itself(name, context, tokenizer, leaving):
    engine = tiny_engine(tokenizer)
    before, flags = snapshot(engine.module), [p.requires_grad for p in engine.module.parameters()]
    types = [type(part) for part in engine.module.modules()]
    state = torch.random.get_rng_state()
    attack = build(name)
    labels = {}
    for arm in attack.arms(context):
        with closing(attack.doses(engine, arm, context)) as doses:
            for dose in doses:
                dose.model.score([(Prompt(text="Who?"), "Eliot")])
                for fact_id in dose.fact_ids or {fact.id for fact in FORGET}:
                    labels.setdefault(dose.label, []).append(fact_id)
                if leaving == "after one dose":
                    break
                if leaving == "by an exception":
                    with pytest.raises(KeyError, match="stop"):
                        doses.throw(KeyError("stop"))
                    break
    after = snapshot(engine.module)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [type(part) for part in engine.module.modules()] == types
    assert [p.requires_grad for p in engine.module.parameters()] == flags
    assert torch.equal(torch.random.get_rng_state(), state)
    if leaving == "to the end":
        assert all(sorted(ids) == sorted(fact.id for fact in FORGET) for ids in labels.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_attack_twice_is_the_same_attack(name, context, tokenizer):
    readings = []
    for _ in range(2):
        engine, found = tiny_engine(tokenizer), []
        attack = build(name)
        for arm in attack.arms(context):
            with closing(attack.doses(engine, arm, context)) as doses:
                found += [(d.label, d.value, d.model.score([(Prompt(text="Who?"), "Eliot")])) for d in doses]
        readings.append(found)
    assert readings[0] == readings[1]
