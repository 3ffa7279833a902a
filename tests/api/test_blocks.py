"""The blocks of a model, found by what goes into them and what comes out, in whatever architecture."""

from __future__ import annotations

import pytest
import torch

from unlearn_audit.api.kit.blocks import layers_of, watching
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_input_of_a_block_is_the_hidden_state_that_shift_points_to(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    layers = layers_of(engine)
    assert (len(layers.blocks), layers.width) == (2, 64)
    ids, seen = torch.tensor([[5, 6, 7]]), {}
    with torch.inference_mode(), watching(layers.blocks, lambda *_: None, before=seen.__setitem__):
        states = engine.module(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    assert torch.allclose(seen[layers.blocks[1]], states[1 - layers.shift], atol=1e-5)


@pytest.mark.parametrize(("architecture", "path"), [("llama", "model"), ("mamba", "backbone")])
def test_a_model_of_one_block_has_it(tokenizer, architecture, path):
    engine = tiny_engine(tokenizer, architecture)
    core = engine.module.get_submodule(path)
    core.layers = core.layers[:1]
    engine.module.config.num_hidden_layers = 1
    assert layers_of(engine).blocks == tuple(core.layers)


def test_a_model_that_was_watched_keeps_no_hook(tokenizer):
    engine = tiny_engine(tokenizer)

    def hooks() -> int:
        return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in engine.module.modules())

    layers_of(engine)  # transformers records hidden states by hooks of its own, from the first time on
    before = hooks()
    layers_of(engine)
    assert hooks() == before
