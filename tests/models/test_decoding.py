"""Answers whose ended rows leave the batch are what `generate` says, for every architecture that allows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unlearn_audit.api import Prompt
from unlearn_audit.models.short_cuts import rows_may_leave
from unlearn_audit.models.writing.decoding import Decoder, Read
from unlearn_audit.models.writing.stops import Stops
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

PROMPTS = [Prompt(text=f"Where was {'Ada ' * (place % 3)}Lovelace {place} born?") for place in range(9)]


@pytest.mark.parametrize("template", [CHATML, None])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_answers_are_those_of_generate(tokenizer, architecture, template):
    engine = tiny_engine(tokenizer, architecture, template=template)
    if not engine.rows_leave:
        pytest.skip("it keeps no keys and values of the usual form, or minds padding")
    plain = replace(engine, rows_leave=False)
    for tokens in (1, 12):
        assert engine.generate(PROMPTS, max_new_tokens=tokens) == plain.generate(PROMPTS, max_new_tokens=tokens)


def test_the_usual_models_let_rows_leave(tokenizer):
    for architecture in ("llama", "qwen3", "gemma3_text", "gpt_neox", "mixtral"):
        assert tiny_engine(tokenizer, architecture).rows_leave, architecture


class Counting(torch.nn.Module):
    """Says 1 for as long as a row's own number goes, then 2; it counts the rows of a step."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def forward(self, input_ids, attention_mask, position_ids, *, use_cache, past_key_values=None):
        assert use_cache
        cache = Counted(input_ids[:, -1].clone()) if past_key_values is None else past_key_values
        self.rows.append(len(input_ids))
        logits = torch.zeros((len(input_ids), 1, 3))
        logits[:, 0, 1] = 1.0
        logits[cache.left <= 1, 0, 2] = 2.0
        cache.left -= 1
        out = type("Out", (), {})()
        out.logits, out.past_key_values = logits, cache
        return out


class Counted:
    def __init__(self, left):
        self.left = left

    def batch_select_indices(self, at):
        self.left = self.left[at]


def test_rows_leave_once_a_quarter_has_ended():
    module = Counting()
    ids = torch.tensor([[0, 1], [0, 4], [0, 2], [0, 6]])
    decoder = Decoder(module=module, stops=Stops(ends=frozenset({2})))
    found = decoder.answers(Read(ids=ids, mask=torch.ones_like(ids)), [9, 9, 9, 5])
    assert found == [[2], [1, 1, 1, 2], [1, 2], [1] * 5]
    assert module.rows == [4, 3, 2, 2, 1]


def test_a_row_that_has_ended_and_stays_says_nothing_more():
    module = Counting()
    ids = torch.tensor([[1], [5], [5], [5], [5]])
    decoder = Decoder(module=module, stops=Stops(ends=frozenset({2})))
    found = decoder.answers(Read(ids=ids, mask=torch.ones_like(ids)), [3] * 5)
    assert found == [[2], *[[1, 1, 1]] * 4]
    assert module.rows == [5, 5, 5]


def test_a_model_that_answers_otherwise_without_its_neighbour_keeps_its_rows(tokenizer):
    engine = tiny_engine(tokenizer)
    assert rows_may_leave(engine)
    forward = engine.module.forward

    def minds(*args, **kwargs):
        out = forward(*args, **kwargs)
        out.logits = out.logits + torch.linspace(0, len(out.logits), out.logits.shape[-1])
        return out

    engine.module.forward = minds
    assert not rows_may_leave(engine)
