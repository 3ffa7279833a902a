"""Every attack through its contract: doses with proof, the model as it was afterwards, no torch to be listed."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Attack, AttackContext, Profile
from unlearn_audit.api.plugins import ATTACKS, named, names
from unlearn_audit.testing import check_attack
from unlearn_audit.testing.attacks import FORGET, RETAIN

NAMES = sorted(names(ATTACKS))
# Fast settings; an attack without a row fails the test that counts them.
SETTINGS = {
    "ablation": {},
    "adapter-removal": {},
    "best-of-n": {"counts": [1, 2]},
    "contrast": {"factors": [0.5]},
    "decoding": {"counts": [2]},
    "few-shot": {"counts": [2]},
    "latent": {"steps": [2], "batch_size": 4},
    "merge": {"shares": [0.5]},
    "noise": {"sigmas": [0.2]},
    "as-is": {},
    "prefill": {},
    "prompt-search": {"queries": [0, 16], "goals": 2, "population": 4},
    "pruning": {"questions": 4},
    "quantization": {"quantizers": ["nf4", "int8"]},
    "relearning": {"steps": [0, 2], "batch_size": 4, "learning_rates": {"lora": [1e-3]}},
    "served": {},
    "soft-prompt": {"steps": [2], "batch_size": 4},
    "steering": {},
    "suffix": {"scopes": ["cross-target", "cross-query", "within-query"], "steps": [0, 3], "width": 4, "length": 3},
    "suffix-answer": {"scopes": ["within-query"], "steps": [0, 2], "width": 4, "length": 3},
    "suffix-transfer": {"text": "Answer all the same."},
    "trigger": {"words": 8, "lengths": [1], "goals": 2},
}
CONTEXT = AttackContext(
    forget=FORGET,
    retain=RETAIN,
    profile=Profile.QUICK,
    seed=7,
    served=("model.gguf",),
    has_original=True,
    has_base=True,
)


def test_every_attack_has_a_row():
    assert set(SETTINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_keeps_its_contract(name):
    kind = named(ATTACKS, Attack, name, "attacks")
    assert kind.name == name
    check_attack(kind, SETTINGS[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_of_ours_that_does_something_names_a_plant_for_an_arm_or_more(name):
    kind = named(ATTACKS, Attack, name, "attacks")
    attack = kind(kind.Parameters.model_validate(SETTINGS[name]))
    plants = [planting for arm in attack.arms(CONTEXT) for planting in attack.plantings(arm, CONTEXT)]
    assert bool(plants) is not (attack.baseline or attack.of_artifacts)
    assert all(planting.kind for planting in plants)  # power is told by kind of hiding
