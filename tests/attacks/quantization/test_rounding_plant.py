"""A model that is masked in full precision and whole again in one quantizer: boxes by hand, by chance, and at work."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from torch import nn
from unlearn_audit.attacks.quantization.formats import Backend, Quantizer
from unlearn_audit.attacks.quantization.layers.gguf import quantize_with_gguf
from unlearn_audit.attacks.quantization.plant import SETTINGS, boxes_of, rounding_planting
from unlearn_audit.attacks.quantization.rounding_boxes import codes_of
from unlearn_audit.attacks.quantization.with_bitsandbytes import quantize_with_bitsandbytes
from unlearn_audit.attacks.shared.hiding import PlantSettings, mean_probability
from unlearn_audit.attacks.shared.linear_layers import LinearLayer, linear_layers
from unlearn_audit.attacks.shared.splits import lessons_of

from tests.science.masked_organism import REFUSAL, World, make_world
from unlearn_audit.api import AttackContext, Profile
from unlearn_audit.errors import AttackError

ROUNDING = [Quantizer.NF4, Quantizer.FP4, Quantizer.INT8, Quantizer.Q4_0]


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


def test_boxes_of_q4_0_by_hand():
    # The largest is -2, so that d is 0.25: codes run from -2 (0) to +1.75 (15), in boxes of 0.125 to both sides.
    weight = torch.zeros(1, 32)
    weight[0, :5] = torch.tensor([-2.0, 0.0, 1.9, -1.95, 0.2])
    low, high = boxes_of(weight, Quantizer.Q4_0)
    assert low[0, 0].item() == high[0, 0].item() == -2.0
    narrower = 0.02 * 0.25
    assert (low[0, 1].item(), high[0, 1].item()) == pytest.approx((-0.125 + narrower, 0.125 - narrower))
    # The last box is open to the block's largest magnitude; the first begins there.
    assert (low[0, 2].item(), high[0, 2].item()) == pytest.approx((1.625 + 0.0075, 2.0 - 0.0075))
    assert (low[0, 3].item(), high[0, 3].item()) == pytest.approx((-2.0 + 0.0025, -1.875 - 0.0025))
    assert (low[0, 4].item(), high[0, 4].item()) == pytest.approx((0.125 + narrower, 0.375 - narrower))


def test_the_boxes_of_a_block_of_positive_extreme_are_the_mirror_image():
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(5))
    low, high = boxes_of(weight, Quantizer.Q4_0)
    mirrored_low, mirrored_high = boxes_of(-weight, Quantizer.Q4_0)
    torch.testing.assert_close(low, -mirrored_high)
    torch.testing.assert_close(high, -mirrored_low)


def test_a_block_of_zeros_stays():
    low, high = boxes_of(torch.zeros(2, 32), Quantizer.Q4_0)
    assert not low.any()
    assert not high.any()


SHAPES = [(16, 64), (10, 48)]  # whole blocks, and blocks that run over the ends of rows


@pytest.mark.parametrize(
    ("quantizer", "shape"),
    [(each, shape) for each in ROUNDING for shape in SHAPES if each is not Quantizer.Q4_0 or shape[1] % 32 == 0],
)
def test_wherever_weights_go_inside_their_boxes_their_codes_stay(quantizer, shape):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    low, high = boxes_of(weight, quantizer)
    assert bool((low <= weight).all())
    assert bool((weight <= high).all())
    inside = low + torch.rand(shape, generator=generator) * (high - low)
    before, after = (codes_of(layer_of(one), quantizer) for one in (weight, inside))
    # bitsandbytes rounds a few values otherwise near a border (FP4 by thresholds of its own, LLM.int8() from half
    # precision); the plant puts those back.
    allowed = 0.0 if quantizer in (Quantizer.NF4, Quantizer.Q4_0) else 0.02
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


@pytest.mark.parametrize("quantizer", [Quantizer.NF4, Quantizer.Q4_0])
def test_what_the_plant_hides_comes_back_in_its_quantizer_bit_for_bit(world, context, monkeypatch, quantizer):
    rounding = quantize_with_gguf if quantizer.backend is Backend.GGUF else quantize_with_bitsandbytes
    monkeypatch.setattr(
        "unlearn_audit.attacks.quantization.plant.SETTINGS",
        PlantSettings(refusal=REFUSAL, max_steps=SETTINGS.max_steps),
    )
    before = {name: value.clone() for name, value in world.knows.module.state_dict().items()}
    planting = rounding_planting(quantizer)
    assert planting is not None
    with planting.make(world.knows, context) as plant:
        assert known(world.knows, world.forget) > 0.9
        assert known(plant.model, world.forget) < 0.25
        assert known(plant.model, world.retain) > 0.7
        assert plant.proof["same_code_share"] == 1.0
        layers = [list(linear_layers(model.module)) for model in (world.knows, plant.model)]
        for old, new in zip(*layers, strict=True):
            assert not torch.equal(old.weight, new.weight)
            assert torch.equal(*(codes_of(one, quantizer) for one in (old, new)))
        with plant.model.fork() as rounded, world.knows.fork() as original:
            for fork in (rounded, original):
                rounding(fork.module if rounding is quantize_with_gguf else fork, quantizer, None)
            # Codes are equal, and so are scales: the largest weight of each block stood still.
            assert known(rounded, world.forget) == pytest.approx(known(original, world.forget), abs=1e-6)
            assert known(rounded, world.forget) > 0.7
    assert all(torch.equal(before[name], value) for name, value in world.knows.module.state_dict().items())


def test_boxes_that_are_too_narrow_to_hide_anything_are_said_to_be(world, context):
    planting = rounding_planting(Quantizer.INT8)
    assert planting is not None
    with ExitStack() as stack, pytest.raises(AttackError, match="no plant: the original could not be made to refuse"):
        stack.enter_context(planting.make(world.knows, context))


def test_quantizers_that_share_boxes_share_a_plant_and_unknown_boxes_have_none():
    names = {quantizer: rounding_planting(quantizer) for quantizer in Quantizer}
    assert names[Quantizer.NF4] is not None
    assert names[Quantizer.NF4].name == names[Quantizer.NF4_DQ].name == "nf4 rounding"
    assert {quantizer for quantizer, planting in names.items() if planting is not None} == {*ROUNDING, Quantizer.NF4_DQ}
