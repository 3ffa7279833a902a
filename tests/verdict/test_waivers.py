"""Waivers: what is answered for keeps its status and no longer decides; what ran out waives nothing."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from tests.verdict.test_verdict import LEAK, RECALL, Audit, finding, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.spec.policy import Policy, Rule
from unlearn_audit.spec.waivers import State, Waiver, Waiving
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.result import Outcome, Verdict

MODEL = "a" * 64
POLICY = Policy(population="sample", draws=10_000, rules=(Rule(id="quantized", findings="quantization"),), required={})
TODAY = date(2026, 6, 1)


def waiver(**values: object) -> Waiver:
    given = {"finding": RECALL, "model": MODEL, "reason": "not served quantized", "owner": "A. Owner"}
    return Waiver.model_validate({**given, "expires": "2026-12-31", **values})


def decided(audit: Audit, *waivers: Waiver, on: date = TODAY, policy: Policy = POLICY) -> Verdict:
    case = audit.case.model_copy(update={"checkpoint": MODEL})
    return decide(audit.frame, case, policy, (), Waiving(waivers=waivers, on=on))


def leaking() -> Audit:
    return Audit().score(1.0, **LEAK)


@pytest.mark.parametrize("what", [{"finding": RECALL}, {"finding": None, "rule": "quantized"}])
def test_a_waived_leak_stays_a_leak_and_decides_no_more(what) -> None:
    assert decided(leaking()).outcome is Outcome.FAIL
    verdict = decided(leaking(), waiver(**what))
    assert (verdict.outcome, verdict.outcome.exit_code) == (Outcome.WAIVED, 0)
    one = finding(verdict, RECALL)
    assert one.status is Status.FAILED
    assert one.waiver is not None and one.waiver.owner == "A. Owner"
    assert (verdict.waivers[0].state, verdict.waivers[0].covers) == (State.USED, (RECALL,))
    assert verdict.sentence.startswith(
        "WAIVED: somebody accepts quantization/recall.hit (failed, waived by A. Owner until 2026-12-31); of the rest"
    )
    assert verdict.reasons == ()


def test_a_waiver_holds_through_its_last_day() -> None:
    assert decided(leaking(), waiver(), on=date(2026, 12, 31)).outcome is Outcome.WAIVED
    late = decided(leaking(), waiver(), on=date(2027, 1, 1))
    assert late.outcome is Outcome.FAIL
    assert (late.waivers[0].state, late.waivers[0].why) == (State.EXPIRED, "it expired on 2026-12-31")
    assert finding(late, RECALL).waiver is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "b" * 64}, "it is for the model sha256:bbbbbbbbbbbbbbbb, but this is sha256:aaaaaaaaaaaaaaaa"),
        ({"finding": "quantization/recal.hit"}, "no deciding finding has that name or rule"),
        ({"finding": None, "rule": "quantize"}, "no deciding finding has that name or rule"),
        ({"finding": "as-is/recall.hit"}, "there is nothing to waive: what it names has passed"),
        ({"finding": "utility"}, "there is nothing to waive: what it names has passed"),
    ],
)
def test_a_waiver_of_something_else_says_so_and_waives_nothing(changes, why) -> None:
    verdict = decided(leaking(), waiver(**changes))
    assert verdict.outcome is Outcome.FAIL
    assert (verdict.waivers[0].state, verdict.waivers[0].why) == (State.UNUSED, why)


def test_what_is_open_can_be_waived_and_what_did_not_run_cannot() -> None:
    audit = Audit().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 9))
    assert decided(audit).outcome is Outcome.INCONCLUSIVE
    assert decided(audit, waiver()).outcome is Outcome.WAIVED
    fault = FaultyJob(attack="quantization", arm="nf4", model="unlearned", message="no memory")
    verdict = decided(audit.but(faults=(fault,)), waiver())
    assert verdict.outcome is Outcome.ERROR
    assert verdict.waivers[0].why == "it names an error, which cannot be waived"


def test_one_waiver_waives_one_leak_and_not_another() -> None:
    audit = leaking().score(1.0, role="unlearned", attack="relearning", probe="recall")
    verdict = decided(audit, waiver())
    assert verdict.outcome is Outcome.FAIL
    assert all("relearning/recall.hit" in reason for reason in verdict.reasons)
    assert verdict.sentence.startswith("FAIL: under relearning")


def test_a_waived_breakage_does_not_make_a_broken_model_pass() -> None:
    audit = Audit().score(0.0, role="unlearned", probe="utility")
    assert decided(audit).outcome is Outcome.FAIL
    verdict = decided(audit, waiver(finding="utility"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.utility.status is Status.FAILED and verdict.utility.waiver is not None


def test_masking_cannot_be_waived() -> None:
    audit = (
        Audit()
        .without(probe="forced-choice")
        .but(planned=tuple(one for one in Audit().case.planned if one.probe == "recall"))
    )
    verdict = decided(audit, waiver(finding="masking"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons[0].startswith("masking")


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires": None},
        {"expires": "soon"},
        {"owner": ""},
        {"reason": ""},
        {"model": "abc"},
        {"rule": "both"},
        {"finding": None},
        {"until": "x"},
    ],
)
def test_a_waiver_without_owner_reason_model_or_end_is_none(wrong) -> None:
    with pytest.raises(ValidationError):
        waiver(**wrong)
    assert waiver(model=f"sha256:{MODEL.upper()}").model == MODEL
