"""The runner with made-up attacks: what spoils a model, what cannot prepare, plants, shams, placebo facts, hygiene."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    Dose,
    FactSet,
    Measure,
    OutOfReach,
    Parameters,
    Plant,
    Planting,
    Probe,
    Reading,
    ScoreKind,
)
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import AttackError
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.layout import lay_out
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.stand_ins import PLACEBO
from unlearn_audit.run.jobs.workplace import Gathered
from unlearn_audit.run.records import job_records
from unlearn_audit.run.runner import run
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.testing.models import tiny_module


class Nothing(Parameters):
    """No parameters."""


class Bare(Attack[Nothing]):
    """Does nothing, under another name than the baseline."""

    name, summary, paper, access, Parameters = "bare", "Does nothing.", "", Access.PROMPTS, Nothing

    def arms(self, context):
        return (Arm(name="bare"),)

    def doses(self, model, arm, context):
        yield Dose(label="bare", value=0, model=model)


class Baseline(Bare):
    name, baseline = "as-is", True

    def arms(self, context):
        return (Arm(name="as-is"),)


class Answers(Probe[Nothing]):
    """Scores a fact by its answer, so that a test can tell whose fact was asked."""

    name, summary, paper, access, Parameters = "recall", "Reads.", "", Access.PROMPTS, Nothing
    measures = (Measure(name="hit", kind=ScoreKind.SOFT, gates=True),)
    under_attacks = True

    def observe(self, model, facts, pool):
        for fact in facts:
            shown = float(next(model.module.parameters()).flatten()[0] > 100)  # a marked model, see Hidden
            score = 0.25 if fact.id.startswith(PLACEBO) else float(fact.answer[1:]) / 10
            yield Reading(fact_id=fact.id, measure="hit", variant="question", score=max(score, shown))


@pytest.fixture
def spec(tmp_path: Path, saved_model: Path, tokenizer) -> AuditSpec:
    facts = tmp_path / "forget.jsonl"
    names = ["Ada Mann", "Bo Lind", "Cy Berg", "Di Falk"]
    rows = [
        {"id": str(i), "subject": name, "question": f"Who is {name}?", "answer": f"N{i}", "relation": "is"}
        for i, name in enumerate(names)
    ]
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    original = tmp_path / "original"
    tiny_module("llama", len(tokenizer), seed=5).save_pretrained(original)
    tokenizer.save_pretrained(original)
    return AuditSpec(checkpoint=str(saved_model), original=str(original), forget=str(facts), attacks={"as-is": {}})


def planned(spec: AuditSpec, *attacks: Attack[Any], **changes: Any) -> LivePlan:
    """The spec's plan with attacks and a probe of the test's own."""
    named: Mapping[str, Attack[Any]] = {attack.name: attack for attack in (Baseline(Nothing()), *attacks)}
    draft = replace(make_plan(spec), attacks=named, probes={"recall": Answers(Nothing())}, **changes)
    return laid_out(draft)


def laid_out(draft: LivePlan) -> LivePlan:
    """The draft with a plan of its own plug-ins."""
    return replace(draft, plan=lay_out(draft))


def ran(plan: LivePlan, out: Path) -> tuple[Gathered, EvidenceStore]:
    store = EvidenceStore(out)
    return run(plan, store, Quiet(Console(stderr=True))), store


class Spoiler(Baseline):
    """Writes into the model that it was given, and may fail besides."""

    fails = False

    def doses(self, model, arm, context):
        yield Dose(label="none", value=0, model=model)
        with torch.no_grad():
            next(model.module.parameters()).add_(1.0)
        if self.fails:
            raise ValueError("besides")


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_that_spoils_its_model_is_a_fault_and_is_not_kept(tmp_path, spec, fails):
    spoiler = Spoiler(Nothing())
    spoiler.fails = fails
    plan = replace(planned(spec.model_copy(update={"seeds": 2})), attacks={"as-is": spoiler})
    for _ in range(2):
        gathered, store = ran(plan, tmp_path / "run")
        assert not any(store.has(job.key) for job in plan.plan.jobs)
        assert len(gathered.faults) == len(plan.plan.jobs)
        assert all("changed the model and did not undo it" in fault.message for fault in gathered.faults)


class SpoilsOnce(Spoiler):
    name, baseline = "spoils", False

    def arms(self, context):
        return (Arm(name="spoils"),)


def test_a_model_that_a_job_spoiled_is_loaded_again_for_the_next_job(tmp_path, spec):
    plan = planned(spec, SpoilsOnce(Nothing()), Bare(Nothing()))
    assert [job.attack for job in plan.plan.jobs][:3] == ["as-is", "spoils", "bare"]
    gathered, store = ran(plan, tmp_path / "run")
    assert {(fault.attack, fault.model) for fault in gathered.faults} == {
        ("spoils", "original"),
        ("spoils", "unlearned"),
    }
    right = run(planned(spec, Bare(Nothing())), EvidenceStore(tmp_path / "alone"), Quiet(Console(stderr=True)))
    assert not right.faults
    for key in (job.key for job in plan.plan.jobs if job.attack == "bare"):
        assert store.about(key)["digest"] == EvidenceStore(tmp_path / "alone").about(key)["digest"]


class Prepares(Bare):
    """Prepares on the original, or fails to."""

    name = "prepares"
    error: Exception | None = None

    def prepare(self, original, context):
        if self.error:
            raise self.error
        return {"chosen": 7}

    def doses(self, model, arm, context):
        yield Dose(label="bare", value=0, model=model, proof={"chosen": context.prepared["chosen"]})


@pytest.mark.parametrize("error", [AttackError("no plant: it would not hide"), ZeroDivisionError("oh")])
def test_an_attack_that_cannot_prepare_loses_its_own_jobs_and_no_others(tmp_path, spec, error):
    attack = Prepares(Nothing())
    attack.error = error
    plan = planned(spec, attack)
    gathered, store = ran(plan, tmp_path / "run")
    assert {(fault.attack, fault.model) for fault in gathered.faults} == {
        ("prepares", "original"),
        ("prepares", "unlearned"),
    }
    assert all(f"could not prepare on the original: {_said(error)}" in fault.message for fault in gathered.faults)
    assert all(store.has(job.key) for job in plan.plan.jobs if job.attack == "as-is")
    # Mended, the same run directory goes on where it stood, and the choices are made before the jobs need them.
    attack.error = None
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert {store.about(job.key)["proof"]["bare"]["chosen"] for job in plan.plan.jobs if job.attack != "as-is"} == {7}


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, AttackError) else f"{type(error).__name__}: {error}"


def test_choices_that_got_lost_are_made_again_and_never_replaced_by_defaults(tmp_path, spec):
    plan = planned(spec, Prepares(Nothing()))
    _, store = ran(plan, tmp_path / "run")
    lost = [job.key for job in plan.plan.jobs if job.attack == "prepares" and job.model.name == "unlearned"]
    for key in (*lost, *plan.plan.prepared_keys.values()):
        for file in (tmp_path / "run" / "jobs" / key).iterdir():
            file.unlink()
        (tmp_path / "run" / "jobs" / key).rmdir()
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert all(store.about(key)["proof"]["bare"]["chosen"] == 7 for key in lost)


class AsksForTheOriginal(Bare):
    """Says what it sees of the original."""

    name = "asks"

    def planting(self, arm, context):
        return Planting(name="copied", make=self._made)

    @contextmanager
    def _made(self, original, context):
        with original.fork(copy_weights=True) as fork:
            yield Plant(model=fork)

    def doses(self, model, arm, context):
        seen = float(next(context.original().parameters()).double().sum()) if context.has_original else None
        yield Dose(label="asks", value=0, model=model, proof={"seen": seen})


def test_an_attack_sees_the_same_original_in_every_role(tmp_path, spec):
    """Where one role had it and another not, an attack could tell which model it has before it."""
    plan = planned(spec.model_copy(update={"plant": True}), AsksForTheOriginal(Nothing()))
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    asked = [job for job in plan.plan.jobs if job.attack == "asks"]
    assert {str(job.model.role) for job in asked} == {"original", "unlearned", "plant"}
    (seen,) = {store.about(job.key)["proof"]["asks"]["seen"] for job in asked}
    assert isinstance(seen, float)


class InsistsOnTheOriginal(AsksForTheOriginal):
    def doses(self, model, arm, context):
        context.original()
        yield Dose(label="asks", value=0, model=model)


def test_without_an_original_an_attack_is_told_so(tmp_path, spec):
    spec = spec.model_copy(update={"original": None})
    plan = planned(spec, AsksForTheOriginal(Nothing()))
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    (asked,) = [job for job in plan.plan.jobs if job.attack == "asks"]
    assert store.about(asked.key)["proof"]["asks"]["seen"] is None
    gathered, _ = ran(planned(spec, InsistsOnTheOriginal(Nothing())), tmp_path / "other")
    assert "this audit has no original" in gathered.faults[0].message


def test_no_weights_are_loaded_while_an_audit_is_planned(spec):
    context = planned(spec).context("none", 0)
    assert context.has_original
    with pytest.raises(AttackError, match="no weights are loaded while an audit is being planned"):
        context.original()


class Hides(Bare):
    """Plants a marked model: the probe then scores everything 1."""

    name = "hides"
    fails = False

    def planting(self, arm, context):
        return Planting(name="marked", make=self._made)

    @contextmanager
    def _made(self, original, context):
        if self.fails:
            raise AttackError("no plant: it would not hide")
        with original.fork(copy_weights=True) as fork:
            with torch.no_grad():
                next(fork.module.parameters()).flatten()[0] = 101.0
            yield Plant(model=fork, proof={"seed": context.seed})


def test_a_plant_runs_under_its_attack_and_under_the_baseline(tmp_path, spec):
    plan = planned(spec.model_copy(update={"plant": True}), Hides(Nothing()))
    assert plan.case.plants == {"as-is": ("marked plant",), "hides": ("marked plant",)}
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    frame = store.gather(job_records(plan.plan, store, gathered.faults))
    plants = frame[frame["role"] == "plant"]
    assert set(plants["attack"]) == {"as-is", "hides"}
    assert set(plants["model"]) == {"marked plant"}
    assert (plants["score"] == 1.0).all()
    assert (frame.loc[frame["role"] == "original", "score"] < 1.0).all()
    (about,) = {store.about(c.key)["proof"]["plant"]["seed"] for c in plan.plan.jobs if c.plant is not None}
    assert isinstance(about, int)


class HidesInTwoWays(Hides):
    name = "hides"

    def plantings(self, arm, context):
        return [Planting(name=f"{kind} mark", kind=kind, make=self._made) for kind in ("shallow", "deep")]


def test_each_plant_of_an_attack_runs_and_the_case_says_how_it_hides_and_from_which_arms(tmp_path, spec):
    plan = planned(spec.model_copy(update={"plant": True}), HidesInTwoWays(Nothing()))
    names = ("shallow mark plant", "deep mark plant")
    assert plan.case.plants == {"as-is": tuple(sorted(names)), "hides": tuple(sorted(names))}
    assert plan.case.plant_kinds == {"shallow mark plant": "shallow", "deep mark plant": "deep"}
    (arm,) = plan.attacks["hides"].arms(plan.context("hides", 0))
    assert plan.case.plant_arms == {"hides": dict.fromkeys(names, (arm.name,))}
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    frame = store.gather(job_records(plan.plan, store, gathered.faults))
    assert set(frame.loc[frame["role"] == "plant", "model"]) == {*names}


def test_a_plant_that_cannot_be_made_leaves_all_other_jobs_alone(tmp_path, spec):
    attack = Hides(Nothing())
    attack.fails = True
    plan = planned(spec.model_copy(update={"plant": True}), attack)
    gathered, store = ran(plan, tmp_path / "run")
    assert {fault.model for fault in gathered.faults} == {"marked plant"}
    assert all(store.has(job.key) for job in plan.plan.jobs if job.plant is None)


def test_a_plant_is_made_again_where_only_its_baseline_job_is_missing(tmp_path, spec):
    plan = planned(spec.model_copy(update={"plant": True}), Hides(Nothing()))
    ran(plan, tmp_path / "run")
    lost = next(job.key for job in plan.plan.jobs if job.plant is not None and job.attack == "as-is")
    for file in (tmp_path / "run" / "jobs" / lost).iterdir():
        file.unlink()
    (tmp_path / "run" / "jobs" / lost).rmdir()
    gathered, store = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert store.has(lost)


class SpoilsByPlanting(Hides):
    @contextmanager
    def _made(self, original, context):
        with torch.no_grad():
            next(original.module.parameters()).add_(1.0)
        yield Plant(model=original)


def test_a_plant_that_writes_into_the_original_gives_no_evidence(tmp_path, spec):
    plan = planned(spec.model_copy(update={"plant": True}), SpoilsByPlanting(Nothing()))
    gathered, store = ran(plan, tmp_path / "run")
    assert not any(store.has(job.key) for job in plan.plan.jobs if job.plant is not None)
    assert all("changed the model and did not undo it" in fault.message for fault in gathered.faults)
    assert {fault.model for fault in gathered.faults} == {"marked plant"}


def test_jobs_of_plants_that_were_made_otherwise_are_not_shared(spec):
    class Stronger(Nothing):
        strength: int = 2

    spec = spec.model_copy(update={"plant": True})
    one, other = (planned(spec, Hides(parameters)) for parameters in (Nothing(), Stronger()))
    keys = [{job.key for job in plan.plan.jobs if job.plant is not None} for plan in (one, other)]
    assert not keys[0] & keys[1]


class Optimizes(Bare):
    """Optimizes toward answers, and so runs a second time toward twin answers."""

    name, toward_answers = "optimizes", True

    def doses(self, model, arm, context):
        targets = {fact.id: fact.answer for fact in context.forget}
        yield Dose(label="bare", value=0, model=model, proof={"targets": targets})


def test_an_attack_toward_answers_runs_again_toward_twin_answers_and_is_scored_on_them(tmp_path, spec):
    first = make_plan(spec)
    forget = first.facts[FactSet.FORGET].facts
    shams = tuple(replace(fact, answer=f"N{(int(fact.answer[1:]) + 1) % 4}") for fact in forget)
    plan = planned(spec, Optimizes(Nothing()), sham=shams)
    gathered, store = ran(plan, tmp_path / "run")
    frame = store.gather(job_records(plan.plan, store, gathered.faults))
    own = frame[(frame["attack"] == "optimizes") & (frame["role"] == "unlearned")]
    true, sham = (own[own["sham"] == flag].set_index("fact_id")["score"].to_dict() for flag in (False, True))
    assert true == {str(i): i / 10 for i in range(4)}
    assert sham == {str(i): (i + 1) % 4 / 10 for i in range(4)}
    assert not frame.loc[frame["attack"] == "as-is", "sham"].any()
    targets = {
        job.sham: store.about(job.key)["proof"]["bare"]["targets"] for job in plan.plan.jobs if "opt" in job.attack
    }
    assert targets[True]["0"] == "N1"
    assert targets[False]["0"] == "N0"


class HidesAndOptimizes(Hides):
    toward_answers = True


def test_an_attack_toward_answers_runs_toward_twin_answers_on_its_plant_too(spec):
    spec = spec.model_copy(update={"plant": True})
    plan = planned(spec, HidesAndOptimizes(Nothing()), sham=make_plan(spec).facts[FactSet.FORGET].facts)
    found = {(job.attack, job.sham) for job in plan.plan.jobs if job.plant is not None}
    assert found == {("hides", False), ("hides", True), ("as-is", False)}


def test_an_attack_toward_answers_is_left_out_where_no_fact_has_a_twin_answer(spec):
    plan = planned(spec, Optimizes(Nothing()), sham=())
    assert {job.attack for job in plan.plan.jobs} == {"as-is"}
    assert ("optimizes", True) in {(one.what, "no fact has a twin answer" in one.why) for one in plan.case.left_out}


def test_placebo_facts_are_scored_beside_their_facts_where_no_control_is_given(tmp_path, spec):
    plan = planned(spec)
    gathered, store = ran(plan, tmp_path / "run")
    frame = store.gather(job_records(plan.plan, store, gathered.faults))
    assert (frame["placebo_score"] == 0.25).all()
    assert set(frame["fact_id"]) == {"0", "1", "2", "3"}
    control = planned(spec.model_copy(update={"retrained": (spec.checkpoint,), "checkpoint": spec.original}))
    assert control.placebo == {}


class Swallows(Bare):
    """Catches a Ctrl-C, as some libraries do while they are imported."""

    name = "swallows"

    def doses(self, model, arm, context):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        yield Dose(label="bare", value=0, model=model)


def test_an_interrupt_that_was_swallowed_stops_the_run_all_the_same(tmp_path, spec):
    plan = planned(spec, Swallows(Nothing()))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        ran(plan, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    store = EvidenceStore(tmp_path / "run")
    assert [store.has(job.key) for job in plan.plan.jobs if job.attack == "swallows"] == [False, False]


class Teaches(Bare):
    """Shows the model a text."""

    name = "teaches"
    text = ""

    def doses(self, model, arm, context):
        yield Dose(label="bare", value=1, model=model, shown=(self.text,), dropped=3)


@pytest.mark.parametrize(
    ("text", "fault"), [("Bo Lind is N1.", True), ("Somebody else is N1.", False), ("Bo Lind sings.", False)]
)
def test_a_dose_that_was_shown_what_it_is_scored_on_is_an_error(tmp_path, spec, text, fault):
    attack = Teaches(Nothing())
    attack.text = text
    plan = planned(spec, attack)
    gathered, store = ran(plan, tmp_path / "run")
    assert [("give away a fact" in found.message) for found in gathered.faults] == [True, True] * fault
    if not fault:
        job = next(job for job in plan.plan.jobs if job.attack == "teaches")
        hygiene = store.about(job.key)["proof"]["bare"]["hygiene"]
        assert hygiene == {"texts": 1, "dropped": 3, "sharing_a_value": int("N1" in text)}


class OnAdapters(Bare):
    """Works on adapters alone, or cannot run here."""

    name, why, applies = "on-adapters", "the checkpoint is not an adapter", False

    def out_of_reach(self, context, *, weight_bytes, is_adapter):
        return (OutOfReach(what="bare", why=self.why, applies=self.applies),)


def test_an_attack_of_which_nothing_applies_is_left_out_and_said_to_be(spec):
    plan = planned(spec, OnAdapters(Nothing()))
    assert "on-adapters" not in {finding.attack for finding in plan.case.planned}
    assert [item.why for item in plan.case.left_out if item.what == "on-adapters"] == [
        "the checkpoint is not an adapter"
    ]


def test_one_that_cannot_run_here_stays_planned_so_that_nothing_passes_without_it(spec):
    attack = OnAdapters(Nothing())
    attack.applies = True
    plan = planned(spec, attack)
    assert "on-adapters" in {finding.attack for finding in plan.case.planned}
    assert not [job for job in plan.plan.jobs if job.attack == "on-adapters"]


class Passages(Answers):
    """Reads passages, and is not meant for attacks where there are none."""

    name, under_attacks = "passages", False
    measures = (Measure(name="hit", kind=ScoreKind.SOFT, gates=True, passages=True),)


@pytest.mark.parametrize("passages", [True, False])
def test_passages_are_scored_under_every_attack(spec, passages):
    if passages:
        path = Path(spec.forget)
        passage = {"id": "p", "subject": "A book", "text": "It was the best."}
        path.write_text(path.read_text() + json.dumps(passage) + "\n")
    plan = laid_out(replace(planned(spec, Bare(Nothing())), probes={"passages": Passages(Nothing())}))
    asked = {job.attack: job.probes for job in plan.plan.jobs}
    assert asked["as-is"] == ("passages",)
    assert asked["bare"] == (("passages",) if passages else ())
    assert ("bare" in {finding.attack for finding in plan.case.planned}) is passages
