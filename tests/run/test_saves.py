"""A job that is interrupted goes on with the probe that was at work, and comes to the evidence of one that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.run.test_runner import Bare, Baseline, Nothing, laid_out
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Access, Arm, Dose, FactSet, Generation, Measure, Probe, Prompt, Reading, ScoreKind
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.evidence.files import SAVES
from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.models.batching import Memory
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run import progress
from unlearn_audit.run.claim import claim
from unlearn_audit.run.jobs.saves import answers_of, learn
from unlearn_audit.run.records import job_records
from unlearn_audit.run.runner import run
from unlearn_audit.run.text_policy import KeptText
from unlearn_audit.run.transcripts import OUTPUTS, Outputs

DOSES = ("weak", "strong")


class Twice(Bare):
    """Two doses, each a fork."""

    name = "twice"

    def arms(self, context):
        return (Arm(name="twice", doses=len(DOSES)),)

    def doses(self, model, arm, context):
        for place, label in enumerate(DOSES):
            with model.fork() as fork:
                yield Dose(label=label, value=place, model=fork)


class Asking(Probe[Nothing]):
    """Scores the answers to some questions; the second of two asks what the first asked, and more."""

    name, summary, paper, access, Parameters = "one", "Asks.", "", Access.PROMPTS, Nothing
    measures = (Measure(name="hit", kind=ScoreKind.SOFT, gates=True),)
    under_attacks = True
    answers = 1

    def __init__(self, asked: list[str], stop_at: int | None = None) -> None:
        super().__init__(Nothing())
        self.asked, self.stop_at = asked, stop_at

    def observe(self, model, facts, pool):
        self.asked.append(self.name)
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        pairs = [(Prompt(text=fact.question), f"{fact.answer}{n}") for n in range(self.answers) for fact in facts]
        scores = model.score(pairs)
        model.generate([pair[0] for pair in pairs], max_new_tokens=3)
        for fact, score in zip(facts, scores[-len(facts) :], strict=True):
            yield Reading(fact_id=fact.id, measure="hit", variant="question", score=score.probability)


class AskingMore(Asking):
    name, answers = "two", 2


@pytest.fixture
def draft(spec) -> LivePlan:
    return drafted(spec)


def drafted(spec) -> LivePlan:
    attacks = {one.name: one for one in (Baseline(Nothing()), Twice(Nothing()))}
    return replace(make_plan(spec.model_copy(update={"original": None})), attacks=attacks)


def planned(draft: LivePlan, asked: list[str], stop_at: int | None = None) -> LivePlan:
    probes = {one.name: one for one in (Asking(asked, stop_at), AskingMore(asked, stop_at))}
    return laid_out(replace(draft, probes=probes))


def ran(plan: LivePlan, out: Path, text: KeptText = KeptText.NONE) -> EvidenceStore:
    store = EvidenceStore(out)
    run(plan, store, Quiet(Console()), Outputs(out, text, plan.pool(FactSet.FORGET)))
    return store


def digest(plan: LivePlan, store: EvidenceStore) -> str:
    return evidence_digest(store.gather(job_records(plan.plan, store, [])))


@pytest.fixture
def undisturbed(draft, tmp_path):
    plan = planned(draft, asked := [])
    store = ran(plan, tmp_path / "undisturbed")
    assert asked == ["one", "two"] * 3  # as it is, and two doses
    return digest(plan, store)


@pytest.mark.parametrize("stop_at", [2, 3, 6])
def test_an_interrupt_loses_the_probe_at_work_and_nothing_else(draft, tmp_path, undisturbed, stop_at):
    out, before = tmp_path / "run", []
    with pytest.raises(KeyboardInterrupt):
        ran(planned(draft, before, stop_at), out, KeptText.FULL)
    again: list[str] = []
    plan = planned(draft, again)
    store = ran(plan, out, KeptText.FULL)
    assert before[:-1] + again == ["one", "two"] * 3
    assert digest(plan, store) == undisturbed
    assert not (out / SAVES).exists()
    lines = [json.loads(line) for line in (out / OUTPUTS).read_text().splitlines()]
    assert len(lines) == 3 * (8 + 16)  # every answer once, with those of placebos, whoever heard it


def test_answers_that_were_given_are_not_asked_for_again_and_cost_is_of_all_runs(draft, tmp_path):
    whole = ran(planned(draft, []), tmp_path / "whole")
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        ran(planned(draft, [], 6), out)  # in the last probe of the strong dose
    plan = planned(draft, [])
    store = ran(plan, out)
    (job,) = [job for job in plan.plan.jobs if job.attack == "twice"]
    costs = [each.about(job.key)["cost"] for each in (whole, store)]
    for name in ("tokens_read", "tokens_generated"):
        assert costs[0][name] == costs[1][name] > 0
    assert costs[1]["peak_bytes"] > 0 and costs[1]["processor_seconds"] > 0 and costs[1]["device_peak_bytes"] is None


class Listening(Quiet):
    """Wants to know how long a run takes, and hears what goes on."""

    def __init__(self) -> None:
        super().__init__(Console())
        self.told: list[str] = []

    def wants_forecast(self):
        return True

    def forecast(self, found):
        self.told.append("forecast")
        assert found.seconds > 0

    def started(self, job):
        self.told.append(job.attack)

    def kept(self, job, doses):
        self.told.append(f"kept {', '.join(doses)}")

    def probed(self, job, dose, probe, scores):
        assert set(scores) == {f"{probe}.hit"}
        self.told.append(f"{dose} {probe}")


def test_a_run_that_is_worth_it_is_foretold_once_and_comes_to_the_same(draft, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(progress, "LARGE", 1)
    heard = Listening()
    plan = planned(draft, [])
    store = EvidenceStore(tmp_path / "run")
    run(plan, store, heard)
    inside = [f"{dose} {probe}" for dose in DOSES for probe in ("one", "two")]
    assert heard.told == ["forecast", "as-is", "bare one", "bare two", "twice", *inside]
    assert digest(plan, store) == undisturbed
    again = Listening()
    run(plan, EvidenceStore(tmp_path / "run"), again)
    assert again.told == ["kept bare", "kept strong, weak"]


@pytest.fixture
def stopped(draft, tmp_path) -> Path:
    """A run that was stopped in the last probe of four of one job."""
    with pytest.raises(KeyboardInterrupt):
        ran(planned(draft, [], 6), tmp_path / "run")
    (file,) = (tmp_path / "run" / SAVES).iterdir()
    assert len(file.read_bytes().splitlines()) == 3
    return file


def test_what_is_saved_is_no_evidence_and_tells_nothing(stopped):
    out = stopped.parents[1]
    assert [path.name for path in (out / "jobs").iterdir()] != [stopped.stem]
    assert not EvidenceStore(out).has(stopped.stem)
    assert stopped.stat().st_mode & 0o077 == 0
    text = stopped.read_text()
    assert not any(word in text for word in ("Ada Mann", "Who is", "twice", "weak"))


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda lines: [*lines[:2], lines[2][:-40]], ["one", "two"]),  # torn by a kill: its probe runs again
        (lambda lines: [lines[0], b'{"sealed": "AAAA"}\n', lines[2]], ["two", "one", "two"]),
        (lambda lines: [b"{}\n", *lines], ["one", "two", "one", "two"]),
    ],
)
def test_what_cannot_be_read_is_measured_again(draft, stopped, undisturbed, damage, left):
    stopped.write_bytes(b"".join(damage(stopped.read_bytes().splitlines(keepends=True))))
    plan = planned(draft, asked := [])
    store = ran(plan, stopped.parents[1])
    assert sorted(asked) == sorted(left)
    assert digest(plan, store) == undisturbed


def test_only_the_same_job_under_the_same_rules_goes_on(spec, draft, tmp_path, stopped):
    out = stopped.parents[1]
    plan = planned(drafted(spec.model_copy(update={"seed": 7})), asked := [])
    ran(plan, out)  # its keys are others
    assert len(asked) == 6 and stopped.is_file()
    lines = stopped.read_bytes()
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / SAVES / f"{plan.plan.jobs[-1].key}.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(lines)  # under the name of another job
    ran(plan, tmp_path / "other", KeptText.NONE)
    assert len(asked) == 12
    ran(planned(draft, again := []), out, KeptText.REDACTED)  # answers were heard under another rule
    assert again == ["one", "two"] * 2


def test_a_job_that_fails_begins_anew_and_another_request_clears_up(spec, draft, tmp_path, stopped):
    out = stopped.parents[1]
    plan = planned(draft, [])
    (out / "spec.yaml").write_text(plan.plan.spec.as_yaml())
    claim(plan.plan, out, overwrite=True)
    assert stopped.is_file()
    claim(planned(drafted(spec.model_copy(update={"seed": 7})), []).plan, out, overwrite=True)
    assert not stopped.parent.exists()

    class Failing(AskingMore):
        def observe(self, model, facts, pool):
            raise ValueError("odd")

    failing = laid_out(replace(plan, probes={"one": Asking([]), "two": Failing([])}))
    store = ran(failing, tmp_path / "failing")
    assert not (tmp_path / "failing" / SAVES).exists()
    assert not any(store.has(job.key) for job in failing.plan.jobs)


def test_a_probe_that_writes_into_the_model_is_found_out_before_it_is_saved(draft, tmp_path):
    class Copying(Twice):
        def doses(self, model, arm, context):
            with model.fork(copy_weights=True) as fork:
                yield Dose(label="weak", value=0, model=fork)

    class Writing(Asking):
        def observe(self, model, facts, pool):
            if self.asked:  # a copy, which the check at the end of a job does not look at
                next(model.module.parameters()).data += 1
            yield from super().observe(model, facts, pool)

    attacks = {one.name: one for one in (Baseline(Nothing()), Copying(Nothing()))}
    plan = laid_out(replace(planned(draft, []), attacks=attacks, probes={"one": Writing([])}))
    store = EvidenceStore(tmp_path / "run")
    gathered = run(plan, store, Quiet(Console()))
    (fault,) = gathered.faults
    assert (fault.attack, fault.message) == (
        "twice",
        "probe one: changed the model at dose 'weak'; its results do not count",
    )
    assert not (tmp_path / "run" / SAVES).exists()


def test_a_conversation_is_remembered_with_all_that_was_said_before():
    prompts = [Prompt(text="Where?"), Prompt(text="Where?", earlier=("Who?", "Ada", "When?", "In spring"))]
    said = [Generation(text=text, finished=True, new_tokens=1) for text in ("Oslo", "Bonn")]
    known = Memory[Prompt, Generation]()
    known.learn(zip(prompts, said, strict=True))
    again: dict = {}
    learn(again, json.loads(json.dumps(answers_of({8: known}, {}))))
    assert again[8].since(0) == known.since(0)
