"""The forecast: what a probe asks is counted on the probe, what it costs on the model, and neither leaves a trace."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from tests.run.test_runner import Bare, Baseline, Nothing, laid_out
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Access, Arm, Fact, FactSet, Measure, Probe, Prompt, Reading, Role, ScoreKind
from unlearn_audit.plan import speed as speed_module
from unlearn_audit.plan.forecast import KEPT_SECONDS, forecast, forecast_on
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.rehearsal import SAMPLE, Rehearsal, rehearsed
from unlearn_audit.plan.speed import Speed, measured
from unlearn_audit.run.isolation import fingerprint
from unlearn_audit.testing.models import tiny_engine

KNOWN = Speed(read=1.0, step=100.0, lesson=10_000.0, copied=0.0, length=0.5, said=("a word",))


class Asking(Probe[Nothing]):
    """Reads one answer and scores two, of which one has the prompt of the other."""

    name, summary, paper, access, Parameters = "recall", "Asks.", "", Access.PROMPTS, Nothing
    measures = (Measure(name="hit", kind=ScoreKind.SOFT, gates=True),)
    under_attacks = True

    def observe(self, model, facts, pool):
        prompts = [Prompt(text=fact.question) for fact in facts]
        assert all(each.text == "a word" for each in model.generate(prompts, max_new_tokens=9))
        scores = model.score([(prompt, word) for prompt in prompts for word in ("yes", "no")])
        for fact, score in zip(facts, scores[::2], strict=True):
            yield Reading(fact_id=fact.id, measure="hit", variant="question", score=score.probability)


class Teaching(Bare):
    name = "teaching"

    def arms(self, context):
        return (Arm(name="half", doses=2, share=0.5, training_texts=7),)


class Unready(Asking):
    name = "unready"

    def observe(self, model, facts, pool):
        raise KeyError("what is prepared later")


@pytest.fixture
def live(spec):
    attacks = {one.name: one for one in (Baseline(Nothing()), Teaching(Nothing()))}
    probes = {"recall": Asking(Nothing())}
    plain = spec.model_copy(update={"original": None})
    return laid_out(replace(make_plan(plain), attacks=attacks, probes=probes, placebo={}))


@pytest.fixture(scope="module")
def engine(tokenizer):
    return tiny_engine(tokenizer)


def test_a_forecast_adds_up_what_probes_ask_and_attacks_train(live, engine, monkeypatch):
    monkeypatch.setattr(speed_module, "measured", lambda *_, **__: KNOWN)
    found = forecast_on(live, engine, loading=0.0)
    facts = live.pool(FactSet.FORGET)
    prompts = [len(engine.renderer.prompt_ids(Prompt(text=fact.question))) for fact in facts]
    answers = [
        [sum(engine.render(Prompt(text=fact.question), word).is_answer) for word in ("yes", "no")] for fact in facts
    ]
    whole = [len(engine.render(Prompt(text=fact.question), "yes").token_ids) for fact in facts]
    assert engine.shares_prefixes  # so that the second answer of a prompt is read without it
    read = sum(prompts) + sum(whole) + sum(second for _, second in answers)
    steps = len(facts) * 0.5 * (9 - 1)
    assert found.probes["recall"] == pytest.approx(2 * (read + 100 * steps), rel=0.2)  # as-is, and two doses of half
    assert found.attacks["as-is"] == pytest.approx(read + 100 * steps, rel=0.2)
    teaching = next(found.jobs[job.key] for job in live.plan.jobs if job.attack == "teaching")
    assert teaching.own == pytest.approx(KEPT_SECONDS + 7 * 10_000)
    assert found.seconds == pytest.approx(sum(found.attacks.values()) + found.loading)
    own = {job.attack: found.jobs[job.key] for job in live.plan.jobs if job.model.role is Role.UNLEARNED}
    look = sum(own["teaching"].probes.values())  # two doses of half the facts
    assert found.evaluations == pytest.approx((own["as-is"].seconds + own["teaching"].seconds) / look)


def test_a_large_set_is_tried_on_a_sample_and_a_probe_that_is_not_ready_counts_like_the_others(live, engine):
    facts = tuple(Fact(id=str(n), subject=f"S{n}", question=f"Who is S{n}?", answer="A") for n in range(50 * SAMPLE))
    many = replace(live, facts={FactSet.FORGET: replace(live.facts[FactSet.FORGET], facts=facts)})
    asked = []

    class Counting(Asking):
        def observe(self, model, facts, pool):
            asked.append(len(facts))
            yield from super().observe(model, facts, pool)

    probes = {"recall": Counting(Nothing()), "unready": Unready(Nothing())}
    found = rehearsed(replace(many, probes=probes), engine, KNOWN, ("recall", "unready"))
    assert max(asked) == SAMPLE and sum(asked) < 2 * SAMPLE
    assert found.keys() == {"recall"}
    assert found["recall"].of(2 * len(facts)) == pytest.approx(2 * found["recall"].of(len(facts)), rel=0.05)
    both = laid_out(replace(live, probes={"recall": Asking(Nothing()), "unready": Unready(Nothing())}))
    told = forecast_on(both, engine).probes
    assert told["unready"] == pytest.approx(told["recall"], rel=0.5)


def test_a_speed_is_measured_and_leaves_the_model_the_threads_and_the_randomness_as_they_were(live, engine):
    def state():
        weights = [(one.requires_grad, one.grad) for one in engine.module.parameters()]
        return fingerprint(engine.module), weights, torch.get_num_threads(), torch.get_rng_state().tolist()

    before = state()
    found = measured(engine, live.pool(FactSet.FORGET))
    assert state() == before
    assert 0 < found.read < found.lesson
    assert 0 < found.length <= 1 and found.step > 0 and found.copied > 0
    assert len(found.said) == len(live.pool(FactSet.FORGET))


def test_a_rehearsal_is_an_engine_with_nothing_of_its_own_to_learn(engine):
    own = {one.name for one in fields(Rehearsal)} - {one.name for one in fields(type(engine))}
    assert own == {"work", "said", "length"}


def test_the_checkpoint_is_loaded_for_it(live):
    found = forecast(live)
    assert set(found.attacks) == {"as-is", "teaching"} and found.loading > 0
    assert found.jobs.keys() == {job.key for job in live.plan.jobs}
