"""Mixtures of experts: matrices that are stored as one stack are pruned, rounded and shaken like all others."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from unlearn_audit.attacks.noise import Noise, NoiseParameters
from unlearn_audit.attacks.pruning.attack import Pruning, PruningParameters
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.shared.linear_layers import linear_layers, weight_matrices

from unlearn_audit.api import AttackContext, Fact, Profile, Prompt
from unlearn_audit.models.engine import Engine
from unlearn_audit.testing.models import tiny_engine

FACTS = tuple(
    Fact(id=f"f{at}", subject=f"Person {at}", question=f"Who is Person {at}?", answer=f"Town{at}") for at in range(4)
)
CONTEXT = AttackContext(forget=FACTS, retain=FACTS, profile=Profile.QUICK, seed=0)


@pytest.fixture
def mixture(tokenizer) -> Engine:
    engine = tiny_engine(tokenizer)
    config = AutoConfig.for_model(
        "mixtral",
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return replace(engine, module=AutoModelForCausalLM.from_config(config).eval())


ATTACKS = [
    Noise(NoiseParameters(sigmas=(0.3,))),
    Pruning(PruningParameters(shares={"magnitude": (0.5,), "snip": (0.05,)})),
    Quantization(QuantizationParameters(quantizers=("q4_0",))),
]


def test_experts_are_most_of_the_matrices_and_all_are_found(mixture):
    found = list(weight_matrices(mixture.module))
    stacks = [one for one in found if one.experts]
    assert {one.experts for one in stacks} == {4}
    assert len(found) == len(stacks) + len(list(linear_layers(mixture.module)))
    named = mixture.module.model.layers.named_parameters()
    matrices = {name: weight for name, weight in named if weight.ndim > 1}
    routers = sum(p.numel() for name, p in matrices.items() if name.endswith("gate.weight"))
    assert sum(one.weight.numel() for one in found) >= sum(p.numel() for p in matrices.values()) - routers


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attacks_on_weights_reach_the_experts_and_leave_the_model_as_it_was(mixture, attack):
    before = {name: value.clone() for name, value in mixture.module.state_dict().items()}
    stacked = [name for name, value in before.items() if value.ndim == 3]
    assert stacked
    for arm in attack.arms(CONTEXT):
        with closing(attack.doses(mixture, arm, CONTEXT)) as doses:
            for dose in doses:
                after = dose.model.module.state_dict()
                assert all(not torch.equal(after[name], before[name]) for name in stacked)
                assert all(after[name].shape == before[name].shape for name in stacked)
                dose.model.score([(Prompt(text="Who?"), "Eliot")])
    now = mixture.module.state_dict()
    assert all(torch.equal(now[name], value) for name, value in before.items())
