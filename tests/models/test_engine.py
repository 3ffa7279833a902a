"""The engine against slow, obvious versions of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.conftest import LLAMA2
from unlearn_audit.api import Prompt, Rendered
from unlearn_audit.errors import AuditError
from unlearn_audit.models.batching import Budget, batches
from unlearn_audit.models.shared_prefix import group_rows, score_groups
from unlearn_audit.models.short_cuts import with_checked_padding
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

PAIRS = [
    (Prompt(text="Where was Ada Lovelace born?"), "London."),
    (Prompt(text="Who?"), "George Eliot wrote Middlemarch, and a little more text."),
    (Prompt(text="What is the capital of France? " * 4), "Paris"),
    (Prompt(text="Tell", prefix="The answer is"), "Paris"),
    (Prompt(text="a plain text to continue", chat=False), " with more of it"),
    (Prompt(text="Who wrote it?", system="Answer briefly."), "Eliot"),
]
PROMPTS = [prompt for prompt, _ in PAIRS]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("template", [CHATML, None], ids=["chat", "plain"])
def test_scores_and_answers_do_not_depend_on_the_batch(tokenizer, architecture, template):
    engine = tiny_engine(tokenizer, architecture, template=template)
    together = engine.score(PAIRS)
    answers = engine.generate(PROMPTS, max_new_tokens=8)
    for budget in (1, 100):
        other = replace(engine, budget=Budget(tokens=budget))
        for one, two in zip(together, other.score(PAIRS), strict=True):
            assert one.log_probs == pytest.approx(two.log_probs, abs=1e-4)
            assert one.greedy == two.greedy
        assert other.generate(PROMPTS, max_new_tokens=8) == answers


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_scores_are_those_of_a_token_by_token_reading(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    for (prompt, answer), score in zip(PAIRS, engine.score(PAIRS), strict=True):
        rendered = engine.render(prompt, answer)
        expected, greedy = [], []
        for place, token in enumerate(rendered.token_ids):
            if not rendered.is_answer[place]:
                continue
            before = torch.tensor([rendered.token_ids[:place]])
            with torch.no_grad():
                logits = engine.module(input_ids=before).logits[0, -1]
            expected.append(float(torch.log_softmax(logits, -1)[token]))
            greedy.append(int(logits.argmax()) == token)
        assert score.log_probs == pytest.approx(expected, abs=1e-4)
        assert score.greedy == tuple(greedy)


def test_greedy_answers_are_those_of_a_token_by_token_search(tokenizer):
    engine = tiny_engine(tokenizer)
    for prompt, answer in zip(PROMPTS, engine.generate(PROMPTS, max_new_tokens=6), strict=True):
        ids = engine.renderer.prompt_ids(prompt)
        new: list[int] = []
        while len(new) < 6 and (not new or new[-1] not in engine.renderer.stop_ids):
            with torch.no_grad():
                new.append(int(engine.module(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax()))
        assert answer.text == tokenizer.decode(new, skip_special_tokens=True).strip()
        assert answer.finished == (new[-1] in engine.renderer.stop_ids)


def test_the_answer_is_scored_as_the_template_writes_it(tokenizer):
    engine = tiny_engine(tokenizer, template=LLAMA2)
    rendered = engine.render(Prompt(text="Who?"), "Eliot")
    tokens = [token for token, mark in zip(rendered.token_ids, rendered.is_answer, strict=True) if mark]
    assert tokenizer.decode(tokens) == " Eliot"
    whole = tokenizer.encode("<s>[INST] Who? [/INST] Eliot </s>", add_special_tokens=False)
    assert list(rendered.token_ids) == whole[: len(rendered.token_ids)]
    assert tokenizer.decode(whole[len(rendered.token_ids) :]) == " </s>"


def test_end_of_turn_stops_an_answer(tokenizer):
    engine = tiny_engine(tokenizer)
    assert tokenizer.convert_tokens_to_ids("<|end|>") in engine.renderer.stop_ids
    assert tokenizer.eos_token_id in engine.renderer.stop_ids
    plain = tiny_engine(tokenizer, template=None)
    assert all("\n" in tokenizer.decode([i]) for i in plain.renderer.stop_ids - {tokenizer.eos_token_id})


def test_a_batch_that_does_not_fit_is_halved_and_recorded(tokenizer):
    engine = tiny_engine(tokenizer)
    expected = engine.score(PAIRS)

    class Small(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module, rows: int) -> None:
            super().__init__()
            self.inner, self.rows = inner, rows

        def forward(self, input_ids, **rest):
            if len(input_ids) > self.rows:
                raise torch.OutOfMemoryError("no memory")
            return self.inner(input_ids=input_ids, **rest)

    small = replace(engine, module=Small(engine.module, 2), budget=Budget(tokens=4096))
    for one, two in zip(small.score(PAIRS), expected, strict=True):
        assert one.log_probs == pytest.approx(two.log_probs, abs=1e-4)
    assert small.budget.events
    assert small.budget.tokens < 4096
    with pytest.raises(AuditError, match="single prompt"):
        replace(small, module=Small(engine.module, 0)).score(PAIRS)


def test_a_fork_can_be_changed_and_its_model_stays(tokenizer):
    engine = tiny_engine(tokenizer)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    expected = engine.score(PAIRS)
    with engine.fork() as fork:
        for parameter in fork.module.parameters():
            parameter.requires_grad_(True)
        fork.module.lm_head = torch.nn.Linear(64, len(tokenizer))
        assert fork.score(PAIRS) != expected
    with engine.fork(copy_weights=True) as fork:
        for parameter in fork.module.parameters():
            parameter.data.zero_()
    assert all(torch.equal(before[name], value) for name, value in engine.module.state_dict().items())
    assert engine.score(PAIRS) == expected


def test_shared_forks_take_no_memory_and_keep_ties(tokenizer):
    engine = tiny_engine(tokenizer, "gpt2")
    with engine.fork() as fork:
        ours = {parameter.data_ptr() for parameter in engine.module.parameters()}
        assert {parameter.data_ptr() for parameter in fork.module.parameters()} == ours
        assert fork.module.lm_head.weight is fork.module.transformer.wte.weight
        assert fork.module.lm_head.weight is not engine.module.lm_head.weight


def test_a_remembering_engine_asks_once(tokenizer):
    engine = tiny_engine(tokenizer)
    calls = []
    engine.module.register_forward_pre_hook(lambda *_: calls.append(1))
    memory = engine.remembering()
    first = memory.score(PAIRS), memory.generate(PROMPTS, max_new_tokens=4)
    count = len(calls)
    assert (memory.score(PAIRS[::-1])[::-1], memory.generate(PROMPTS, max_new_tokens=4)) == first
    assert len(calls) == count > 0


def test_hidden_states_are_those_of_the_last_prompt_token(tokenizer):
    engine = tiny_engine(tokenizer)
    states = engine.hidden_states(PROMPTS, layers=[0, 2])
    for place, prompt in enumerate(PROMPTS):
        ids = torch.tensor([engine.renderer.prompt_ids(prompt)])
        with torch.no_grad():
            alone = engine.module(input_ids=ids, output_hidden_states=True).hidden_states
        expected = torch.stack([alone[0][0, -1], alone[2][0, -1]])
        torch.testing.assert_close(states[place], expected, atol=1e-4, rtol=1e-4)


def test_batches_keep_the_budget_and_lose_nothing():
    lengths = [5, 90, 10, 10, 40, 3, 200]
    found = list(batches(lengths, 100))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 100 for batch in found)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_options_behind_a_shared_prompt_get_their_plain_scores(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    answers = ["Paris", "London", "George Eliot wrote Middlemarch", "a", "The capital of France is Paris.", "London is"]
    pairs = [(prompt, answer) for answer in answers for prompt in PROMPTS[:4]] + PAIRS[4:]
    plain = replace(engine, shares_prefixes=False).score(pairs)
    for budget in (4096, 150):
        for one, two in zip(replace(engine, budget=Budget(tokens=budget)).score(pairs), plain, strict=True):
            assert one.log_probs == pytest.approx(two.log_probs, abs=1e-4)
            assert one.greedy == two.greedy
    assert engine.shares_prefixes == (architecture != "mamba")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_what_answers_open_with_is_read_once(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    if not engine.shares_prefixes:
        pytest.skip("it keeps no keys and values that could be shared")
    answers = [f"The capital of France, as all of you know, is {town}" for town in ("Paris", "London", "Rome or so")]
    pairs = [(prompt, answer) for prompt in PROMPTS[:2] for answer in answers]
    plain = replace(engine, shares_prefixes=False).score(pairs)
    before = engine.tally.tokens
    for one, two in zip(engine.score(pairs), plain, strict=True):
        assert one.log_probs == pytest.approx(two.log_probs, abs=1e-4)
        assert one.greedy == two.greedy
    rows = [engine.render(prompt, answer) for prompt, answer in pairs]
    groups = group_rows([prompt for prompt, _ in pairs], rows, engine.budget.tokens)
    assert all(group.shared > group.begun + 5 for group in groups)
    padded = sum(max(one.shared for one in groups) + 3 * max(map(len, one.rests)) for one in groups)
    assert sum(group.read for group in groups) <= (engine.tally.tokens - before).read <= padded + 4


def test_options_of_one_token_need_one_pass(tokenizer):
    engine = tiny_engine(tokenizer)
    first = engine.render(PROMPTS[0], "Paris").token_ids
    begun = engine.render(PROMPTS[0], "Paris").is_answer.index(True)
    rows = tuple(
        Rendered(token_ids=(*first[:begun], token), is_answer=(*[False] * begun, True)) for token in (5, 9, 11)
    )
    (group,) = group_rows([0, 0, 0], rows, 4096)
    assert (group.shared, group.read) == (begun, begun)
    with torch.inference_mode():
        before = engine.tally.tokens
        (found,) = score_groups(engine.module, [group], engine.pad_id, engine.device)
        assert (engine.tally.tokens - before).read == begun
        plain = engine.score_rows(list(rows))
    for one, two in zip(found, plain, strict=True):
        assert one.log_probs == pytest.approx(two.log_probs, abs=1e-4)


@pytest.mark.parametrize(("share", "kept"), [(0.0, True), (0.04, True), (0.4, False)])
def test_half_precision_is_not_taken_for_a_model_that_sees_the_padding(tokenizer, share, kept):
    engine = tiny_engine(tokenizer)
    module = engine.module.to(torch.bfloat16)
    forward = module.forward

    def rounded(*args, **kwargs):
        out = forward(*args, **kwargs)
        if not kwargs["attention_mask"].bool().all():
            out.logits = out.logits + share * out.logits.abs().max()
        return out

    module.forward = rounded
    assert with_checked_padding(replace(engine, module=module, left_padding=True)).left_padding is kept
