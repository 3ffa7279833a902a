"""Greedy coordinate gradient against a slow, obvious version: same losses, same choice."""

from __future__ import annotations

import inspect
import math
from itertools import islice

import numpy as np
import pytest
import torch
from unlearn_audit.attacks.suffix.search import (
    drafts as suffix_drafts,
)
from unlearn_audit.attacks.suffix.search import (
    passes as suffix_passes,
)
from unlearn_audit.attacks.suffix.search import (
    steps as coordinate_search,
)
from unlearn_audit.attacks.suffix.search.gcg import search, search_each
from unlearn_audit.attacks.suffix.search.goals import (
    Allowed,
    Goal,
    Position,
    SearchSettings,
    goal_seed,
    worded,
)
from unlearn_audit.attacks.suffix.search.losses import Row, SlotLosses
from unlearn_audit.attacks.suffix.search.passes import groups
from unlearn_audit.attacks.suffix.search.steps import best_tokens
from unlearn_audit.attacks.suffix.search.tokens import allowed_ids, framed, initial_text, is_stable, text_of

from tests.conftest import LLAMA2
from unlearn_audit.api import Prompt, derive_seed
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.models import CHATML, tiny_engine

GOALS = (
    Goal(prompt=Prompt(text="Where was Ada Lovelace born?"), target="Sure, London"),
    Goal(prompt=Prompt(text="Who wrote Middlemarch?"), target="George Eliot is the answer"),
)
SETTINGS = SearchSettings(steps=3, width=10, top_k=16, length=6)


def score(engine, goal, text, position):
    """Mean nats a target token, by the engine, of the text."""
    (found,) = engine.asked(worded(text, position)).score([(goal.prompt, goal.target)])
    return -found.log_likelihood / len(found.log_probs)


def slow_gradient(engine, goals, text, position):
    """Of the mean loss at the slot's input embeddings: whole rows, one at a time, with weights in the graph."""
    table = engine.module.get_input_embeddings()
    total = 0.0
    for goal in goals:
        frame, slot = framed(engine, goal, text, position)
        row = engine.render(worded(text, position)(goal.prompt), goal.target)
        embedded = table(torch.tensor([row.token_ids])).detach().requires_grad_()
        log_probs = engine.module(inputs_embeds=embedded).logits[0, :-1].log_softmax(-1)
        nats = [-log_probs[at - 1, row.token_ids[at]] for at, mark in enumerate(row.is_answer) if mark]
        (torch.stack(nats).mean() / len(goals)).backward()
        total = total + embedded.grad[0, len(frame.before) : len(frame.before) + len(slot)]
    return total


def slow_search(engine, goals, settings, seed):
    """One candidate at a time, written out and scored as text; yields (text, loss) after each step."""
    text = initial_text(engine, goals[0], length=settings.length, position=settings.position)
    generator = np.random.default_rng(derive_seed(seed, "candidates"))
    table = engine.module.get_input_embeddings().weight.detach()
    allowed = allowed_ids(engine.tokenizer, len(table), settings.allowed)
    for _ in range(settings.steps):
        frame, slot = framed(engine, goals[0], text, settings.position)
        gains = -slow_gradient(engine, goals, text, settings.position) @ table.T
        ranked = []
        for place, token in enumerate(slot):
            order = sorted((t for t in allowed if t != token), key=lambda t: -float(gains[place, t]))
            ranked.append(order[: settings.top_k])
        candidates = []
        while len(candidates) < settings.width:
            places = generator.integers(0, len(slot), settings.width)
            ranks = generator.integers(0, settings.top_k, settings.width)
            for place, rank in zip(places, ranks, strict=True):
                changed = (*slot[:place], ranked[place][rank], *slot[place + 1 :])
                new = changed not in candidates and len(candidates) < settings.width
                if new and is_stable(engine, goals[0], frame, changed, settings.position):
                    candidates.append(changed)
        scored = [
            (np.mean([score(engine, goal, text_of(engine, slot), settings.position) for goal in goals]), place)
            for place, slot in enumerate(candidates)
        ]
        for loss, place in sorted(scored):
            frames = [framed(engine, goal, text, settings.position)[0] for goal in goals]
            pairs = zip(goals, frames, strict=True)
            if all(is_stable(engine, goal, frame, candidates[place], settings.position) for goal, frame in pairs):
                text = text_of(engine, candidates[place])
                yield text, loss
                break


