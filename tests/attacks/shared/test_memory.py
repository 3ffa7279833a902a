"""What full fine-tuning is counted to need: by hand, and for a model of eight billion weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unlearn_audit.attacks.shared import memory
from unlearn_audit.attacks.shared.memory import GIB, Batch, full_training_bytes, room_for

from unlearn_audit.api.extent import Audited, Extent, extent_of

BATCH = Batch(texts=2, tokens=10)
SMALL = Audited(
    extent=Extent(weights=1000, stored_bytes=2000, largest=100, blocks=2, within=60, width=5, vocabulary=20),
    dtype="bfloat16",
)


def billions() -> Audited:
    """Llama 3 of 8 B."""
    block = {
        "self_attn.q_proj": (4096, 4096),
        "self_attn.k_proj": (1024, 4096),
        "self_attn.v_proj": (1024, 4096),
        "self_attn.o_proj": (4096, 4096),
        "mlp.gate_proj": (14336, 4096),
        "mlp.up_proj": (14336, 4096),
        "mlp.down_proj": (4096, 14336),
        "input_layernorm": (4096,),
        "post_attention_layernorm": (4096,),
    }
    named = [(f"model.layers.{place}.{name}.weight", shape) for place in range(32) for name, shape in block.items()]
    named += [("model.embed_tokens.weight", (128256, 4096)), ("lm_head.weight", (128256, 4096)), ("norm", (4096,))]
    return Audited(extent=extent_of((name, shape, 0) for name, shape in named), dtype="bfloat16")


def test_by_hand():
    """20 positions. Plain: the model 2000, copy and moments 12000, gradients 4000 and 4 x 4 x 100 while they move."""
    assert full_training_bytes(SMALL, BATCH) == 2000 + 12000 + max(4 * 20 * (60 + 3 * 20), 4000 + 1600)
    # Frugal: copy 2000, moments 2 x 1015.6; 2 x 20 x 5 x 2 into the blocks; 2 x 20 x 3 x 20 of logits.
    expected = 2000 + 2000 + 2 * 1015.625 + 400 + max(2 * 20 * 60, 2 * 20 * 30, 200 + 1600)
    assert full_training_bytes(SMALL, BATCH, frugal=True) == int(expected)
    adapter = replace(SMALL, is_adapter=True)
    assert full_training_bytes(adapter, BATCH) == full_training_bytes(SMALL, BATCH) + 2000


def test_eight_billion_weights_need_at_most_sixty_gib_frugally_and_more_than_a_gpu_has_plainly():
    model, batch = billions(), Batch(texts=16, tokens=256)
    assert model.extent.weights == 8_030_261_248
    assert (model.extent.blocks, model.extent.width, model.extent.vocabulary) == (32, 4096, 128256)
    assert full_training_bytes(model, batch, frugal=True) < 60 * GIB
    assert full_training_bytes(model, batch) > 130 * GIB


@pytest.mark.parametrize(
    ("free", "asked", "frugal", "fits"),
    [
        (25_000, None, False, True),
        (10_000, None, True, True),
        (10_000, False, False, False),
        (25_000, True, True, True),
        (100, None, False, False),
    ],
)
def test_the_plain_way_is_taken_where_it_fits_then_the_frugal_one(monkeypatch, free, asked, frugal, fits):
    monkeypatch.setattr(memory, "available_bytes", lambda _: (free, "a test machine"))
    room = room_for(SMALL, BATCH, frugal=asked)
    assert (room.frugal, room.why_not_at_all is None) == (frugal, fits)
    assert (room.why_not_plain is None) == (free == 25_000)


def test_of_experts_a_token_meets_two_however_they_are_stored():
    rest = [("model.embed.weight", (50, 8), 1600), ("model.layers.0.attn.weight", (8, 8), 256)]
    apart = [(f"model.layers.0.experts.{place}.up.weight", (16, 8), 512) for place in range(4)]
    stacked = [("model.layers.0.experts.up", (4, 16, 8), 2048)]
    found = [extent_of([*rest, *experts]) for experts in (apart, stacked)]
    assert [one.within for one in found] == [16 + 2 * 24] * 2
    assert [one.weights for one in found] == [400 + 64 + 512] * 2
    assert (found[0].largest, found[1].largest) == (400, 512)
    assert {(one.blocks, one.width, one.vocabulary) for one in found} == {(1, 8, 50)}
    assert [one.mixture for one in found] == [True, True]
    assert not extent_of([*rest, ("model.layers.0.mlp.shared_expert.up.weight", (16, 8), 512)]).mixture


def test_of_no_tensors_nothing_is_known():
    assert extent_of(()).weights == 0


def test_a_model_takes_what_the_audit_loads_it_in(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    asked = {dtype: memory.loaded_bytes(replace(SMALL, dtype=dtype)) for dtype in ("auto", "float32", "float16")}
    assert asked == {"auto": 4000, "float32": 4000, "float16": 2000}


def test_memory_is_read_from_this_machine():
    free, where = memory.available_bytes(SMALL)
    assert free > 2**20
    assert where
