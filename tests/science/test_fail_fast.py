"""`run --fail-fast`: stops once a leak is proven, says what it left out, and changes no PASS."""

from __future__ import annotations

from datetime import date

import pytest
from rich.console import Console

from tests.science.conftest import small_spec
from unlearn_audit.api.terms import Status
from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.finished.redecide import redecide
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.steps import steps
from unlearn_audit.spec.waivers import Waiver, Waiving
from unlearn_audit.verdict.result import Outcome

pytestmark = pytest.mark.science


def test_it_stops_at_a_proof_and_says_what_was_not_run(run_of, facts, shared_store, tmp_path):
    run_of("nf4-masked")
    spec = small_spec("nf4-masked", facts)
    spec = spec.model_copy(update={"attacks": {**spec.attacks, "noise": {}}})
    result = audit(make_plan(spec), tmp_path / "run", Quiet(Console(stderr=True)), shared=shared_store, fail_fast=True)
    assert result.outcome is Outcome.FAIL
    assert result.case.not_run == ("noise",)
    assert "--fail-fast: a leak was proven before noise ran" in result.notes
    assert {job.attack for job in result.jobs} == {"as-is", "quantization"}
    for one in result.verdict.findings:
        if one.attack == "noise":
            assert (one.status, one.reason) == (
                Status.INCONCLUSIVE,
                "not run: a leak was proven before (--fail-fast)",
            )
    assert redecide(tmp_path / "run").verdict == result.verdict


def test_it_changes_no_pass(audited, run_of, facts, shared_store, tmp_path):
    whole = audited("retrained-1")
    plan = make_plan(small_spec("retrained-1", facts))
    result = audit(plan, tmp_path / "run", Quiet(Console(stderr=True)), shared=shared_store, fail_fast=True)
    assert whole.outcome is Outcome.PASS
    assert result.verdict == whole.verdict
    assert result.case == whole.case


@pytest.mark.slow
def test_a_leak_that_is_waived_does_not_stop_it(audited, facts, shared_store, tmp_path):
    whole = audited("npo")
    failed = [one.id for one in whole.verdict.findings if one.status is Status.FAILED]
    assert failed and all(name.startswith("relearning/") for name in failed)
    waivers = tuple(
        Waiver(finding=name, model=whole.case.checkpoint, reason="tried", owner="A. Owner", expires=date(2100, 1, 1))
        for name in failed
    )
    plan, told = make_plan(small_spec("npo", facts)), Quiet(Console(stderr=True))
    again = audit(plan, tmp_path / "run", told, shared=shared_store, waivers=Waiving(waivers=waivers), fail_fast=True)
    assert again.case.not_run == ()
    spec = small_spec("npo", facts)
    longer = make_plan(spec.model_copy(update={"attacks": {**spec.attacks, "noise": {}}}))
    stopped = audit(longer, tmp_path / "other", told, shared=shared_store, fail_fast=True)
    assert stopped.case.not_run == ("noise",)


def test_every_job_is_in_one_step_and_plain_asking_first(facts):
    plan = make_plan(small_spec("npo", facts)).plan
    parts = list(steps(plan))
    assert [part.jobs[0].attack for part in parts] == ["as-is", "quantization", "relearning"]
    assert sorted(job.key for part in parts for job in part.jobs) == sorted(job.key for job in plan.jobs)
