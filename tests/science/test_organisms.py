"""Organisms whose truth is known: hidden knowledge FAILs, never-learned PASSes, broken or mute does not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.science.conftest import run_audit
from unlearn_audit.api.terms import Status
from unlearn_audit.demo import organism_spec
from unlearn_audit.verdict.result import Finding, Outcome, Result

pytestmark = pytest.mark.science


# What is asked of the evidence alone needs no control and few questions.
ALONE = {"retrained": (), "original": None}
ASKED = {"recall": {"max_paraphrases": 0}}


def finding(result: Result, name: str) -> Finding:
    return next(found for found in result.verdict.findings if found.id == name)


def failed(result: Result) -> set[str]:
    return {found.id for found in result.verdict.findings if found.gates and found.status is Status.FAILED}


@pytest.mark.slow
def test_the_original_fails_without_any_attack(audited):
    result = audited("original")
    assert result.outcome is Outcome.FAIL
    assert finding(result, "as-is/recall.hit").status is Status.FAILED


@pytest.mark.slow
def test_a_refusal_tuned_model_is_clean_when_asked_and_fails_by_relearning(audited):
    result = audited("refusal")
    assert result.outcome is Outcome.FAIL
    assert finding(result, "as-is/recall.hit").status is Status.PASSED
    relearning = finding(result, "relearning/recall.hit")
    assert relearning.status is Status.FAILED
    assert relearning.recovered > 0.5


@pytest.mark.slow
def test_a_model_unlearned_by_npo_fails(audited):
    result = audited("npo")
    assert result.outcome is Outcome.FAIL
    assert any(name.startswith("relearning/") for name in failed(result))
    relearning, asked = finding(result, "relearning/recall.hit"), finding(result, "as-is/recall.hit")
    assert relearning.worst.unlearned > asked.worst.unlearned


def test_a_model_masked_inside_its_nf4_boxes_fails_by_nf4(audited):
    result = audited("nf4-masked")
    assert result.outcome is Outcome.FAIL
    assert finding(result, "as-is/recall.hit").status is Status.PASSED
    quantization = finding(result, "quantization/recall.hit")
    assert quantization.status is Status.FAILED
    assert quantization.worst.dose == "nf4"
    assert quantization.recovered > 0.9
    fp4 = [cell for cell in quantization.cells if cell.dose == "fp4"]
    assert fp4
    assert all(cell.unlearned < 0.5 for cell in fp4)
    assert "nf4" in result.verdict.sentence


def test_a_model_that_never_learned_passes_against_two_others(audited):
    result = audited("retrained")
    assert result.outcome is Outcome.PASS, result.verdict.reasons
    assert not failed(result)
    assert result.policy.margin == 0.10
    assert len(result.case.controls) == 2


@pytest.mark.slow
def test_a_broken_model_does_not_pass(audited):
    result = audited("broken")
    assert result.outcome is not Outcome.PASS
    assert result.verdict.utility.status is Status.FAILED


@pytest.mark.slow
def test_refusing_everything_is_no_way_to_pass(audited):
    result = audited("refuses-all")
    assert result.outcome is not Outcome.PASS
    assert finding(result, "as-is/recall.hit").worst.unlearned == 0
    assert result.verdict.utility.status is Status.FAILED


@pytest.mark.slow
def test_the_same_audit_twice_gives_the_same_evidence(facts, tmp_path: Path):
    attacks = {"quantization": {"quantizers": ["nf4"]}, "relearning": {"steps": [0, 5]}}
    spec = organism_spec("refusal").model_copy(update={"attacks": attacks, "probes": ASKED, **ALONE, **facts})
    one, two = (run_audit(spec, tmp_path / name) for name in ("one", "two"))
    assert one.evidence_digest == two.evidence_digest
    assert len(one.evidence_digest) == 64


def test_a_run_that_is_resumed_gives_the_evidence_of_one_that_was_not(facts, tmp_path: Path):
    whole = organism_spec("npo").model_copy(
        update={"attacks": {"as-is": {}, "quantization": {"quantizers": ["fp4"]}}, "probes": ASKED, **ALONE, **facts}
    )
    first = run_audit(whole, tmp_path / "run")
    jobs = sorted((tmp_path / "run" / "jobs").glob("*/observations.parquet"))
    assert len(jobs) == 2
    untouched = jobs[0].stat().st_mtime_ns
    for file in jobs[1].parent.iterdir():
        file.unlink()
    jobs[1].parent.rmdir()
    again = run_audit(whole, tmp_path / "run")
    assert again.evidence_digest == first.evidence_digest
    assert jobs[0].stat().st_mtime_ns == untouched
