"""Prompts that open alike are answered as if each were read whole, and are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unlearn_audit.api import Prompt
from unlearn_audit.api.kit.blocks import keep_head_inputs_whole
from unlearn_audit.api.kit.training.openings import shared_length
from unlearn_audit.models.short_cuts import may_share_openings
from unlearn_audit.models.writing.openings import Opening, openings
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

STORY = "the capital of France is Paris, and a little more text to merge at the end of the answer. " * 2
PROMPTS = [Prompt(text=f"{STORY}Where was {'Ada ' * (place % 3)}Lovelace {place} born?") for place in range(9)]
OTHERS = [Prompt(text=f"{place} Who wrote Middlemarch?") for place in range(3)]


@pytest.mark.parametrize("template", [CHATML, None])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_answers_are_those_of_prompts_read_whole(tokenizer, architecture, template):
    engine = tiny_engine(tokenizer, architecture, template=template)
    plain = replace(engine, shares_openings=False)
    prompts = [*OTHERS[:1], *PROMPTS, *OTHERS[1:]]
    assert engine.generate(prompts, max_new_tokens=5) == plain.generate(prompts, max_new_tokens=5)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3", "gpt_neox"])
def test_the_opening_is_read_once(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    assert engine.shares_openings
    read = []
    engine.module.get_input_embeddings().register_forward_hook(lambda _, args, __: read.append(args[0].numel()))
    replace(engine, shares_openings=False).generate(PROMPTS, max_new_tokens=1)
    whole = sum(read)
    read.clear()
    engine.generate(PROMPTS, max_new_tokens=1)
    assert sum(read) < whole / 2


def test_a_recurrent_model_reads_every_prompt_whole(tokenizer):
    assert not tiny_engine(tokenizer, "mamba").shares_openings


def test_a_model_that_minds_padding_behind_the_opening_is_seen(tokenizer):
    engine = tiny_engine(tokenizer)
    assert engine.shares_openings
    forward = engine.module.forward

    def minds(*args, **kwargs):
        out = forward(*args, **kwargs)
        if kwargs.get("past_key_values") is not None and kwargs["past_key_values"].get_seq_length() > 20:
            out.logits = out.logits + torch.linspace(0, 1, out.logits.shape[-1])
        return out

    engine.module.forward = minds
    assert not may_share_openings(engine)


def test_the_output_head_reads_one_piece_of_memory(tokenizer):
    engine = tiny_engine(tokenizer)
    seen = []
    engine.module.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].stride()))
    ids = torch.arange(24).view(2, 12)
    plain = engine.module(input_ids=ids, logits_to_keep=3).logits
    keep_head_inputs_whole(engine.module)
    whole = engine.module(input_ids=ids, logits_to_keep=3).logits
    assert torch.allclose(plain, whole, atol=1e-5)
    width = engine.module.config.hidden_size
    assert seen == [(12 * width, width, 1), (3 * width, width, 1)]


def test_groups_hold_what_opens_alike_and_lose_nothing():
    alike = [(*range(1, 41), place) for place in range(50, 58)]
    few = [(1, 7, 7, place) for place in range(3)]
    rows = [*few[:1], *alike, *few[1:], (1,)]
    found = openings(rows)
    assert found == [Opening(places=tuple(range(1, 9)), shared=40), Opening(places=(11, 0, 9, 10), shared=1)]
    assert openings([]) == []


def test_the_grouping_that_reads_least_is_taken():
    system, story = range(30), range(100, 160)
    plain = [(*system, 200 + place, *range(300, 340)) for place in range(10)]  # 30 of 71 are shared by all
    told = [(*system, *story, 400 + place) for place in range(10)]  # and 90 of 91 among these
    assert [(len(one.places), one.shared) for one in openings(plain)] == [(10, 30)]
    assert sorted((len(one.places), one.shared) for one in openings([*plain, *told])) == [(10, 30), (10, 90)]
    assert shared_length((1, 2, 3), (1, 2)) == 2


@pytest.mark.parametrize("architecture", ["gemma3_text", "mistral"])
def test_padding_behind_an_opening_takes_nothing_of_a_sliding_window(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture, template=None)
    config = engine.module.config
    if not getattr(config, "sliding_window", None):
        pytest.skip("no window")
    story = "the capital of France is Paris and so it goes on. "
    told = [Prompt(text=story + "and a little more. " * (place * 3)) for place in range(9)]
    rows = [engine.renderer.prompt_ids(prompt) for prompt in told]
    shared = shared_length(rows[0], rows[-1])
    wide = engine.continuation(8)
    assert wide._read(rows, shared).cached == (shared if max(map(len, rows)) + 8 <= config.sliding_window else 0)
    config.sliding_window = 24
    assert wide._read(rows, shared).cached == 0
    assert wide._read([row[:15] for row in rows], 14).cached == 14
