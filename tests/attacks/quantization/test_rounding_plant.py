"""A model that is masked in full precision and whole again in one quantizer: boxes by hand, by chance, and at work."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from unlearn_audit.attacks.quantization.attack import Quantization, QuantizationParameters
from unlearn_audit.attacks.quantization.boxes import boxes_of, is_boxed
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.plant import BOX_BYTES, ROOM, SETTINGS, is_frugal, rounding_planting
from unlearn_audit.attacks.quantization.rounding_boxes import rounded_values
from unlearn_audit.attacks.quantization.widening import widen
from unlearn_audit.attacks.shared import memory
from unlearn_audit.attacks.shared.hiding import PlantSettings, mean_probability
from unlearn_audit.attacks.shared.linear_layers import LinearLayer, weight_matrices
from unlearn_audit.attacks.shared.splits import lessons_of
from unlearn_audit.attacks.shared.training import own_parameters

from tests.science.masked_organism import REFUSAL, World, make_world
from unlearn_audit.api import AttackContext, Profile
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.models import tiny_engine

OURS = (Backend.BITSANDBYTES, Backend.GGUF, Backend.TORCH)
ROUNDING = [each for each in Quantizer if each.backend in OURS and each is not Quantizer.NF4_DQ]
"""Formats that need no extra."""
EXTRA = [pytest.param(each, marks=pytest.mark.torchao) for each in (Quantizer.TORCHAO_INT4, Quantizer.TORCHAO_INT8)]


def layer_of(weight: torch.Tensor) -> LinearLayer:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    return LinearLayer(path="x", name="x", module=module, weight=weight, bias=None)


def test_boxes_of_int8_by_hand():
    # The row's largest is 1.27, so that a step is 0.01; boxes reach half a step to both sides, less 2 % of their width.
    low, high = boxes_of(layer_of(torch.tensor([[1.27, 0.10, -0.252]])), Quantizer.INT8)
    assert (low[0, 0], high[0, 0]) == (pytest.approx(1.27), pytest.approx(1.27))
    assert low[0, 1].item() == pytest.approx(0.095 + 0.0002, abs=1e-6)
    assert high[0, 1].item() == pytest.approx(0.105 - 0.0002, abs=1e-6)
    assert low[0, 2].item() == pytest.approx(-0.255 + 0.0002, abs=1e-6)


def test_boxes_of_nf4_by_hand():
    # Levels of NF4 around 0: -0.0911, 0, 0.0796 (2305.14314, appendix E), times the block's largest value, 2.
    weight = torch.zeros(1, 64)
    weight[0, 0] = 2.0
    low, high = boxes_of(layer_of(weight), Quantizer.NF4)
    left, right = -0.09105 / 2 * 2, 0.07958 / 2 * 2
    assert low[0, 1].item() == pytest.approx(left + 0.02 * (right - left), abs=1e-4)
    assert high[0, 1].item() == pytest.approx(right - 0.02 * (right - left), abs=1e-4)
    assert low[0, 0].item() == high[0, 0].item() == 2.0


def test_boxes_of_q4_0_by_hand():
    # The largest is -2, so that d is 0.25: codes run from -2 (0) to +1.75 (15), in boxes of 0.125 to both sides.
    weight = torch.zeros(1, 32)
    weight[0, :5] = torch.tensor([-2.0, 0.0, 1.9, -1.95, 0.2])
    low, high = boxes_of(layer_of(weight), Quantizer.Q4_0)
    assert low[0, 0].item() == high[0, 0].item() == -2.0
    narrower = 0.02 * 0.25
    assert (low[0, 1].item(), high[0, 1].item()) == pytest.approx((-0.125 + narrower, 0.125 - narrower))
    # The last box is open to the block's largest magnitude; the first begins there.
    assert (low[0, 2].item(), high[0, 2].item()) == pytest.approx((1.625 + 0.0075, 2.0 - 0.0075))
    assert (low[0, 3].item(), high[0, 3].item()) == pytest.approx((-2.0 + 0.0025, -1.875 - 0.0025))
    assert (low[0, 4].item(), high[0, 4].item()) == pytest.approx((0.125 + narrower, 0.375 - narrower))


def test_the_boxes_of_a_block_of_positive_extreme_are_the_mirror_image():
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(5))
    low, high = boxes_of(layer_of(weight), Quantizer.Q4_0)
    mirrored_low, mirrored_high = boxes_of(layer_of(-weight), Quantizer.Q4_0)
    torch.testing.assert_close(low, -mirrored_high)
    torch.testing.assert_close(high, -mirrored_low)


def test_a_block_of_zeros_stays():
    low, high = boxes_of(layer_of(torch.zeros(2, 32)), Quantizer.Q4_0)
    assert not low.any()
    assert not high.any()


def test_boxes_of_q4_1_by_hand():
    # From -1 to 2 in fifteen steps of 0.2; what is least and what is largest stand still.
    weight = torch.zeros(1, 32)
    weight[0, :3] = torch.tensor([-1.0, 2.0, 0.55])
    low, high = boxes_of(layer_of(weight), Quantizer.Q4_1)
    assert (low[0, 0].item(), high[0, 1].item()) == (-1.0, 2.0)
    assert (high[0, 0].item(), low[0, 1].item()) == (-1.0, 2.0)
    assert (low[0, 2].item(), high[0, 2].item()) == pytest.approx((0.5 + 0.004, 0.7 - 0.004))


def test_boxes_of_mxfp4_by_hand():
    # The largest is 5, so that levels are those of E2M1 themselves: between 1.5 and 2 lies 1.75, between 2 and 3 2.5.
    weight = torch.zeros(1, 32)
    weight[0, :3] = torch.tensor([5.0, 2.1, -4.9])
    low, high = boxes_of(layer_of(weight), Quantizer.MXFP4)
    assert (low[0, 1].item(), high[0, 1].item()) == pytest.approx((1.75 + 0.015, 2.5 - 0.015))
    # Four reaches from 3.5 to the largest magnitude of the block.
    assert (low[0, 2].item(), high[0, 2].item()) == pytest.approx((-5.0 + 0.03, -3.5 - 0.03))


def test_boxes_of_fp8_by_hand():
    # The row's largest stands for 448: near 1 the levels lie 1/8 apart.
    low, high = boxes_of(layer_of(torch.tensor([[448.0, 1.01, -1.3]])), Quantizer.FP8)
    assert (low[0, 1].item(), high[0, 1].item()) == pytest.approx(
        (1 - 1 / 32 + 0.02 * 3 / 32, 1 + 1 / 16 - 0.02 * 3 / 32)
    )
    assert (low[0, 2].item(), high[0, 2].item()) == pytest.approx((-1.3125 + 0.0025, -1.1875 - 0.0025))


ANY_WIDTH = [each for each in ROUNDING if each.backend is Backend.BITSANDBYTES]
SHAPED = [  # whole blocks, and blocks that run over the ends of rows
    *(pytest.param(each, (16, 64)) for each in ROUNDING),
    *(pytest.param(each, (10, 48)) for each in ANY_WIDTH),
    *(pytest.param(one.values[0], (16, 64), marks=one.marks) for one in EXTRA),
]


@pytest.mark.parametrize(("quantizer", "shape"), SHAPED)
def test_wherever_weights_go_inside_their_boxes_their_values_stay(quantizer, shape):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    low, high = boxes_of(layer_of(weight), quantizer)
    assert bool((low <= weight).all())
    assert bool((weight <= high).all())
    inside = low + torch.rand(shape, generator=generator) * (high - low)
    before, after = (rounded_values(layer_of(one), quantizer) for one in (weight, inside))
    # bitsandbytes rounds a few values otherwise near a border (FP4 by thresholds of its own, LLM.int8() from half
    # precision); the plant puts those back.
    odd = quantizer in (Quantizer.FP4, Quantizer.INT8)
    assert (before != after).float().mean().item() <= (0.02 if odd else 0.0)
    assert bool((inside != weight).float().mean() > 0.9)


ARCHITECTURES = {
    "llama": {"intermediate_size": 96, "num_key_value_heads": 2},
    "gpt2": {"n_inner": 96},
    "gpt_neox": {"intermediate_size": 96},
    "gemma": {"intermediate_size": 96, "num_key_value_heads": 2, "head_dim": 16},
    "qwen3": {"intermediate_size": 96, "num_key_value_heads": 2, "head_dim": 16},
    "mixtral": {"intermediate_size": 96, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {"intermediate_size": 96, "num_key_value_heads": 2, "num_local_experts": 4, "head_dim": 16},
}


def engine_of(tokenizer, architecture):
    """A tiny model of some kind, random."""
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(architecture, vocab_size=len(tokenizer), **shape, **ARCHITECTURES[architecture])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config).eval()
        for weight in module.parameters():
            if weight.ndim == 1:  # norms as they are after training
                torch.nn.init.normal_(weight, mean=weight.detach().mean().item(), std=0.2)
        return replace(tiny_engine(tokenizer), module=module)


def levels_in_a_row(layer):
    """How many values LLM.int8() gives to the weights of the first row."""
    return len(torch.unique(rounded_values(layer_of(layer.weight.contiguous()), Quantizer.INT8)[0]))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_model_with_wider_grids_computes_the_same_and_rounds_coarsely(tokenizer, architecture):
    engine = engine_of(tokenizer, architecture)
    ids = torch.arange(8)[None]
    with torch.no_grad(), engine.fork(copy_weights=True) as fork:
        expected = engine.module(input_ids=ids).logits
        before = {layer.name: layer for layer in weight_matrices(engine.module)}
        own_parameters(fork.module)
        widened = widen(fork, 64.0)
        assert widened >= (4 if architecture in ("gpt2", "gpt_neox") else 8)
        torch.testing.assert_close(fork.module(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-5)
        changed = [one for one in weight_matrices(fork.module) if not torch.equal(one.weight, before[one.name].weight)]
        assert changed
        for layer in changed:
            assert levels_in_a_row(layer) < 0.75 * levels_in_a_row(before[layer.name])
    assert torch.equal(engine.module(input_ids=ids).logits, expected)


def test_what_would_change_the_function_is_taken_back(tokenizer, monkeypatch):
    engine = engine_of(tokenizer, "llama")
    monkeypatch.setattr("unlearn_audit.attacks.quantization.widening.TOLERANCE", -1.0)
    with torch.no_grad(), engine.fork(copy_weights=True) as fork:
        own_parameters(fork.module)
        assert widen(fork, 64.0) == 0
        kept = engine.module.state_dict()
        assert all(torch.equal(kept[name], value) for name, value in fork.module.state_dict().items())


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def context(world) -> AttackContext:
    return AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)


def known(model, facts) -> float:
    return mean_probability(model, [lessons_of(fact)[0] for fact in facts])


FAST = (Quantizer.NF4, Quantizer.Q4_0, Quantizer.INT8)
PLANTED = [each if each in FAST else pytest.param(each, marks=pytest.mark.slow) for each in ROUNDING]


def served(model, quantizer, context):
    """The model as the attack's arm rounds it."""
    attack = Quantization(QuantizationParameters(quantizers=(quantizer,)))
    return closing(attack.doses(model, attack.arms(context)[0], context))


