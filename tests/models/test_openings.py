"""Prompts that open alike are answered as if each were read whole, and are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unlearn_audit.api import Prompt
from unlearn_audit.models.openings import Opening, openings, shared_length
from unlearn_audit.models.short_cuts import may_share_openings
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


def test_groups_hold_what_opens_alike_and_lose_nothing():
    alike = [(1, 2, 3, 4, place) for place in range(10, 18)]
    few = [(1, 7, 7, place) for place in range(3)]
    rows = [*few[:1], *alike, *few[1:], (1,)]
    found = openings(rows)
    assert found == [Opening(places=tuple(range(1, 9)), shared=4), Opening(places=(11, 0, 9, 10), shared=1)]
    assert openings([]) == []
    assert shared_length((1, 2, 3), (1, 2)) == 2
