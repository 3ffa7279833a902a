"""Samples of the engine: drawn from the model's own distribution, whatever else is in the batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare

from unlearn_audit.api import Prompt
from unlearn_audit.models.batching import Budget
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.writing.sampling import Draw, GumbelNoise
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

PROMPTS = [
    Prompt(text="Where was Ada Lovelace born?"),
    Prompt(text="Who?"),
    Prompt(text="What is the capital of France? " * 4),
    Prompt(text="a plain text to continue", chat=False),
]


def drawn(engine: Engine, prompts=PROMPTS, count=3, seed=5, temperature=1.0):
    return engine.sample(prompts, count=count, max_new_tokens=6, seed=seed, temperature=temperature)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("template", [CHATML, None], ids=["chat", "plain"])
def test_samples_depend_on_no_batch(tokenizer, architecture, template):
    engine = tiny_engine(tokenizer, architecture, template=template)
    together = drawn(engine)
    for prompt, samples in zip(PROMPTS, together, strict=True):
        assert drawn(engine, [prompt])[0] == samples
        assert drawn(engine, [prompt], count=2)[0] == samples[:2]  # the first of many are those of few
    assert drawn(engine, PROMPTS[::-1])[::-1] == together
    for changed in ({"budget": Budget(tokens=1)}, {"repeats_prompts": False}, {"left_padding": False}):
        assert drawn(replace(engine, **changed)) == together
    assert engine.repeats_prompts == (architecture != "mamba")


def test_the_seed_decides_and_samples_differ(tokenizer):
    engine = tiny_engine(tokenizer)
    first = drawn(engine)
    assert drawn(engine) == first
    assert drawn(engine, seed=6) != first
    assert len({one.text for one in first[0]}) == 3


def test_towards_temperature_zero_a_sample_is_the_greedy_answer(tokenizer):
    engine = tiny_engine(tokenizer)
    greedy = engine.generate(PROMPTS, max_new_tokens=6)
    for temperature in (0.0, 1e-6):
        assert drawn(engine, temperature=temperature) == [[one] * 3 for one in greedy]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_first_token_has_the_models_own_distribution(tokenizer, temperature):
    engine = tiny_engine(tokenizer)
    ids = engine.renderer.prompt_ids(PROMPTS[0])
    with torch.inference_mode():
        logits = engine.module(torch.tensor([ids])).logits[0, -1].double()
        probabilities = torch.softmax(logits / temperature, -1)
        draws = [Draw(ids=tuple(ids), seed=seed) for seed in range(3000)]
        sampler = engine.sampler(engine.greedy(1), temperature)
        seen = Counter(row[0] for row in sampler.draw(draws))
    order = probabilities.argsort(descending=True).tolist()
    common = [token for token in order if probabilities[token] * len(draws) >= 5]
    observed = [seen[token] for token in common]
    expected = [float(probabilities[token]) * len(draws) for token in common]
    rest = len(draws) - sum(expected)
    if rest >= 5:
        observed, expected = [*observed, len(draws) - sum(observed)], [*expected, rest]
    assert len(expected) > 20
    expected = [value * sum(observed) / sum(expected) for value in expected]
    assert chisquare(observed, expected).pvalue > 0.01


def test_noise_is_the_same_for_every_model_and_new_at_every_step():
    logits = torch.zeros(2, 9)
    first, other = GumbelNoise([1, 2], 1.0), GumbelNoise([2], 1.0)
    steps = [first(logits, logits) for _ in range(2)]
    assert torch.equal(steps[0][1:], other(logits[:1], logits[:1]))
    assert not torch.equal(steps[0], steps[1])
    many = torch.cat([GumbelNoise([seed], 1.0)(logits, torch.zeros(1, 500)) for seed in range(200)])
    assert float(many.mean()) == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert float(many.std()) == pytest.approx(1.2825, abs=0.02)  # pi / sqrt(6)


def test_several_ways_of_asking_are_joined_sample_by_sample(tokenizer):
    engine = tiny_engine(tokenizer)

    def shouted(prompt: Prompt) -> Prompt:
        return replace(prompt, text=prompt.text.upper())

    both = drawn(engine.asked(lambda prompt: prompt, shouted), PROMPTS[:1])[0]
    apart = [drawn(engine.asked(way), PROMPTS[:1])[0] for way in (lambda prompt: prompt, shouted)]
    for one, *parts in zip(both, *apart, strict=True):
        assert list(one.parts) == parts


def test_a_remembering_engine_draws_once_and_a_soft_prompt_is_sampled_behind(tokenizer):
    engine = tiny_engine(tokenizer)
    calls = []
    engine.module.register_forward_pre_hook(lambda *_: calls.append(1))
    memory = engine.remembering()
    first = drawn(memory)
    count = len(calls)
    assert drawn(memory) == first
    assert len(calls) == count > 0
    rows = engine.module.get_input_embeddings()(torch.tensor([30, 41])).detach()
    with engine.with_soft_prompt(rows) as soft:
        assert drawn(soft) == drawn(replace(soft, repeats_prompts=False)) != first


def test_the_prompt_of_many_samples_is_read_once(tokenizer):
    engine = tiny_engine(tokenizer)
    seen = []
    engine.module.register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    engine.sample(PROMPTS[2:3], count=8, max_new_tokens=2, seed=1)
    long = [shape for shape in seen if shape[1] > 1]
    assert [shape[0] for shape in long] == [1]