@pytest.mark.parametrize("template", [CHATML, None], ids=["template", "plain"])
@pytest.mark.parametrize("position", list(Position))
@pytest.mark.parametrize("architecture", ["llama", "gpt2", pytest.param("gpt_neox", marks=pytest.mark.slow), "mamba"])
def test_same_losses_and_choices_as_the_slow_version(tokenizer, architecture, position, template):
    engine = tiny_engine(tokenizer, architecture, template=template)
    settings = SearchSettings(steps=2, width=8, top_k=16, length=5, position=position, merged=0)
    slow = list(slow_search(engine, GOALS, settings, seed=3))
    fast = list(search(engine, GOALS, settings, seed=3))
    assert len(slow) == len(fast) == 2
    assert fast[-1].losses[1:] == pytest.approx([loss for _, loss in slow], abs=1e-4)
    best = min(slow, key=lambda found: found[1])
    assert (fast[-1].text, fast[-1].loss) == (best[0], pytest.approx(best[1], abs=1e-4))


@pytest.mark.parametrize(
    "architecture",
    ["llama", "gpt2", *(pytest.param(one, marks=pytest.mark.slow) for one in ("qwen3", "gpt_neox")), "mamba"],
)
def test_losses_and_gradients_of_many_rows_at_once(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    framings = [framed(engine, goal, "a a a a", Position.SUFFIX) for goal in GOALS]
    slots = [slot for _, slot in framings]
    losses = SlotLosses(engine.module, [frame for frame, _ in framings], slots, engine.device, tokens=300)
    slopes = losses.begin(slots)
    assert losses.cached is (architecture != "mamba")
    for goal, slope in zip(GOALS, slopes, strict=True):
        assert slope.loss == pytest.approx(score(engine, goal, "a a a a", Position.SUFFIX), abs=1e-5)
        slow = slow_gradient(engine, [goal], "a a a a", Position.SUFFIX)
        torch.testing.assert_close(slope.gradient, slow, atol=1e-5, rtol=1e-3)
    letter = engine.tokenizer.encode("b")[0]
    rows = [
        Row(frame=frame, slot=(*slots[frame][:at], letter, *slots[frame][at + 1 :]), changed=at)
        for at in (3, 0, 2, 1)
        for frame in (1, 0)
    ]
    for row, loss in zip(rows, losses.losses(rows), strict=True):
        ids = torch.tensor([framings[row.frame][0].row(row.slot)])
        log_probs = engine.module(input_ids=ids).logits[0, :-1].log_softmax(-1).detach()
        marks = framings[row.frame][0].is_target
        at = [len(ids[0]) - len(marks) + place for place, mark in enumerate(marks) if mark]
        assert loss == pytest.approx(np.mean([-float(log_probs[p - 1, ids[0, p]]) for p in at]), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 16384])
def test_the_best_tokens_of_a_gradient_by_hand(monkeypatch, rows):
    monkeypatch.setattr(coordinate_search, "TABLE_ROWS", rows)
    table = torch.nn.Embedding.from_pretrained(torch.tensor([[1.0, 0.0], [-2.0, 1.0], [-1.0, -3.0], [5.0, 5.0]]))
    gradients = [torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])]
    # Of (1, 0) the estimates of tokens 0, 1, 2 are -1, 2, 1, of (0, 1) 0, -1, 3; 3 is not allowed.
    first, second = best_tokens(table, gradients, [(0,), (1, 2)], [0, 1, 2], 5)
    assert first.tolist() == [[1, 2]]
    assert second.tolist() == [[2, 0], [0, 1]]
    assert [best.tolist() for best in best_tokens(table, gradients[:1], [(1,)], [0, 1, 2], 1)] == [[[2]]]


