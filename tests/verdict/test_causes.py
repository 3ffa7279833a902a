"""Jobs without evidence: each cause once with jobs and remedy, no crash on empty tables, no share without a base."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verdict.test_verdict import LEAK, RECALL, Audit, finding
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.verdict.findings.causes import causes_of, crashes
from unlearn_audit.verdict.result import Outcome

MODELS = ("unlearned", "original", "retrained-1", "retrained-2")
NO_DEVICE = "--device cuda:7: torch finds no CUDA device; try --device auto"


def fault(attack: str, arm: str, model: str, message: str, probe: str | None = None) -> FaultyJob:
    return FaultyJob(attack=attack, arm=arm, model=model, message=message, probe=probe)


def test_causes_are_equal_whatever_numbers_and_names_they_hold() -> None:
    found = causes_of(
        [
            fault("relearning", "lora", "original", "CUDA out of memory. Tried to allocate 2.50 GiB for original"),
            fault("quantization", "nf4", "unlearned", "no such backend"),
            fault("relearning", "full", "unlearned", "CUDA out of memory. Tried to allocate 96 GiB for unlearned"),
        ]
    )
    assert [one.jobs for one in found] == [
        "relearning (lora) on original, relearning (full) on unlearned",
        "quantization (nf4) on unlearned",
    ]
    assert found[0].line == (
        "2 jobs gave no evidence: relearning (lora) on original, relearning (full) on unlearned; process less at a "
        "time: --max-batch-tokens 1024, --dtype bfloat16 or --device-map auto (tracebacks: errors.log): "
        "CUDA out of memory. Tried to allocate 2.50 GiB for original"
    )
    assert found[1].line == (
        "1 job gave no evidence: quantization (nf4) on unlearned (tracebacks: errors.log): no such backend"
    )


def test_many_jobs_are_counted_and_the_first_are_named() -> None:
    faults = [
        fault("as-is", "as-is", f"retrained-{n}", "no memory", probe="lens" if n == 1 else None) for n in range(6)
    ]
    (one,) = causes_of(faults)
    assert one.jobs == (
        "as-is on retrained-0, as-is (lens) on retrained-1, as-is on retrained-2, as-is on retrained-3 and 2 more"
    )
    assert one.line.startswith("6 jobs gave no evidence: ")


def test_a_finding_repeats_only_the_head_of_a_long_cause() -> None:
    (line,) = crashes([fault("as-is", "as-is", "original", "x" * 2_000)])
    assert line == "no evidence from as-is on original: " + "x" * 297 + "..."


def everything_failed() -> Audit:
    audit = Audit(subjects=8)
    arms = {"as-is": "as-is", "quantization": "nf4", "relearning": "lora"}
    audit.but(faults=tuple(fault(a, arm, model, NO_DEVICE) for model in MODELS for a, arm in arms.items()))
    audit.frame = audit.frame.iloc[:0]
    return audit


def test_an_audit_without_any_evidence_is_an_error_that_says_its_cause_once() -> None:
    verdict = everything_failed().decided()
    assert verdict.outcome is Outcome.ERROR
    assert {one.status for one in verdict.findings} == {Status.ERROR}
    assert [line for line in verdict.reasons if NO_DEVICE in line] == [verdict.reasons[0]]
    assert verdict.reasons[0].startswith(
        "12 jobs gave no evidence: as-is on unlearned, quantization (nf4) on unlearned"
    )
    assert verdict.sentence.startswith("ERROR: the audit could not be completed: 12 jobs gave no evidence")


def test_a_leak_that_is_proven_fails_though_plain_asking_has_no_score() -> None:
    faults = tuple(fault("as-is", "as-is", model, "no memory") for model in MODELS)
    audit = Audit().score(1.0, **LEAK).without(attack="as-is").but(faults=faults)
    verdict = audit.decided()
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).status is Status.FAILED
    assert finding(verdict, "as-is/recall.hit").status is Status.ERROR
    assert any("4 jobs gave no evidence" in line for line in verdict.reasons)


@pytest.mark.parametrize("kept", [*({"model": one} for one in MODELS), {"probe": "utility"}, {"attack": "as-is"}])
def test_whatever_alone_is_left_there_is_a_verdict(kept) -> None:
    audit = Audit(subjects=8)
    audit.frame = audit.frame[audit.where(**kept)]
    assert audit.decided().outcome is Outcome.ERROR


@pytest.mark.parametrize("lost", [{}, *({"model": one} for one in MODELS)])
def test_scores_that_are_all_missing_are_never_a_crash_and_never_a_pass(lost) -> None:
    audit = Audit(subjects=8).score(float("nan"), **lost)
    assert audit.decided().outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE)


def recovered(audit: Audit) -> float | None:
    return finding(audit.decided(), RECALL).recovered


def test_where_the_original_was_not_scored_points_are_told_and_no_share() -> None:
    audit = Audit().score(1.0, **LEAK).without(attack="quantization", model="original")
    verdict = audit.decided()
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).recovered is None
    assert "of what was removed" not in " ".join([verdict.sentence, *verdict.reasons])
    assert "the checkpoint scores 1.00 where its control scores 0.00" in verdict.sentence


def test_a_share_of_what_the_original_hardly_was_asked_is_not_told() -> None:
    most = [f"s{s}-{f}" for s in range(55) for f in range(2)]
    audit = Audit().score(1.0, **LEAK)
    assert recovered(audit) == pytest.approx(1.0)
    audit.score(float("nan"), attack="quantization", model="original", probe="recall", fact_id=most)
    assert recovered(audit) is None


def test_no_share_is_over_all_of_it() -> None:
    audit = Audit().score(1.0, **LEAK)
    known = audit.where(attack="quantization", model="original", probe="recall")
    audit.frame.loc[known, "score"] = np.where(audit.frame.loc[known, "fact_id"].str.endswith("-0"), 1.0, 0.0)
    verdict = audit.decided()  # the original shows half of it, the checkpoint twice as much
    assert finding(verdict, RECALL).recovered == 1.0
    assert "100 % of what was removed" in verdict.sentence
