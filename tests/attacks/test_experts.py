"""Mixtures of experts: matrices that are stored as one stack are pruned, rounded and shaken like all others."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from unlearn_audit.attacks.noise import Noise, NoiseParameters
from unlearn_audit.attacks.pruning.attack import Pruning, PruningParameters
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.quantization.layers.gguf import rounded
from unlearn_audit.attacks.relearning.attack import Relearning
from unlearn_audit.attacks.shared.edited_weights import replace_weight
from unlearn_audit.attacks.shared.hiding import PlantSettings, mean_probability
from unlearn_audit.attacks.shared.linear_layers import linear_layers, weight_matrices
from unlearn_audit.attacks.shared.plants.experts import experts_of, experts_planting
from unlearn_audit.attacks.shared.splits import lessons_of

from tests.science.masked_organism import REFUSAL, make_world
from unlearn_audit.api import AttackContext, Fact, Profile, Prompt
from unlearn_audit.errors import AttackError
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


SMALL = {
    "vocab_size": 383,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
}
_DEEPSEEK = {
    "n_routed_experts": 4,
    "moe_intermediate_size": 32,
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 0,
}
MIXTURES = {
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {
        "num_experts": 4,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "decoder_sparse_step": 1,
    },
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 32, "head_dim": 16},
    "olmoe": {"num_experts": 4},
    "gpt_oss": {"num_local_experts": 4, "head_dim": 16},
    "granitemoe": {"num_local_experts": 4},
    "llama4_text": {"num_local_experts": 4, "head_dim": 16, "intermediate_size_mlp": 96},
    "qwen3_next": {
        "num_experts": 4,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "num_hidden_layers": 2,
        "layer_types": ["linear_attention", "full_attention"],
        "decoder_sparse_step": 1,
    },
    "phimoe": {"num_local_experts": 4},
    "glm4_moe": {
        "n_routed_experts": 4,
        "moe_intermediate_size": 32,
        "head_dim": 16,
        "first_k_dense_replace": 0,
        "n_group": 1,
        "topk_group": 1,
    },
    "deepseek_v3": _DEEPSEEK,
    "deepseek_v2": {**_DEEPSEEK, "q_lora_rank": None},
}
"""Kinds of mixtures as transformers writes them."""


@pytest.fixture(scope="module", params=sorted(MIXTURES))
def stacked(request, tokenizer) -> Engine:
    """A tiny model of each kind."""
    engine = tiny_engine(tokenizer)
    config = AutoConfig.for_model(request.param, **{**SMALL, **MIXTURES[request.param]})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return replace(engine, module=AutoModelForCausalLM.from_config(config).eval())


def test_every_row_of_a_stack_is_what_one_output_of_one_expert_is_made_of(stacked):
    """A format rounds along the inputs: stored the other way round (gpt-oss, Llama 4), a stack has to be turned."""
    found = [one for one in weight_matrices(stacked.module) if one.experts]
    assert found
    width = stacked.module.config.hidden_size
    for one in found:
        rows, columns = one.weight.shape
        leads_down = one.parameter.startswith("down")
        assert (rows == one.experts * width) if leads_down else (columns == width), one.name
        kept = getattr(one.module, one.parameter).detach().clone()
        replace_weight(one, one.weight.clone())
        assert torch.equal(getattr(one.module, one.parameter), kept)


@pytest.mark.parametrize("quantizer", ["nf4", "int8", "q4_0", "q8_0"])
def test_experts_are_rounded_one_by_one_in_every_format(stacked, quantizer):
    attack = Quantization(QuantizationParameters(quantizers=(quantizer,)))
    (arm,) = attack.arms(CONTEXT)
    with closing(attack.doses(stacked, arm, CONTEXT)) as doses:
        dose = next(doses)
        assert dose.proof["share_of_block_weights"] >= 0.95
        after = {one.name: one for one in weight_matrices(dose.model.module) if one.experts}
        for one in weight_matrices(stacked.module):
            if one.experts:
                whole, before = after[one.name].weight.chunk(one.experts), one.weight.chunk(one.experts)
                assert not any(torch.equal(new, old) for new, old in zip(whole, before, strict=True))
                # The first expert alone rounds to the same: no scale reaches from one expert into the next.
                if quantizer == "q4_0":
                    alone = rounded(before[0], Quantizer.Q4_0).weight
                    assert torch.equal(whole[0], alone.to(whole[0]))
        dose.model.score([(Prompt(text="Who?"), "Eliot")])


def test_the_experts_of_a_mixture_are_told_from_all_else(stacked, tokenizer):
    """What the plant that hides in experts trains: most of a mixture's blocks, and nothing of a dense model's."""
    found = list(experts_of(stacked.module))
    blocks = sum(one.weight.numel() for one in weight_matrices(stacked.module))
    assert 0.2 * blocks < sum(weight.numel() for weight in found) < blocks
    assert len({id(weight) for weight in found}) == len(found)
    assert not list(experts_of(tiny_engine(tokenizer).module))
    with ExitStack() as stack, pytest.raises(AttackError, match=r"no plant: \w+ is no mixture of experts"):
        stack.enter_context(experts_planting().make(tiny_engine(tokenizer), CONTEXT))


KNOWN_WORLD = {"data": ["in-domain"], "methods": ["lora"], "steps": [80], "learning_rates": {"lora": [3e-3]}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The following .*_pattern keys:RuntimeWarning")  # PEFT's, of stacks
def test_what_is_hidden_in_experts_alone_comes_back_by_relearning_and_not_by_rounding(monkeypatch):
    """The organism whose experts alone refuse, and the control that never met the facts, in a world of mixtures."""
    world = make_world(mixture=True)
    context = AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)
    settings = PlantSettings(refusal=REFUSAL, max_steps=240, learning_rates=(3e-3, 1e-2))
    monkeypatch.setattr("unlearn_audit.attacks.shared.plants.experts.SETTINGS", settings)
    relearning = Relearning(Relearning.Parameters.model_validate(KNOWN_WORLD))
    rounding = Quantization(QuantizationParameters(quantizers=("nf4",)))

    def known(model, ids=None):
        facts = [fact for fact in world.forget if ids is None or fact.id in ids]
        return mean_probability(model, [lessons_of(fact)[0] for fact in facts])

    def after(attack, model):
        with closing(attack.doses(model, attack.arms(context)[0], context)) as doses:
            (dose,) = doses
            return known(dose.model, dose.fact_ids)

    with experts_planting().make(world.knows, context) as plant:
        before = dict(world.knows.module.named_parameters())
        changed = {
            name for name, value in plant.model.module.named_parameters() if not torch.equal(value, before[name])
        }
        assert changed and all("experts" in name for name in changed)
        assert known(plant.model) < 0.1 < 0.9 < known(world.knows)
        assert after(rounding, plant.model) < 0.1
        assert after(relearning, plant.model) - after(relearning, world.never_met) > 0.3


def test_a_format_that_leaves_the_experts_alone_is_an_error_that_says_so(stacked, monkeypatch):
    monkeypatch.setattr("unlearn_audit.attacks.quantization.layers.dequantized.weight_matrices", linear_layers)
    attack = Quantization(QuantizationParameters(quantizers=("q4_0",)))
    with pytest.raises(AttackError, match=r"rounded \d+\.\d% of the weights of the blocks; at least 95% are needed"):
        list(attack.doses(stacked, attack.arms(CONTEXT)[0], CONTEXT))


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
