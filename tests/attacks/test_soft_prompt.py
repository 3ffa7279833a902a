"""Soft prompts: the descent beside doing it by hand, and a world in which it is known what was hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from unlearn_audit.attacks.shared.hiding import mean_probability
from unlearn_audit.attacks.shared.splits import lessons_of
from unlearn_audit.attacks.shared.training import answer_loss
from unlearn_audit.attacks.soft_prompt import (
    SoftPrompt,
    SoftPromptParameters,
    descend,
    soft_rows,
    starting_rows,
    typical_size,
)

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import AttackContext, Fact, FactSet, Profile, Prompt
from unlearn_audit.errors import AttackError
from unlearn_audit.testing.architectures import ARCHITECTURES
from unlearn_audit.testing.models import tiny_engine

WHO = Prompt(text="Who wrote Middlemarch?")


FORGET = first_subjects(FactSet.FORGET, 32)
CONTEXT = AttackContext(forget=FORGET, retain=(), profile=Profile.QUICK, seed=1)


def soft_prompt(**parameters: object) -> SoftPrompt:
    return SoftPrompt(SoftPromptParameters(**{"steps": (40,), **parameters}))


def recovered(name: str) -> tuple[float, float]:
    """Mean answer probability of one organism on one fold, asked plainly and behind a prompt of the other fold."""
    engine, attack = bundled(name), soft_prompt(steps=(60,))
    (dose,) = attack.doses(engine, attack.arms(CONTEXT)[0], CONTEXT)
    lessons = [lessons_of(fact)[0] for fact in FORGET if fact.id in dose.fact_ids]
    return mean_probability(engine, lessons), mean_probability(dose.model, lessons)


def test_what_was_hidden_comes_back_and_what_was_never_learned_does_not():
    before, after = recovered("refusal")
    assert before < 0.25
    assert after > before + 0.25
    never, still = recovered("retrained-1")
    assert still < never + 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_is_the_sign_of_the_gradient_and_the_weights_stay(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    flags = [weight.requires_grad for weight in engine.module.parameters()]
    start = starting_rows(engine, 3)
    assert start.shape == (3, 64)
    assert torch.equal(start[0], start[2])
    with engine.with_soft_prompt(start) as slow, engine.with_soft_prompt(start) as fast:
        rows = [slow.render(WHO, "Eliot"), slow.render(WHO, "London")]
        free = soft_rows(slow).requires_grad_()
        wanted = []
        for _ in range(3):
            free.grad = None
            loss = answer_loss(slow, rows)
            loss.backward()
            wanted.append(float(loss.detach()))
            free.data = free.data - 0.01 * torch.sign(free.grad)
        descent = descend(fast, iter([rows] * 3), step=0.01)
        assert list(descent) == pytest.approx(wanted, abs=1e-5)
        assert torch.allclose(soft_rows(fast).detach(), free.detach(), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in engine.module.state_dict().items())
    assert [weight.requires_grad for weight in engine.module.parameters()] == flags


def test_a_step_is_measured_by_the_models_own_embeddings():
    engine, lessons = bundled("original"), lessons_of(FORGET[0])[:1]
    ids = set(engine.render(lessons[0].prompt, lessons[0].answer).token_ids)
    rows = engine.module.get_input_embeddings().weight[sorted(ids)]
    assert typical_size(engine, lessons) == pytest.approx(float(rows.square().mean().sqrt()), rel=1e-5)
    with engine.fork(copy_weights=True) as empty:
        empty.module.get_input_embeddings().weight.data.zero_()
        with pytest.raises(AttackError, match="with a positive root mean square, got 0"):
            typical_size(empty, lessons)


def test_half_precision_trains_too(tokenizer):
    engine = tiny_engine(tokenizer)
    for dtype in (torch.bfloat16, torch.float16):
        with engine.fork(copy_weights=True) as fork:
            fork.module.to(dtype)
            with fork.with_soft_prompt(starting_rows(fork, 2)) as soft:
                rows = [soft.render(WHO, "Eliot")]
                losses = list(descend(soft, iter([rows] * 8), step=0.05))
                assert soft_rows(soft).dtype == torch.float32
        assert losses[-1] < losses[0] - 0.5


def test_doses_are_those_of_their_fold():
    attack = soft_prompt(steps=(1, 3), length=2)
    scored = []
    for arm in attack.arms(CONTEXT):
        found = []
        for dose in attack.doses(bundled("original"), arm, CONTEXT):
            found.append((dose.label, dose.value, dose.proof["steps"], len(dose.proof["losses"]), dose.dropped))
            shown = set(dose.shown)
        assert found == [("2 rows size 0.6 step 1", 1, 1, 1, 0), ("2 rows size 0.6 step 3", 3, 3, 3, 0)]
        assert len(shown) == 16 * 3 * 4
        scored.append(dose.fact_ids)
        own = [lesson.text for fact in FORGET if fact.id in dose.fact_ids for lesson in lessons_of(fact)]
        assert not shown & set(own)
    assert scored[0] | scored[1] == {fact.id for fact in FORGET}
    assert not scored[0] & scored[1]


def test_of_several_starts_the_one_that_learned_its_lessons_best_is_scored(tokenizer, monkeypatch):
    engine, context = tiny_engine(tokenizer), replace(CONTEXT, forget=FORGET[:12])

    def last(starts: int):
        attack = soft_prompt(steps=(3,), starts=starts, length=2)
        (dose,) = attack.doses(engine, attack.arms(context)[0], context)
        return dose.proof

    one, two = last(1), last(2)
    assert two["losses_of_starts"][0] == one["losses_of_starts"][0]
    best = min(two["losses_of_starts"])
    assert best == pytest.approx(sum(two["losses"]) / 3, abs=1e-5)
    broken = torch.full((2, 64), float("nan"))
    monkeypatch.setattr("unlearn_audit.attacks.soft_prompt.starting_rows", lambda *_: broken)
    assert last(2)["losses_of_starts"] == [None, two["losses_of_starts"][1]]
    with pytest.raises(AttackError, match="broke down in step 1"):
        last(1)


def test_a_loss_that_is_no_number_is_an_error(tokenizer):
    with (
        tiny_engine(tokenizer).with_soft_prompt(torch.full((1, 64), float("nan"))) as soft,
        pytest.raises(AttackError, match="broke down in step 1"),
    ):
        next(descend(soft, iter([[soft.render(WHO, "Eliot")]]), step=0.1))


def test_passages_can_be_trained_on(tokenizer):
    facts = tuple(
        Fact(id=who, subject=who, text=f"{who} was born in London, and wrote the end of it.")
        for who in ("Ada", "George", "Mary", "Eliot")
    )
    attack = soft_prompt(steps=(1,))
    passages = AttackContext(forget=facts, retain=(), profile=Profile.QUICK, seed=1)
    labels = [
        dose.label for arm in attack.arms(passages) for dose in attack.doses(tiny_engine(tokenizer), arm, passages)
    ]
    assert labels == ["4 rows size 0.6 step 1"] * 2


@pytest.mark.parametrize("wrong", [{"steps": (5, 3)}, {"step_sizes": (0.1, 0.1)}, {"folds": 1}, {"length": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        SoftPromptParameters(**wrong)