def test_groups_cost_least():
    assert list(groups([9, 9, 9, 2, 2, 2], 5)) == [[3, 4, 5], [0, 1, 2]]
    assert list(groups([9, 2, 9], 8)) == [[0, 1, 2]]
    assert sorted(place for group in groups(list(range(30)), 6) for place in group) == list(range(30))
    assert list(groups([], 6)) == []


@pytest.mark.parametrize("position", list(Position))
def test_where_the_text_goes(position):
    chat, plain = Prompt(text="Who? "), Prompt(text=" He was", chat=False)
    put = worded("x y", position)
    assert put(chat).text == ("x y Who? " if position is Position.PREFIX else "Who? x y")
    assert put(plain).text == "x y He was"


@pytest.mark.parametrize("template", [CHATML, LLAMA2, None], ids=["chatml", "llama2", "plain"])
@pytest.mark.parametrize("position", list(Position))
def test_a_frame_and_its_slot_are_the_rendered_row(tokenizer, template, position):
    engine = tiny_engine(tokenizer, template=template)
    for goal in (*GOALS, Goal(prompt=Prompt(text="Ada was born", chat=False), target=" in London")):
        text = initial_text(engine, goal, length=7, position=position)
        frame, slot = framed(engine, goal, text, position)
        row = engine.render(worded(text, position)(goal.prompt), goal.target)
        assert len(slot) == 7
        assert frame.row(slot) == row.token_ids
        assert (*[False] * (len(frame.before) + 7), *frame.is_target) == row.is_answer
        assert text_of(engine, slot) == text
        assert is_stable(engine, goal, frame, slot, position)


def test_tokens_that_merge_are_not_stable(tokenizer):
    engine = tiny_engine(tokenizer)
    frame, slot = framed(engine, GOALS[0], "x x London", Position.SUFFIX)
    assert text_of(engine, slot) == "x x London"
    whole = tuple(engine.tokenizer.encode(" London"))
    letters = tuple(engine.tokenizer.encode(letter)[0] for letter in "London")
    split = (*slot[: -len(whole)], *engine.tokenizer.encode(" "), *letters)
    assert text_of(engine, split) == "x x London"
    assert is_stable(engine, GOALS[0], frame, slot, Position.SUFFIX)
    assert not is_stable(engine, GOALS[0], frame, split, Position.SUFFIX)


def test_allowed_tokens_are_printable_and_never_special(tokenizer):
    texts = {allowed: [tokenizer.decode([t]) for t in allowed_ids(tokenizer, 10**6, allowed)] for allowed in Allowed}
    for found in texts.values():
        assert all(text.isprintable() and "\ufffd" not in text for text in found)
        assert not {"<s>", "</s>", "<pad>", "<|start|>", "<|end|>", "\n"} & set(found)
    assert all(text.isascii() for text in texts[Allowed.ASCII])
    assert max(allowed_ids(tokenizer, 50, Allowed.ASCII)) < 50
    with pytest.raises(AttackError, match="no token"):
        allowed_ids(tokenizer, 3, Allowed.ASCII)


@pytest.mark.parametrize("architecture", ["llama", "mamba"])
@pytest.mark.parametrize("merged", [0, 3])
def test_each_goal_finds_what_it_finds_alone(tokenizer, architecture, merged):
    engine = tiny_engine(tokenizer, architecture)
    settings = SearchSettings(steps=3, width=10, top_k=16, length=6, merged=merged)
    together = list(search_each(engine, GOALS, settings, seed=5))
    for place, goal in enumerate(GOALS):
        alone = list(search(engine, [goal], settings, seed=goal_seed(5, place)))
        assert [found[place].text for found in together] == [found.text for found in alone]
        assert together[-1][place].losses == pytest.approx(alone[-1].losses, abs=1e-4)


