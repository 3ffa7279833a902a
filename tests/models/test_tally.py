"""Tokens are counted once, whoever sends them through a model: the engine, an attack, a fork, an adapter."""

from __future__ import annotations

import copy
import time

import pytest
import torch

from unlearn_audit.api import Prompt
from unlearn_audit.api.kit.training.lora import add_lora
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.modules.meter import Meter
from unlearn_audit.models.modules.tally import Tally, Tokens, body_of
from unlearn_audit.testing.models import tiny_engine, tiny_module

PROMPT = Prompt(text="Where was Ada Lovelace born?")
IDS = torch.ones((3, 5), dtype=torch.long)


@pytest.fixture
def engine(tokenizer) -> Engine:
    return tiny_engine(tokenizer)


def spent(engine: Engine, work) -> Tokens:
    before = engine.tally.tokens
    work()
    return engine.tally.tokens - before


def test_what_is_asked_is_read_and_what_is_answered_is_generated(engine):
    width = len(engine.renderer.prompt_ids(PROMPT))
    found = spent(engine, lambda: engine.generate([PROMPT], max_new_tokens=4))
    assert found.read == width and 0 <= found.generated <= 3 and found.trained == 0
    rows = [engine.render(PROMPT, answer) for answer in ("London", "In London, I think")]
    with torch.inference_mode():
        found = spent(engine, lambda: engine.score_rows(rows))
    assert found == Tokens(read=2 * max(len(row.token_ids) for row in rows))
    states = spent(engine, lambda: engine.hidden_states([PROMPT], layers=[0]))
    assert states == Tokens(read=width)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mamba"])
def test_forks_copies_and_adapters_are_counted_with_their_model_and_once(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    with engine.fork() as fork:
        assert spent(engine, lambda: fork.module(input_ids=IDS)) == Tokens(trained=15)
        with torch.no_grad():
            assert spent(engine, lambda: fork.module(input_ids=IDS)) == Tokens(read=15)
            assert spent(engine, lambda: copy.deepcopy(fork.module)(input_ids=IDS)) == Tokens(read=15)
            add_lora(fork.module, rank=2, seed=0)
            adapted = engine.with_module(fork.module)
            assert spent(engine, lambda: adapted.module(input_ids=IDS)) == Tokens(read=15)
            embedded = fork.module.get_input_embeddings()(IDS)
            assert spent(engine, lambda: adapted.module(inputs_embeds=embedded)) == Tokens(read=15)


def test_a_peft_model_is_counted_once_and_a_module_by_its_last_engine(engine, tokenizer):
    from peft import LoraConfig, get_peft_model

    module = tiny_module("llama", len(tokenizer))
    one = Engine(module=module, renderer=engine.renderer, budget=Budget(tokens=64))
    wrapped = get_peft_model(module, LoraConfig(r=2, target_modules="all-linear"))
    other = Engine(module=wrapped, renderer=engine.renderer, budget=Budget(tokens=64))
    assert body_of(wrapped) is body_of(module)
    with torch.no_grad():
        assert spent(other, lambda: wrapped(input_ids=IDS)) == Tokens(read=15)
    assert one.tally.tokens == Tokens()


def test_each_pass_is_told_and_what_is_no_batch_is_not_counted():
    told: list[int] = []
    tally, module = Tally(), torch.nn.Identity()
    tally.heard_by = lambda: told.append(tally.tokens.trained)
    tally.watch(module)
    tally.watch(module)
    module(torch.zeros(2, 7))
    module(torch.zeros(3))
    assert told == [14]


def test_a_meter_has_the_peak_since_it_was_made(engine):
    large = Meter(engine.tally)
    block = torch.ones(2**24)
    peak = large.spent().peak_bytes
    del block
    meter = Meter(engine.tally)
    until = time.monotonic() + 60
    while not meter.spent().processor_seconds and time.monotonic() < until:  # the system counts in hundredths
        engine.generate([PROMPT], max_new_tokens=2)
    found = meter.spent()
    assert 0 < found.peak_bytes < peak
    assert found.tokens_read > 0 and found.processor_seconds > 0 and found.device_peak_bytes is None
