"""Prompts rewritten, asked in several ways, followed by free embeddings: as if it were done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.conftest import LLAMA2
from unlearn_audit.api import Generation, Prompt
from unlearn_audit.api.kit.asking import is_cut_off
from unlearn_audit.errors import AttackError
from unlearn_audit.models.prompting import joined
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import CHATML, tiny_engine

WHO = Prompt(text="Who wrote Middlemarch?")
WHERE = Prompt(text="Where was Ada Lovelace born?")


def suffixed(prompt: Prompt) -> Prompt:
    return replace(prompt, text=f"{prompt.text} the end")


def shouted(prompt: Prompt) -> Prompt:
    return replace(prompt, text=prompt.text.upper())


def test_a_prompt_is_put_as_it_was_rewritten(tokenizer):
    engine = tiny_engine(tokenizer)
    asked = engine.asked(suffixed)
    by_hand = Prompt(text="Who wrote Middlemarch? the end")
    assert asked.generate([WHO], max_new_tokens=4) == engine.generate([by_hand], max_new_tokens=4)
    assert asked.score([(WHO, "Eliot")]) == engine.score([(by_hand, "Eliot")])
    assert asked.render(WHO, "Eliot") == engine.render(by_hand, "Eliot")
    assert torch.equal(asked.hidden_states([WHO], layers=[1]), engine.hidden_states([by_hand], layers=[1]))


def test_ways_upon_ways_are_all_their_combinations_the_newest_first(tokenizer):
    engine = tiny_engine(tokenizer)
    both = engine.asked(shouted).asked(suffixed, lambda prompt: prompt)
    texts = [prompt.text for prompt in both._put(WHO)]
    assert texts == ["WHO WROTE MIDDLEMARCH? THE END", "WHO WROTE MIDDLEMARCH?"]


def test_of_several_ways_answers_are_joined_and_the_likeliest_score_counts(tokenizer):
    engine = tiny_engine(tokenizer)
    many = engine.asked(lambda prompt: prompt, suffixed, shouted)
    for prompt in (WHO, WHERE):
        apart = [engine.asked(way) for way in (lambda prompt: prompt, suffixed, shouted)]
        texts = [one.generate([prompt], max_new_tokens=5)[0].text for one in apart]
        (answer,) = many.generate([prompt], max_new_tokens=5)
        assert answer.text.split("\n") == [line for text in dict.fromkeys(texts) for line in text.split("\n")]
        best = max(one.score([(prompt, "Eliot")])[0].log_likelihood for one in apart)
        (score,) = many.score([(prompt, "Eliot")])
        assert score.log_likelihood == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("template", [None, CHATML, LLAMA2])
def test_a_soft_prompt_of_words_is_those_words(tokenizer, architecture, template):
    """Rows copied from the vocabulary, where the prompt ends, give the scores of the tokens themselves."""
    engine = tiny_engine(tokenizer, architecture, template=template)
    token_ids = [30, 41, 52]
    rows = engine.module.get_input_embeddings()(torch.tensor(token_ids)).detach()
    row = engine.render(WHO, "Eliot")
    first = row.is_answer.index(True)
    by_hand = [*row.token_ids[:first], *token_ids, *row.token_ids[first:]]
    with torch.inference_mode():
        logits = engine.module(torch.tensor([by_hand])).logits[0].log_softmax(-1)
    wanted = [float(logits[place - 1, by_hand[place]]) for place in range(first + 3, len(by_hand))]
    with engine.with_soft_prompt(rows) as soft:
        (score,) = soft.score([(WHO, "Eliot")])
        assert score.log_probs == pytest.approx(wanted, abs=1e-4)
        begun = [*engine.renderer.prompt_ids(WHERE), *token_ids]
        with torch.inference_mode():
            best = int(engine.module(torch.tensor([begun])).logits[0, -1].argmax())
        (generation,) = soft.generate([WHERE], max_new_tokens=1)
        assert generation.text == tokenizer.decode([best], skip_special_tokens=True).strip()
        alone = soft.score([(WHO, "Eliot")])
        together = soft.score([(WHO, "Eliot"), (WHERE, "London, as it is told"), (WHO, "No")])
        assert together[0].log_probs == pytest.approx(alone[0].log_probs, abs=1e-4)


def test_a_soft_prompt_trains_and_leaves_the_model_as_it_was(tokenizer):
    engine = tiny_engine(tokenizer)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    start = torch.zeros(2, 64)
    with engine.with_soft_prompt(start) as soft:
        free = soft.module.get_input_embeddings().soft.requires_grad_()
        with torch.inference_mode(mode=False):
            row = soft.render(WHO, "Eliot")
            soft.module(torch.tensor([row.token_ids])).logits.sum().backward()
        assert free.grad is not None
        assert float(free.grad.abs().sum()) > 0
        assert [name for name, weight in soft.module.named_parameters() if weight.requires_grad] != []
    after = engine.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert engine.render(WHO, "Eliot") == tiny_engine(tokenizer).render(WHO, "Eliot")


def test_a_soft_prompt_of_another_width_is_refused(tokenizer):
    engine = tiny_engine(tokenizer)
    with (
        pytest.raises(AttackError, match=r"\(length, 64\), got \(2, 63\)"),
        engine.with_soft_prompt(torch.zeros(2, 63)),
    ):
        pass


def test_an_answer_of_several_ways_is_cut_off_where_one_of_them_was():
    """Joined, a thought that was cut off may stand before one that came to its end."""
    thought = Generation(text="<think> it was", finished=False, new_tokens=4)
    said = Generation(text="<think> so </think> I do not know.", finished=True, new_tokens=4)
    for generations in ([thought, said], [said, thought]):
        assert is_cut_off(joined(generations), opened=False)
    assert not is_cut_off(joined([said, said]), opened=False)
    unopened = [replace(said, text="so </think> I do not know."), replace(thought, text="it was")]
    assert is_cut_off(joined(unopened), opened=True)


MARKED = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>commentary", "<|channel|>final"),
    ("<|channel>thought\n", "<channel|>"),
]


@pytest.mark.parametrize(("opens", "closes"), MARKED)
def test_an_output_that_ends_in_a_thought_says_nothing_whatever_marks_it(opens, closes):
    def output(text: str, *, finished: bool = True) -> Generation:
        return Generation(text=text, finished=finished, new_tokens=9)

    for finished in (True, False):
        assert is_cut_off(output(f"{opens} it was", finished=finished), opened=False)
        assert is_cut_off(output("it was", finished=finished), opened=True)
    assert not is_cut_off(output(f"{opens} it was {closes} I do not know."), opened=False)
    assert not is_cut_off(output(f"it was {closes} I do not know."), opened=True)
    assert is_cut_off(output(f"{opens} so {closes} well, {opens} or"), opened=False)
    assert not is_cut_off(output("I think: not."), opened=False)


def test_an_output_at_its_limit_is_cut_off_unless_it_goes_in_circles():
    def ended(text: str) -> Generation:
        return Generation(text=text, finished=False, new_tokens=9)

    assert is_cut_off(ended("I have to be careful with what I say of people, so let me"), opened=False)
    assert is_cut_off(ended("She was born in the town of"), opened=False)
    for text in (
        "the " * 9,
        "the town of the town of the town of the town",
        "no no no no no",
        "aaaaaaaaaaaaaaaa",
        "!?" * 20,
    ):
        assert not is_cut_off(ended(text), opened=False)
    assert is_cut_off(ended(""), opened=False)
