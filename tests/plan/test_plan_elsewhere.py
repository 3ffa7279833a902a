"""A plan is data: written, read back in another process and run there, it gives the same evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.run.test_runner import spec as spec  # the fixture
from tests.warm import copied
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.live import open_plan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.plan import Plan
from unlearn_audit.run.records import job_records
from unlearn_audit.run.runner import run


def run_it(plan: Path, out: Path) -> None:
    """What another process does with a plan on disk: it prints the digest of its evidence."""
    live, store = open_plan(Plan.read(plan)), EvidenceStore(out)
    gathered = run(live, store, Quiet(Console(stderr=True)))
    assert not gathered.faults, gathered.faults
    print(evidence_digest(store.gather(job_records(live.plan, store, gathered.faults))))


@pytest.fixture
def wide(spec):
    attacks = {"as-is": {}, "noise": {"sigmas": [0.2]}, "quantization": {"quantizers": ["nf4"]}}
    probes = {"recall": {"max_new_tokens": 4}, "forced-choice": {}}
    return spec.model_copy(update={"attacks": attacks, "probes": probes, "comparisons": {}})


def test_a_plan_that_was_read_in_another_process_gives_the_same_evidence(wide, tmp_path: Path):
    live, store = make_plan(wide), EvidenceStore(tmp_path / "here")
    gathered = run(live, store, Quiet(Console(stderr=True)))
    assert not gathered.faults
    here = evidence_digest(store.gather(job_records(live.plan, store, gathered.faults)))
    (tmp_path / "plan.json").write_text(json.dumps(live.plan.as_json()))
    there = copied(lambda: run_it(tmp_path / "plan.json", tmp_path / "there"), tmp_path)
    assert there.returncode == 0, there.stderr[-2000:]
    assert there.stdout.split()[-1] == here


def test_a_plan_read_back_is_the_plan_and_names_nobody(wide, tmp_path: Path):
    live = make_plan(wide.model_copy(update={"plant": True}))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(live.plan.as_json()))
    assert Plan.read(path) == live.plan
    assert open_plan(Plan.read(path)).case == live.case
    assert any(job.plant is not None for job in live.plan.jobs)
    assert all(fact.subject not in path.read_text() for fact in live.facts["forget"].facts)


def test_facts_that_changed_after_planning_are_refused(wide):
    live = make_plan(wide)
    path = Path(wide.forget)
    path.write_text(path.read_text().replace("N1", "N9"))
    with pytest.raises(IntegrityError, match="changed since the audit was planned"):
        open_plan(live.plan)


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path):
    (tmp_path / "plan.json").write_text('{"cells": []}')
    with pytest.raises(AuditError, match="expected a plan of this version"):
        Plan.read(tmp_path / "plan.json")
