"""K- and I-quants through llama.cpp's own quantizer: the binding is right, the formats are what they say."""

from __future__ import annotations

from contextlib import closing

import gguf
import pytest
import torch
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.backends import missing
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.layers.llama_cpp import FALLBACKS, SUPER_BLOCK, importance_of, rounded
from unlearn_audit.attacks.shared.linear_layers import linear_layers

from tests.attacks.quantization.test_quantization import tiny
from unlearn_audit.api import AttackContext, Fact, Profile

OURS = [each for each in Quantizer if each.backend is Backend.LLAMA_CPP]
BITS = {"q2_k": 2.625, "q3_k": 3.4375, "q4_k": 4.5, "q5_k": 5.5, "q6_k": 6.5625, "iq4_xs": 4.25}
# Relative errors of a normal distribution, at most.
ERRORS = {"q2_k": 0.35, "q3_k": 0.17, "q4_k": 0.08, "q5_k": 0.04, "q6_k": 0.02, "iq4_xs": 0.1}
FACTS = tuple(Fact(id=f"f{at}", subject=f"P {at}", question=f"Who is P {at}?", answer=f"Town{at}") for at in range(4))
CONTEXT = AttackContext(forget=FACTS, retain=FACTS, profile=Profile.QUICK, seed=0)


def weights(width: int = SUPER_BLOCK) -> torch.Tensor:
    return torch.randn(16, width, generator=torch.Generator().manual_seed(0))


def test_every_format_has_a_fallback_and_says_what_is_missing():
    assert set(FALLBACKS) == set(OURS)
    assert set(BITS) == {each.value for each in OURS}
    why = missing(Quantizer.Q4_K)
    assert why is None or "pip install 'unlearn-audit[llama-cpp]'" in why


@pytest.mark.llama_cpp
@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_the_binding_gives_what_gguf_gives_where_both_can(kind):
    weight = weights()
    expected = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType[kind])
    values = gguf.quants.dequantize(expected, gguf.GGMLQuantizationType[kind])
    assert torch.equal(rounded(weight, kind).weight, torch.from_numpy(values))


@pytest.mark.llama_cpp
@pytest.mark.parametrize("quantizer", OURS)
def test_a_format_has_its_bits_and_its_error(quantizer):
    weight = weights()
    made = rounded(weight, quantizer.name)
    assert 8 * made.stored_bytes / weight.numel() == BITS[quantizer.value]
    error = ((made.weight - weight).norm() / weight.norm()).item()
    assert ERRORS[quantizer.value] / 3 < error < ERRORS[quantizer.value]


@pytest.mark.llama_cpp
@pytest.mark.parametrize("quantizer", OURS)
def test_importance_lowers_the_error_where_it_is_large(quantizer):
    weight = weights()
    importance = torch.logspace(-3, 3, SUPER_BLOCK)[
        torch.randperm(SUPER_BLOCK, generator=torch.Generator().manual_seed(1))
    ]
    weighed, plain = (
        ((rounded(weight, quantizer.name, importance=one).weight - weight).square() * importance).sum()
        for one in (importance, None)
    )
    assert weighed < 0.9 * plain


@pytest.mark.llama_cpp
def test_rows_of_another_width_get_the_type_that_llama_cpp_falls_back_to():
    assert rounded(weights(64), "Q4_K", "Q5_0").kind == "Q5_0"
    assert rounded(weights(512), "Q4_K", "Q5_0").kind == "Q4_K"
    assert rounded(weights(48), "Q4_K", "Q5_0") is None


@pytest.mark.llama_cpp
@pytest.mark.parametrize("importance", [False, True])
def test_a_model_is_rounded_with_its_proof(tokenizer, importance):
    engine = tiny(tokenizer, "llama")
    before = {layer.name: layer.weight.clone() for layer in linear_layers(engine.module)}
    attack = Quantization(QuantizationParameters(quantizers=(Quantizer.Q4_K,), importance_matrix=importance))
    (arm,) = attack.arms(CONTEXT)
    with closing(attack.doses(engine, arm, CONTEXT)) as doses:
        dose = next(doses)
        assert set(dose.proof["layer_types"]) <= {"Q4_K", "Q5_0"}
        assert dose.proof["share_of_block_weights"] >= 0.95
        assert ("weighed_layers" in dose.proof) is importance
        assert bool(dose.shown) is importance
        after = {layer.name: layer.weight for layer in linear_layers(dose.model.module)}
        assert all(not torch.equal(after[name], weight) for name, weight in before.items())
    assert all(torch.equal(layer.weight, before[layer.name]) for layer in linear_layers(engine.module))


def test_importance_is_the_mean_square_of_what_comes_in(tokenizer):
    engine = tiny(tokenizer, "llama")
    found = importance_of(engine, ["Ann was born in Rome."])
    assert set(found) == {layer.name for layer in linear_layers(engine.module)}
    first = next(layer for layer in linear_layers(engine.module) if layer.name.endswith("layers.0.self_attn.q_proj"))
    seen = []
    handle = first.module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    importance_of(engine, ["Ann was born in Rome."])
    handle.remove()
    assert torch.allclose(found[first.name], seen[0].detach().flatten(0, -2).square().mean(0))