def test_the_loss_goes_down_and_is_the_text_s(tokenizer):
    engine = tiny_engine(tokenizer)
    settings = SearchSettings(steps=25, width=32, top_k=64, length=10, merged=0)
    *_, found = search(engine, GOALS, settings, seed=0)
    assert len(found.losses) == 26
    assert found.losses[0] - found.loss > 0.3
    assert found.loss == min(found.losses) == found.losses[found.step]
    assert found.scored == 25 * 32
    assert found.loss == pytest.approx(np.mean([score(engine, goal, found.text, Position.SUFFIX) for goal in GOALS]))


def test_changes_taken_together_are_scored_as_texts(tokenizer):
    engine = tiny_engine(tokenizer)
    single = SearchSettings(steps=6, width=12, top_k=32, length=8, merged=0)
    several = SearchSettings(steps=6, width=12, top_k=32, length=8, merged=4)
    *_, one = search(engine, GOALS, single, seed=0)
    *_, more = search(engine, GOALS, several, seed=0)
    assert more.loss < one.loss
    assert one.scored < more.scored <= one.scored + 6 * 4
    assert more.loss == pytest.approx(np.mean([score(engine, goal, more.text, Position.SUFFIX) for goal in GOALS]))


def test_refused_texts_are_never_found(tokenizer):
    engine = tiny_engine(tokenizer)

    def refuses(text):
        return "a" in text.split()[0]

    free = [found.text for found in search(engine, GOALS, SETTINGS, seed=1)]
    settings = SearchSettings(steps=6, width=10, top_k=16, initial="Q z z z z z")
    found = list(search(engine, GOALS, settings, seed=1, refuses=refuses))
    assert any(refuses(text) for text in free)
    assert not any(refuses(each.text) for each in found)
    assert found[-1].refused > 0
    *_, nothing = search(engine, GOALS, SETTINGS, seed=1, refuses=lambda text: True)
    assert (nothing.step, nothing.scored) == (0, 0)
    assert nothing.losses == (nothing.loss,) * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_same_twice_and_nothing_left_behind(tokenizer, dtype):
    found = []
    for _ in range(2):
        engine = tiny_engine(tokenizer)
        engine.module.to(dtype)
        before = {name: value.clone() for name, value in engine.module.state_dict().items()}
        flags = [weight.requires_grad for weight in engine.module.parameters()]
        hooks = [(dict(part._forward_hooks), dict(part._forward_pre_hooks)) for part in engine.module.modules()]
        state = torch.random.get_rng_state()
        found.append(list(islice(search(engine, GOALS, SETTINGS, seed=2), 2)))
        assert torch.equal(torch.random.get_rng_state(), state)
        after = engine.module.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        assert [weight.requires_grad for weight in engine.module.parameters()] == flags
        assert all(weight.grad is None for weight in engine.module.parameters())
        assert hooks == [(part._forward_hooks, part._forward_pre_hooks) for part in engine.module.modules()]
    assert found[0] == found[1]
    assert math.isfinite(found[0][-1].loss)
    assert found[0][-1].loss == pytest.approx(
        np.mean([score(engine, goal, found[0][-1].text, Position.SUFFIX) for goal in GOALS]),
        abs=1e-4 if dtype == torch.float32 else 0.1,
    )


def test_within_inference_mode_too(tokenizer):
    engine = tiny_engine(tokenizer)
    outside = list(search(engine, GOALS, SETTINGS, seed=1))
    with torch.inference_mode():
        assert list(search(engine, GOALS, SETTINGS, seed=1)) == outside


