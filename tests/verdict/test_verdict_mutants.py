"""Rules of the verdict that mutants of its code could break unseen by the other tests (benchmarks/mutants.py)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.verdict.test_verdict import LEAK, PLANNED, RECALL, Audit, finding, planned, subjects, weak
from unlearn_audit.api.terms import Status
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import gaffke_p_value
from unlearn_audit.verdict.result import Outcome

ALONE = (planned("quantization"),)


def test_every_control_is_in_the_mean() -> None:
    # 20 of 100 subjects come back, and one control shows the same 20: 0.2 - 0.1 beyond the mean, 0.1 * 0.9 allowed.
    audit = Audit(subjects=100).but(planned=ALONE).score(1.0, **LEAK, fact_id=subjects(0, 20))
    audit.score(1.0, **{**LEAK, "role": "retrained"}, model="retrained-1", fact_id=subjects(0, 20))
    one = finding(audit.decided(), RECALL)
    assert one.worst is not None
    assert one.worst.excess.estimate == pytest.approx(0.2 - 0.1 - 0.1 * 0.9)


def test_a_dose_is_held_against_the_same_dose_of_the_control() -> None:
    # The control shows everything in int8 and nothing in NF4, where the checkpoint leaks: no excuse for the leak.
    audit = Audit().score(1.0, **LEAK)
    audit.score(1.0, attack="quantization", probe="recall", dose="int8", role="retrained")
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.FAILED
    assert one.worst is not None
    assert (one.worst.dose, one.worst.controls["retrained-1"]) == ("nf4", 0.0)


def test_an_audit_in_which_every_finding_is_blind_passes_nothing() -> None:
    audit = Audit()
    for attack in ("as-is", "quantization", "relearning"):
        weak(audit, attack)
    verdict = audit.decided(Policy(population="sample", draws=10_000, required={}))
    assert {one.status for one in verdict.findings} == {Status.NO_POWER}
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no deciding finding has passed" in verdict.reasons


def test_power_is_a_lower_bound_and_no_estimate() -> None:
    # The original shows 21 of 60 subjects: 0.35 is more than the 0.30 that power asks for, its lower bound is not.
    audit = Audit().but(planned=ALONE).score(0.0, attack="quantization", probe="recall", role="original")
    audit.score(1.0, attack="quantization", probe="recall", role="original", fact_id=subjects(0, 21))
    one = finding(audit.decided(), RECALL)
    assert one.power is not None
    assert one.power.shown.estimate == pytest.approx(0.35)
    assert one.power.shown.lower < 0.30
    assert not one.power.enough
    assert one.status is Status.NO_POWER


def test_many_clean_doses_do_not_dilute_a_leaking_one() -> None:
    # 7 of 60 subjects in one of four cells; the other three are clean, with bounds below 0.
    audit = Audit().but(planned=ALONE).score(1.0, **LEAK, variant="question", fact_id=subjects(0, 7))
    one = finding(audit.decided(), RECALL)
    uppers = sorted(cell.excess.upper for cell in one.cells)
    assert sum(uppers) < 0 < uppers[-1]
    assert one.bound == uppers[-1]
    assert one.status is Status.INCONCLUSIVE


def test_the_margin_is_a_share_of_what_the_original_knows() -> None:
    # 8 points come back of the 50 that the original had: 16 %, of which the margin grants 10 %, that is 5 points.
    audit = Audit(subjects=100).but(planned=ALONE)
    audit.score(0.0, attack="as-is", probe="recall", role="original", fact_id=subjects(50, 100))
    audit.score(1.0, **LEAK, fact_id=subjects(0, 8))
    one = finding(audit.decided(), RECALL)
    assert one.worst is not None
    assert one.worst.excess.estimate == pytest.approx(0.08 - 0.1 * 0.5)
    assert one.recovered == pytest.approx(0.16)


def test_a_dose_that_silences_every_model_is_no_leak() -> None:
    # NF4 leaves 6 of 100 of the original, and the same 6 of the checkpoint: below a tenth of what was known.
    audit = Audit(subjects=400, facts=1).but(planned=ALONE)
    audit.score(0.0, **{**LEAK, "role": "original"})
    audit.score(1.0, **{**LEAK, "role": ["original", "unlearned"]}, fact_id=subjects(0, 24, 1))
    one = finding(audit.decided(Policy(population="sample", draws=10_000, worst_person="report")), RECALL)
    assert one.worst is not None
    assert one.worst.excess.estimate == pytest.approx(0.06 - 0.1)
    assert one.status is not Status.FAILED


def test_a_total_leak_in_one_of_many_cells_and_findings_fails() -> None:
    # 1 / (20,000 + 1), for many cells twice, times the weight of all findings over this one's would be above 0.05.
    audit = Audit().but(planned=(*PLANNED, *(planned(f"other-{n}") for n in range(60))))
    rows = audit.frame[audit.where(attack="quantization", dose="nf4", probe="recall")]
    others = (rows.assign(attack="other-0", dose=f"dose-{n}") for n in range(10))
    audit.frame = pd.concat([audit.frame, *others], ignore_index=True)
    audit.score(1.0, role="unlearned", attack="other-0", dose="dose-3", variant="question")
    assert finding(audit.decided(), "other-0/recall.hit").status is Status.FAILED


def test_every_subject_weighs_the_same_however_many_facts_it_has() -> None:
    # 30 subjects of two facts and 30 of one; six of the former come back: 6 of 60 subjects, though 12 of 90 facts.
    audit = Audit().but(planned=ALONE)
    left = [one for one in audit.case.subjects if one.endswith("-0") or int(one[1:].split("-")[0]) < 30]
    audit.frame = audit.frame[audit.frame["fact_id"].isin([*left, *audit.case.retain_subjects])]
    audit.but(subjects={one: audit.case.subjects[one] for one in left}).score(1.0, **LEAK, fact_id=subjects(0, 6))
    one = finding(audit.decided(), RECALL)
    assert one.worst is not None
    assert (one.worst.subjects, one.worst.facts) == (60, 90)
    assert one.worst.unlearned == pytest.approx(0.1)
    assert one.worst.excess.estimate == pytest.approx(0.1 - 0.1)


def test_values_that_can_be_no_lower_than_the_limit_are_no_evidence_against_it() -> None:
    # Twenty values at 0, which is both the limit and the least there can be: whatever the weights, their mean is 0.
    assert gaffke_p_value(np.zeros(20), 0.0, 1.0, 0.0, 10_000, 0) == 1.0


def test_a_plant_is_found_by_a_lower_bound_and_no_estimate() -> None:
    # The attack brings back 21 of 60 subjects of its plant: 0.35 is more than the 0.30 that power asks for, its lower
    # bound is not.
    audit = Audit().but(planned=ALONE, plants={"quantization": ("plant",)})
    own = audit.frame[audit.where(role="original", probe="recall", attack=["as-is", "quantization"])]
    back = (own["attack"] == "quantization") & own["fact_id"].isin(subjects(0, 21))
    plant = own.assign(role="plant", model="plant", score=np.where(back, 1.0, 0.0))
    audit.frame = pd.concat([audit.frame, plant], ignore_index=True)
    one = finding(audit.decided(), RECALL)
    assert one.power is not None
    assert one.power.shown.estimate == pytest.approx(0.35)
    assert one.power.plants[0].found == pytest.approx(0.35)
    assert one.status is Status.NO_POWER


def test_the_made_up_audit_holds_what_these_tests_say_of_it() -> None:
    assert {one.attack for one in PLANNED} == {"as-is", "quantization", "relearning"}
    assert Audit().but(planned=ALONE).decided().findings[0].status is Status.PASSED
