"""A model that is masked in full precision and whole again in one quantiser: boxes by hand, by chance, and at work."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from torch import nn

from attacks.bitsandbytes_layers import codes, quantized_layer
from attacks.hiding import PlantSettings, mean_probability
from attacks.linear_layers import LinearLayer, linear_layers
from attacks.quantization import quantize_with_bitsandbytes
from attacks.quantizers import Quantizer
from attacks.rounding_plant import SETTINGS, boxes_of, rounding_planting
from attacks.splits import lessons_of
from tests.numerics.masked_organism import REFUSAL, World, make_world
from unlearn_audit.api import AttackContext, AttackError, Profile

ROUNDING = [Quantizer.NF4, Quantizer.FP4, Quantizer.INT8]


def layer_of(weight: torch.Tensor) -> LinearLayer:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    return LinearLayer(path="x", name="x", module=module, weight=weight, bias=None)


def test_boxes_of_int8_by_hand():
    # The row's largest is 1.27, so that a step is 0.01; boxes reach half a step to both sides, less 2 % of their width.
    low, high = boxes_of(torch.tensor([[1.27, 0.10, -0.252]]), Quantizer.INT8)
    assert (low[0, 0], high[0, 0]) == (pytest.approx(1.27), pytest.approx(1.27))
    assert low[0, 1].item() == pytest.approx(0.095 + 0.0002, abs=1e-6)
    assert high[0, 1].item() == pytest.approx(0.105 - 0.0002, abs=1e-6)
    assert low[0, 2].item() == pytest.approx(-0.255 + 0.0002, abs=1e-6)


def test_boxes_of_nf4_by_hand():
    # Levels of NF4 around 0: -0.0911, 0, 0.0796 (2305.14314, appendix E), times the block's largest value, 2.
    weight = torch.zeros(1, 64)
    weight[0, 0] = 2.0
    low, high = boxes_of(weight, Quantizer.NF4)
    left, right = -0.09105 / 2 * 2, 0.07958 / 2 * 2
    assert low[0, 1].item() == pytest.approx(left + 0.02 * (right - left), abs=1e-4)
    assert high[0, 1].item() == pytest.approx(right - 0.02 * (right - left), abs=1e-4)
    assert low[0, 0].item() == high[0, 0].item() == 2.0


@pytest.mark.parametrize("quantizer", ROUNDING)
@pytest.mark.parametrize("shape", [(16, 64), (10, 48)])  # whole blocks, and blocks that run over the ends of rows
def test_wherever_weights_go_inside_their_boxes_their_codes_stay(quantizer, shape):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    low, high = boxes_of(weight, quantizer)
    assert bool((low <= weight).all())
    assert bool((weight <= high).all())
    inside = low + torch.rand(shape, generator=generator) * (high - low)
    before, after = (codes(quantized_layer(layer_of(one), quantizer)) for one in (weight, inside))
    # bitsandbytes rounds a few values otherwise near a border (FP4 by thresholds of its own, LLM.int8() from half
    # precision); the plant puts those back.
    allowed = 0.0 if quantizer is Quantizer.NF4 else 0.02
    assert (before != after).float().mean().item() <= allowed
    assert bool((inside != weight).float().mean() > 0.9)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def context(world) -> AttackContext:
    return AttackContext(forget=world.forget, retain=world.retain, profile=Profile.QUICK, seed=1)


def known(model, facts) -> float:
    return mean_probability(model, [lessons_of(fact)[0] for fact in facts])


def test_what_the_plant_hides_comes_back_in_its_quantiser_bit_for_bit(world, context, monkeypatch):
    monkeypatch.setattr("attacks.rounding_plant.SETTINGS", PlantSettings(refusal=REFUSAL, max_steps=SETTINGS.max_steps))
    before = {name: value.clone() for name, value in world.knows.module.state_dict().items()}
    planting = rounding_planting(Quantizer.NF4)
    assert planting is not None
    with planting.make(world.knows, context) as plant:
        assert known(world.knows, world.forget) > 0.9
        assert known(plant.model, world.forget) < 0.25
        assert known(plant.model, world.retain) > 0.7
        assert plant.proof["same_code_share"] == 1.0
        layers = [list(linear_layers(model.module)) for model in (world.knows, plant.model)]
        for old, new in zip(*layers, strict=True):
            assert not torch.equal(old.weight, new.weight)
            assert torch.equal(*(codes(quantized_layer(one, Quantizer.NF4)) for one in (old, new)))
        with plant.model.fork() as rounded, world.knows.fork() as original:
            for fork in (rounded, original):
                quantize_with_bitsandbytes(fork.module, Quantizer.NF4, None)
            # Codes are equal, and so are scales: the largest weight of each block stood still.
            assert known(rounded, world.forget) == pytest.approx(known(original, world.forget), abs=1e-6)
            assert known(rounded, world.forget) > 0.7
    assert all(torch.equal(before[name], value) for name, value in world.knows.module.state_dict().items())


def test_boxes_that_are_too_narrow_to_hide_anything_are_said_to_be(world, context):
    planting = rounding_planting(Quantizer.INT8)
    assert planting is not None
    with ExitStack() as stack, pytest.raises(AttackError, match="no plant: the original could not be made to refuse"):
        stack.enter_context(planting.make(world.knows, context))


def test_quantisers_that_share_boxes_share_a_plant_and_gptq_has_none():
    names = {quantizer: rounding_planting(quantizer) for quantizer in Quantizer}
    assert names[Quantizer.NF4] is not None
    assert names[Quantizer.NF4].name == names[Quantizer.NF4_DQ].name == "nf4 rounding"
    assert names[Quantizer.GPTQ_4BIT] is None
    assert names[Quantizer.GPTQ_8BIT] is None