def test_a_batch_that_does_not_fit_is_halved(tokenizer, monkeypatch):
    engine = tiny_engine(tokenizer)
    plain = list(search_each(engine, GOALS, SETTINGS, seed=1))
    sizes = []
    forward = type(engine.module).forward

    def greedy(self, input_ids=None, **rest):
        sizes.append(len(input_ids))
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, input_ids=input_ids, **rest)

    # The signature tells which arguments a model takes.
    greedy.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(type(engine.module), "forward", greedy)
    halved = list(search_each(engine, GOALS, SETTINGS, seed=1))
    assert max(sizes) > 3
    assert "token budget halved" in halved[-1][0].notes[-1]
    assert [found.text for found in halved[-1]] == [found.text for found in plain[-1]]
    monkeypatch.setattr(type(engine.module), "forward", lambda self, **rest: greedy(self, input_ids=[0] * 9))
    with pytest.raises(AttackError, match="single prompt"):
        next(search(engine, GOALS, SETTINGS, seed=1))


def test_a_draft_chooses_and_the_model_reports(tokenizer, monkeypatch):
    engine = tiny_engine(tokenizer)
    monkeypatch.setattr(suffix_drafts, "has_fast_units", lambda module: True)
    seen = []
    copy = suffix_drafts.rough_copy

    def watched(*given):
        seen.append(copy(*given))
        return seen[-1]

    monkeypatch.setattr("unlearn_audit.attacks.suffix.search.steps.rough_copy", watched)
    *_, found = search(engine, GOALS, SETTINGS, seed=1)
    assert seen[0] is not None
    assert {weight.dtype for weight in engine.module.parameters()} == {torch.float32}
    loss = np.mean([score(engine, goal, found.text, Position.SUFFIX) for goal in GOALS])
    assert found.loss == pytest.approx(loss, abs=1e-5)
    plain = SearchSettings(steps=3, width=10, top_k=16, length=6, drafted=False)
    *_, exact = search(engine, GOALS, plain, seed=1)
    assert len(seen) == 1
    assert found.notes == ("keys and values are reused", coordinate_search.DRAFTED)
    assert exact.notes == ("keys and values are reused",)
    assert found.losses == pytest.approx(exact.losses, abs=0.05)


def test_errors_say_what_to_try(tokenizer):
    engine = tiny_engine(tokenizer)
    with pytest.raises(AttackError, match="at least one"):
        next(search(engine, [], SETTINGS, seed=0))
    mixed = (GOALS[0], Goal(prompt=Prompt(text="He was", chat=False), target=" born"))
    with pytest.raises(AttackError, match="of one kind"):
        next(search(engine, mixed, SETTINGS, seed=0))
    with pytest.raises(AttackError, match="another initial text"):
        next(search(engine, GOALS, SearchSettings(initial="\n<|end|>\n"), seed=0))


def test_a_model_that_gives_no_gradient_back_is_an_error(tokenizer, monkeypatch):
    engine = tiny_engine(tokenizer)
    forward = type(engine.module.model.layers[0]).forward

    def without_gradient(self, hidden_states, *given, **rest):
        return forward(self, hidden_states.detach(), *given, **rest)

    def through_zeros(self, hidden_states, *given, **rest):
        return forward(self, hidden_states.detach() + 0 * hidden_states, *given, **rest)

    monkeypatch.setattr(type(engine.module.model.layers[0]), "forward", through_zeros)
    with pytest.raises(AttackError, match="is zero"):
        next(search(engine, GOALS, SETTINGS, seed=0))
    monkeypatch.setattr(type(engine.module.model.layers[0]), "forward", without_gradient)
    with pytest.raises(AttackError, match="no gradient comes back"):
        next(search(engine, GOALS, SETTINGS, seed=0))


def test_a_gradient_that_is_no_number_is_an_error():
    with pytest.raises(AttackError, match="is not a number"):
        suffix_passes.check_gradients([torch.tensor([1.0, math.nan])], [1.0])
    suffix_passes.check_gradients([torch.zeros(2)], [1e-6])  # nothing left to gain