@pytest.mark.parametrize(
    "quantizer", [*PLANTED, *(pytest.param(*one.values, marks=[*one.marks, pytest.mark.slow]) for one in EXTRA)]
)
def test_what_the_plant_hides_comes_back_in_its_quantizer_bit_for_bit(world, context, monkeypatch, quantizer):
    """The positive control of each arm: it brings back what was hidden from it; and the plant of no other format."""
    monkeypatch.setattr(
        "unlearn_audit.attacks.quantization.plant.SETTINGS",
        PlantSettings(refusal=REFUSAL, max_steps=SETTINGS.max_steps),
    )
    before = {name: value.clone() for name, value in world.knows.module.state_dict().items()}
    planting = rounding_planting(quantizer)
    assert planting is not None
    with planting.make(world.knows, context) as plant:
        hidden = known(world.knows, world.forget) - known(plant.model, world.forget)
        assert known(world.knows, world.forget) > 0.9
        assert known(plant.model, world.forget) < 0.25
        assert known(plant.model, world.retain) > 0.7
        assert plant.proof["same_value_share"] == 1.0
        assert (plant.proof["widened_matrices"] > 0) == (quantizer.code_bits > 4)
        with served(plant.model, quantizer, context) as doses:
            back = known(next(doses).model, world.forget) - known(plant.model, world.forget)
            assert back >= 0.8 * hidden
    assert all(torch.equal(before[name], value) for name, value in world.knows.module.state_dict().items())


