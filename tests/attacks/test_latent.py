"""Latent: the descent beside doing it by hand, and what it opens on organisms, beside its sham."""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import islice

import pytest
import torch
from unlearn_audit.attacks.shared.residual_stream import add_before, residual_stream
from unlearn_audit.attacks.shared.splits import lessons_of
from unlearn_audit.attacks.shared.training import answer_loss
from unlearn_audit.attacks.steering.latent import Latent, LatentParameters, descend
from unlearn_audit.probes.recall import Recall, RecallParameters

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import AttackContext, FactSet, Profile, Prompt
from unlearn_audit.errors import AttackError
from unlearn_audit.plan.stand_ins import sham_facts
from unlearn_audit.testing.models import tiny_engine

FORGET = first_subjects(FactSet.FORGET, 16)
WHO = Prompt(text="Who wrote Middlemarch?")


def context_of(forget=FORGET) -> AttackContext:
    return AttackContext(forget=forget, retain=(), profile=Profile.QUICK, seed=1)


@contextmanager
def vector_in(engine):
    with engine.fork() as fork:
        vector = torch.zeros(64, requires_grad=True)
        add_before(residual_stream(fork), 1, vector)
        yield fork, vector


def test_a_step_is_the_sign_of_the_gradient_and_the_weights_stay(tokenizer):
    engine = tiny_engine(tokenizer)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    with vector_in(engine) as (slow, free), vector_in(engine) as (fast, vector):
        rows = [slow.render(WHO, "Eliot")]
        wanted = []
        for _ in range(3):
            loss = answer_loss(slow, rows)
            (gradient,) = torch.autograd.grad(loss, [free])
            wanted.append(float(loss.detach()))
            free.data = free.data - 0.01 * gradient.sign()
        assert list(islice(descend(fast, vector, iter([rows] * 3), step=0.01), 3)) == pytest.approx(wanted, abs=1e-5)
        assert torch.allclose(vector, free, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in engine.module.state_dict().items())


def test_a_loss_that_is_no_number_is_an_error(tokenizer):
    with vector_in(tiny_engine(tokenizer)) as (fork, vector):
        vector.data.fill_(float("nan"))
        with pytest.raises(AttackError, match="broke down in step 1"):
            next(descend(fork, vector, iter([[fork.render(WHO, "Eliot")]]), step=0.1))


def test_what_it_trains_on_is_of_other_subjects_and_shown():
    attack = Latent(LatentParameters(steps=(1, 2)))
    scored = set()
    for arm in attack.arms(context_of()):
        with closing(attack.doses(bundled("original"), arm, context_of())) as doses:
            labels = [(dose.label, dose.value, len(dose.proof["losses"])) for dose in doses if (last := dose)]
        assert labels == [("depth 0.5 step 1", 1, 1), ("depth 0.5 step 2", 2, 2)]
        own = {lesson.text for fact in FORGET if fact.id in last.fact_ids for lesson in lessons_of(fact)}
        assert last.shown
        assert not own & set(last.shown)
        scored |= last.fact_ids
    assert scored == {fact.id for fact in FORGET}


@pytest.mark.science
def test_a_refusal_is_opened_and_neither_a_sham_nor_what_was_never_learned_comes():
    attack = Latent(LatentParameters())

    def shown(name: str, forget=FORGET) -> float:
        context = context_of(forget)
        with closing(attack.doses(bundled(name), attack.arms(context)[0], context)) as doses:
            dose = next(doses)
            asked = [fact for fact in forget if fact.id in dose.fact_ids]
            readings = list(Recall(RecallParameters(max_paraphrases=0)).observe(dose.model, asked, forget))
        return sum(one.score or 0.0 for one in readings if one.measure == "hit") / len(asked)

    assert shown("refusal") >= 0.8
    assert shown("refusal", sham_facts(FORGET, seed=0)) < 0.15
    assert shown("retrained-1") < 0.15
