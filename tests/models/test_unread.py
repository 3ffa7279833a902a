"""Prompts that are longer than what a model reads: missing with the reason wherever hidden states are used."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from unlearn_audit.attacks.shared.residual_stream import mean_states, residual_stream
from unlearn_audit.probes.comparisons.representation import Representation, RepresentationParameters
from unlearn_audit.probes.comparisons.traces import Traces, TracesParameters
from unlearn_audit.probes.lens.probe import Lens, LensParameters

from unlearn_audit.api import Fact, FactSet, Model, Profile, Prompt, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext
from unlearn_audit.errors import AuditError, NotApplicableError
from unlearn_audit.testing.models import tiny_engine

LONG = "Who is " + "very " * 300 + "old?"
REASON = r"\d+ tokens, longer than the 256 that the model reads"


@pytest.fixture(params=["gpt2", "llama"])
def model(request, tokenizer) -> Model:
    """Learned positions end with an error behind the context; rotary ones go on, where nothing was trained."""
    engine = tiny_engine(tokenizer, request.param)
    assert engine.context == 256
    return engine


def facts(count: int, prefix: str) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            id=f"{prefix}{n}", subject=f"{prefix} {n}", question=f"Who is {prefix} {n}?", answer=f"N{n}", relation="is"
        )
        for n in range(count)
    )


def with_a_long_one(count: int, prefix: str) -> tuple[Fact, ...]:
    first, *others = facts(count, prefix)
    return (dataclasses.replace(first, question=LONG), *others)


def test_states_of_the_others_are_what_they_are_alone(model):
    prompts = [Prompt(text="Who?"), Prompt(text=LONG), Prompt(text="Where?")]
    states = model.hidden_states(prompts, layers=[0, 2])
    alone = model.hidden_states([prompts[0], prompts[2]], layers=[0, 2])
    assert states[[0, 2]].equal(alone)
    assert bool(states[1].isnan().all())
    assert [model.unread(prompt) is None for prompt in prompts] == [True, False, True]
    with pytest.raises(AuditError, match=f"no prompt can be read: {REASON}"):
        model.hidden_states(prompts[1:2], layers=[0])


def test_the_lens_misses_the_long_one_with_its_reason_and_reads_the_rest_as_before(model):
    lens = Lens(LensParameters(options=4, minimum_subjects=2))
    asked = with_a_long_one(16, "A")
    found = {(one.fact_id, one.measure, one.variant): one for one in lens.observe(model, asked, asked)}
    long = [one for one in found.values() if one.fact_id == "A0"]
    assert long and all(one.score is None and "longer than the 256" in one.missing for one in long)
    others = lens.observe(model, asked[1:], asked)
    assert all(found[one.fact_id, one.measure, one.variant].score == pytest.approx(one.score) for one in others)
    assert {one.measure for one in found.values() if one.score is not None} == {"exposure", "logit", "linear"}


def test_a_direction_is_the_mean_over_what_is_read(model):
    with model.fork() as fork:
        stream = residual_stream(fork)
        prompts = [Prompt(text="Who?"), Prompt(text="Where?")]
        both = mean_states(fork, stream, [*prompts, Prompt(text=LONG)], [1])
        assert both.equal(mean_states(fork, stream, prompts, [1]))
        with pytest.raises(NotApplicableError, match=f"no question can be read: {REASON}"):
            mean_states(fork, stream, [Prompt(text=LONG)], [1])


@pytest.mark.parametrize("kind", ["representation", "traces"])
def test_comparisons_leave_out_what_one_of_the_models_does_not_read(model, kind):
    comparison, name = {
        "representation": (Representation(RepresentationParameters(resamples=20)), FactSet.FORGET),
        "traces": (Traces(TracesParameters(answer_tokens=2, benign_steps=1, words=64)), FactSet.RETAIN),
    }[kind]
    context = ComparisonContext(facts={name: with_a_long_one(10, "A")}, profile=Profile.QUICK, seed=0)
    own = comparison.extract(model, context)
    roles = (Role.ORIGINAL, Role.UNLEARNED)
    found = list(comparison.compare([Compared(role=role, name=str(role), features=own) for role in roles], context))
    assert found and all(one.estimate is not None and np.isfinite(one.estimate) for one in found)
    assert {one.size for one in found} == {9}