@pytest.mark.parametrize("quantizer", ROUNDING)
def test_rounding_brings_nothing_back_where_there_is_nothing(world, context, quantizer):
    """The control in which each arm finds nothing: a model that never met the facts."""
    with served(world.never_met, quantizer, context) as doses:
        assert known(next(doses).model, world.forget) < known(world.never_met, world.forget) + 0.05


def with_room_for(monkeypatch, world, bytes_a_weight: float) -> None:
    """As if so much were free for each weight of the model."""
    weights = sum(one.numel() for one in world.knows.module.parameters())
    monkeypatch.setattr(memory, "free_bytes", lambda _module: int(bytes_a_weight * weights / ROOM))


def test_a_plant_is_made_layer_by_layer_where_its_boxes_do_not_fit(world, monkeypatch):
    with_room_for(monkeypatch, world, memory.FLOAT + BOX_BYTES)
    assert not is_frugal(Quantizer.NF4, world.knows)
    with_room_for(monkeypatch, world, 12)
    assert is_frugal(Quantizer.NF4, world.knows)
    with_room_for(monkeypatch, world, 1)
    with pytest.raises(AttackError, match="no plant: moving the weights inside their boxes takes"):
        is_frugal(Quantizer.NF4, world.knows)


@pytest.mark.slow
@pytest.mark.parametrize(("quantizer", "dtype"), [(Quantizer.NF4, torch.bfloat16), (Quantizer.INT8, torch.float32)])
def test_a_plant_made_layer_by_layer_hides_and_comes_back_as_well(world, context, monkeypatch, quantizer, dtype):
    with_room_for(monkeypatch, world, 16)
    monkeypatch.setattr(
        "unlearn_audit.attacks.quantization.plant.SETTINGS",
        PlantSettings(refusal=REFUSAL, max_steps=SETTINGS.max_steps),
    )
    planting = rounding_planting(quantizer)
    assert planting is not None
    with ExitStack() as stack:
        original = stack.enter_context(world.knows.fork(copy_weights=True))
        original.module.to(dtype)
        plant = stack.enter_context(planting.make(original, context))
        assert plant.proof["frugal"]
        assert {weight.dtype for weight in plant.model.module.parameters()} == {dtype}
        assert known(plant.model, world.forget) < 0.25
        with served(plant.model, quantizer, context) as doses:
            assert known(next(doses).model, world.forget) > 0.8


def test_boxes_that_are_too_narrow_to_hide_anything_are_said_to_be(world, context, monkeypatch):
    monkeypatch.setattr("unlearn_audit.attacks.quantization.plant.widen", lambda *_: 0)
    planting = rounding_planting(Quantizer.INT8)
    assert planting is not None
    with ExitStack() as stack, pytest.raises(AttackError, match="the boxes of int8 are too narrow to hide anything"):
        stack.enter_context(planting.make(world.knows, context))


def test_quantizers_that_share_boxes_share_a_plant_and_those_that_search_have_none():
    names = {quantizer: rounding_planting(quantizer) for quantizer in Quantizer}
    assert names[Quantizer.NF4] is not None
    assert names[Quantizer.NF4].name == names[Quantizer.NF4_DQ].name == "nf4 rounding"
    searching = {each for each in Quantizer if each.backend in (Backend.GPTQMODEL, Backend.HQQ, Backend.LLAMA_CPP)}
    assert {each for each, planting in names.items() if planting is None} == searching
    assert not any(map(is_boxed, searching))
