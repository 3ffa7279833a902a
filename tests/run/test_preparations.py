"""What probes make once for all roles: kept, handed to every job, and an error of their own where it fails."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from rich.console import Console

from tests.run.test_runner import Answers, Baseline, Nothing, laid_out, spec  # noqa: F401 - a fixture
from unlearn_audit.api import FactSet, Prompt, Reading
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.case import FaultyJob, PlannedFinding
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run.records import job_records
from unlearn_audit.run.runner import run
from unlearn_audit.spec.spec import AuditSpec


class Makes(Answers):
    """Scores what it prepared."""

    name = "makes"
    error: Exception | None = None

    def prepare(self, original, pool):
        if self.error:
            raise self.error
        assert len(pool) == 4
        return {"score": 0.5, "summary": {"kept": 3, "seen": self.prepared.get("text")}}

    def observe(self, model, facts, pool):
        for fact in facts:
            yield Reading(fact_id=fact.id, measure="hit", variant="question", score=self.prepared.get("score", 0.0))


class Writes(Makes):
    """Has a generator write before it prepares."""

    name = "writes"

    def write(self, generator, pool):
        return {"text": "written", "summary": {"lines": len(pool)}}


def planned(spec: AuditSpec, *probes: Answers) -> LivePlan:  # noqa: F811
    named = {probe.name: probe for probe in (Answers(Nothing()), *probes)}
    draft = replace(make_plan(spec), attacks={"as-is": Baseline(Nothing())}, probes=named)
    return laid_out(draft)


def ran(plan: LivePlan, out):
    store = EvidenceStore(out)
    gathered = run(plan, store, Quiet(Console(stderr=True)))
    return gathered, store, store.gather(job_records(plan.plan, store, gathered.faults))


def test_what_was_prepared_reaches_every_role_and_stands_in_the_proof(tmp_path, spec):  # noqa: F811
    plan = planned(spec, Makes(Nothing()))
    assert [(job.model.name, job.probes) for job in plan.plan.jobs] == [
        (name, probes) for name in ("original", "unlearned") for probes in (("recall",), ("makes",))
    ]
    gathered, store, frame = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert set(frame.loc[frame["probe"] == "makes", "score"]) == {0.5}
    assert set(frame.loc[frame["probe"] == "makes", "role"]) == {"original", "unlearned"}
    proofs = [store.about(job.key)["proof"] for job in plan.plan.jobs if job.own_probe]
    assert [proof["makes"] for proof in proofs] == [{"kept": 3, "seen": None}] * 2


def test_what_two_probes_ask_the_original_is_asked_once(tmp_path, spec):  # noqa: F811
    read = []

    class Asks(Makes):
        name = "asks"

        def prepare(self, original, pool):
            prompts = [Prompt(text=fact.question) for fact in pool]
            before = original.tally.tokens
            answers = original.generate(prompts, max_new_tokens=4)
            read.append((original.tally.tokens - before).read)
            return {"said": [answer.text for answer in answers]}

    class AsksToo(Asks):
        name = "asks-too"

    plan = planned(spec, Asks(Nothing()), AsksToo(Nothing()))
    gathered, store, _ = ran(plan, tmp_path / "run")
    assert not gathered.faults
    first, second = (plan.withheld.opened(store.note(key))["said"] for key in plan.plan.probe_keys.values())
    assert read[0] > 0 and read[1] == 0 and first == second


def test_a_probe_that_cannot_prepare_loses_its_own_jobs_and_no_others(tmp_path, spec):  # noqa: F811
    probe = Makes(Nothing())
    probe.error = ZeroDivisionError("oh")
    plan = planned(spec, probe)
    gathered, _, frame = ran(plan, tmp_path / "run")
    assert {(fault.probe, fault.model) for fault in gathered.faults} == {("makes", "original"), ("makes", "unlearned")}
    assert all("could not prepare on the original: ZeroDivisionError: oh" in one.message for one in gathered.faults)
    assert set(frame["probe"]) == {"recall"}
    # Mended, the same run directory goes on where it stood.
    probe.error = None
    gathered, _, frame = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert set(frame["probe"]) == {"recall", "makes"}


def test_a_fault_of_one_probe_hits_its_findings_alone():
    finding = PlannedFinding(attack="as-is", probe="makes", measure="hit", kind="hit", access="prompts", gates=True)
    fault = FaultyJob(attack="as-is", arm="as-is", model="unlearned", message="oh", probe="makes")
    assert finding.hit_by(fault)
    assert not finding.model_copy(update={"probe": "recall"}).hit_by(fault)
    assert finding.hit_by(fault.model_copy(update={"probe": None}))


def test_without_an_original_nothing_is_prepared_and_no_job_is_parted(tmp_path, spec):  # noqa: F811
    plan = planned(spec.model_copy(update={"original": None}), Makes(Nothing()))
    assert [job.probes for job in plan.plan.jobs] == [("recall", "makes")]
    _, _, frame = ran(plan, tmp_path / "run")
    assert set(frame.loc[frame["probe"] == "makes", "score"]) == {0.0}


def test_a_generator_writes_first_is_recorded_and_writes_once(tmp_path, spec):  # noqa: F811
    plan = planned(spec.model_copy(update={"generator": spec.checkpoint}), Writes(Nothing()))
    gathered, store, _ = ran(plan, tmp_path / "run")
    assert not gathered.faults
    assert [model.role for model in gathered.models] == ["generator", "original", "unlearned"]
    assert gathered.models[0].digest == plan.plan.generator.digest
    proofs = [store.about(job.key)["proof"]["writes"] for job in plan.plan.jobs if job.own_probe]
    assert proofs == [{"kept": 3, "seen": "written", "lines": 4}] * 2
    again, _, _ = ran(plan, tmp_path / "run")
    assert again.models[0] == gathered.models[0]


def test_what_is_made_is_keyed_by_who_made_it(spec):  # noqa: F811
    plans = [
        planned(spec.model_copy(update=update), Writes(Nothing()))
        for update in ({}, {"generator": spec.checkpoint}, {"generator": spec.original})
    ]
    keys = [{job.own_probe: job.key for job in plan.plan.jobs if job.model.name == "unlearned"} for plan in plans]
    assert len({key["writes"] for key in keys}) == 3
    assert len({key[None] for key in keys}) == 1


def test_a_generator_that_cannot_be_loaded_is_an_error_of_what_it_was_to_write(tmp_path, spec):  # noqa: F811
    generator = shutil.copytree(spec.checkpoint, tmp_path / "generator")
    config = json.loads((generator / "config.json").read_text())
    (generator / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    plan = planned(spec.model_copy(update={"generator": str(generator)}), Writes(Nothing()))
    gathered, _, frame = ran(plan, tmp_path / "run")
    assert {fault.probe for fault in gathered.faults} == {"writes"}
    assert set(frame["probe"]) == {"recall"}


def test_the_counts_stand_in_the_report(tmp_path, spec):  # noqa: F811
    plan = planned(spec, Makes(Nothing()))
    assert plan.pool(FactSet.FORGET)
    audit(plan, tmp_path / "run", Quiet(Console(stderr=True)))
    assert "makes: kept 3" in (tmp_path / "run" / "report.md").read_text()
