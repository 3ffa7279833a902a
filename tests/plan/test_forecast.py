"""The forecast: what a probe asks is counted on the probe, what it costs on the model, and neither leaves a trace."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch

from tests.run.test_runner import Bare, Baseline, Nothing, laid_out
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Access, Arm, Fact, FactSet, Generation, Measure, Probe, Prompt, Reading, Role, ScoreKind
from unlearn_audit.plan.forecasting import speed as speed_module
from unlearn_audit.plan.forecasting.forecast import KEPT_SECONDS, forecast, forecast_on
from unlearn_audit.plan.forecasting.rehearsal import SAMPLE, Rehearsal, rehearsed
from unlearn_audit.plan.forecasting.speed import Speed, measured
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run.isolation import fingerprint
from unlearn_audit.testing.models import tiny_engine

KNOWN = Speed(read=1.0, turn=700.0, step=100.0, lesson=10_000.0, copied=0.0, length=5, longest=8, said=("a word",))


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
    rows = [len(engine.render(Prompt(text=fact.question), "yes").token_ids) for fact in facts]
    assert engine.shares_prefixes  # so that the second answer of a prompt is read without it
    read = sum(prompts) + sum(rows) + sum(second for _, second in answers)
    steps, turns = len(facts) * (5 - 1), 8 - 1
    whole = read + 100 * steps
    # As it is, and two doses of half the facts, each in one batch.
    assert found.probes["recall"] == pytest.approx(2 * whole + 3 * 700 * turns, rel=0.2)
    assert found.attacks["as-is"] == pytest.approx(whole + 700 * turns, rel=0.2)
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
    assert 1 <= found.length <= found.longest and found.step + found.turn > 0 and found.copied > 0
    assert len(found.said) == len(live.pool(FactSet.FORGET))


def test_a_rehearsal_is_an_engine_with_nothing_of_its_own_to_learn(engine):
    own = {one.name for one in fields(Rehearsal)} - {one.name for one in fields(type(engine))}
    assert own == {"work", "speed"}


def test_the_checkpoint_is_loaded_for_it(live):
    found = forecast(live)
    assert set(found.attacks) == {"as-is", "teaching"} and found.loading > 0
    assert found.jobs.keys() == {job.key for job in live.plan.jobs}


@pytest.mark.parametrize(("turn", "step"), [(3.0, 0.5), (3.0, 0.0), (0.0, 0.5)])
def test_what_a_batch_takes_is_parted_between_its_passes_and_its_rows(turn, step):
    def batch(*tokens):
        said = tuple(Generation(text="", finished=True, new_tokens=count) for count in tokens)
        writing = turn * max(tokens) + step * sum(tokens)
        return speed_module._Batch(read=0.1, seconds=writing, writing=writing, answers=said)

    assert speed_module._shares([batch(8), batch(4, 8, 6, 2)]) == pytest.approx((turn, step))


def test_answers_that_were_cut_off_are_taken_to_go_on_as_the_others_do():
    def batch(*answers):
        said = tuple(Generation(text="", finished=ended, new_tokens=count) for count, ended in answers)
        return speed_module._Batch(read=0.1, seconds=1.0, writing=1.0, answers=said)

    ended, cut = batch((4, True), (8, True)), batch((4, True), (32, False))
    assert (ended.length, ended.longest) == (6, 8)
    assert (cut.length, cut.longest) == (36, math.inf)
    assert batch((32, False)).length == math.inf
