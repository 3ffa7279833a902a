"""Low-rank updates on experts that are stored as one stack: each has its own, and merged it is a plain stack again."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from unlearn_audit.attacks.shared.descent.adapters import add_scaled_lora, expert_stacks
from unlearn_audit.attacks.shared.refusal_plant import merged_copy
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import lesson_batches, optimize, own_parameters

from tests.attacks.test_experts import MIXTURES, SMALL
from unlearn_audit.api import Prompt
from unlearn_audit.testing.models import tiny_engine


def mixture(tokenizer, kind):
    config = AutoConfig.for_model(kind, **{**SMALL, **MIXTURES[kind]})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = AutoModelForCausalLM.from_config(config).eval()
    return replace(tiny_engine(tokenizer), module=module)


@pytest.mark.parametrize("kind", [*sorted(MIXTURES), "recurrent_gemma"])
def test_lora_trains_every_expert_by_an_update_of_its_own(kind, tokenizer):
    """Of random weights in random stacks the update has the rank that was asked for, and each expert another."""
    engine = mixture(tokenizer, kind) if kind in MIXTURES else tiny_engine(tokenizer, kind)
    stacks = expert_stacks(engine.module)
    assert bool(stacks) is (kind in MIXTURES)
    before = {name: weight.detach().clone() for name, weight in engine.module.named_parameters()}
    lessons = [Lesson(prompt=Prompt(text=f"Where was {who} born?"), answer="London.") for who in ("Ada", "Ann", "Al")]
    with merged_copy(engine, rank=2, seed=0) as made:
        batches = lesson_batches(made.model, lessons, size=3, seed=0)
        losses = list(optimize(made.model, batches, learning_rate=3e-3, steps=6))
        trained, _ = made.finished()
        after = {name: weight.detach() for name, weight in trained.module.named_parameters()}
        asked = [(lesson.prompt, lesson.answer) for lesson in lessons]
        learned = sum(score.log_likelihood for score in trained.score(asked))
    assert learned > sum(score.log_likelihood for score in engine.score(asked)) + 0.2
    assert losses[-1] < losses[0]
    assert after.keys() == before.keys()
    for name in stacks:
        changes = [torch.linalg.svdvals(change) for change in after[name] - before[name] if change.any()]
        assert len(changes) >= 2, name  # an expert that no token meets learns nothing
        assert all(float(values[2:].max()) < 1e-3 * float(values[0]) for values in changes), name
    assert all(torch.equal(weight, before[name]) for name, weight in engine.module.named_parameters())


def test_the_first_draw_of_an_expert_s_update_goes_by_the_sizes_of_that_expert(tokenizer):
    plain = mixture(tokenizer, "qwen3_moe")
    loud = copy.deepcopy(plain.module)
    stack = loud.model.layers[0].mlp.experts.down_proj
    with torch.no_grad():
        stack[1] *= 100.0
    drawn = []
    for module in (plain.module, loud):
        with plain.with_module(module).fork() as fork, torch.inference_mode(mode=False):
            own_parameters(fork.module)
            add_scaled_lora(fork.module, rank=2, seed=0)
            parts = fork.module.model.layers[0].mlp.experts.modules()
            (low,) = [one.lora_A for one in parts if getattr(one, "parameter_name", "") == "down_proj"]
            drawn.append(low["attack"].weight.detach().unflatten(0, (4, 2)))
    ratio = (drawn[1] / drawn[0]).mean((1, 2))
    # A hundred times as large: the root of it in the columns, the other in the rows.
    assert ratio.tolist() == pytest.approx([1, 10, 1, 1], rel=1e-3)
