"""The facts that are named of a finding: by hand, against every kind of control."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.verdict.test_verdict import Audit
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case
from unlearn_audit.verdict.findings.places import SHAM, UNLEARNED, control_key
from unlearn_audit.verdict.findings.worst_facts import MOST, worst_facts
from unlearn_audit.verdict.result import CellEstimate, Interval

CASE = Audit(subjects=4, facts=1, controls=1).case
PLANNED = CASE.planned[0]
A, B, C = sorted(CASE.subjects)[:3]


def row(key: str, fact: str, score: float | None, *, variant: str = "question", seed: int = 0, **beside: float):
    return {
        "key": key,
        "dose": "plain",
        "variant": variant,
        "fact_id": fact,
        "seed": seed,
        "score": score,
        "twin_score": beside.get("twin"),
        "placebo_score": beside.get("placebo"),
    }


def frame(*rows) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    for column in ("score", "twin_score", "placebo_score"):
        table[column] = pd.to_numeric(table[column]).astype(float)
    return table.astype(dict.fromkeys(["key", "dose", "variant", "fact_id"], "category"))


def cell(control: str, variant: str = "question") -> CellEstimate:
    excess = Interval(estimate=0.5, lower=0.4, upper=0.6)
    return CellEstimate(
        dose="plain",
        dose_value=None,
        variant=variant,
        subjects=3,
        facts=3,
        unlearned=0.5,
        excess=excess,
        worst_control=control,
    )


def names(found) -> list[tuple[str, float, float]]:
    return [(one.id, one.unlearned, one.control) for one in found]


def test_the_largest_difference_comes_first_and_what_is_not_above_the_control_is_out():
    (control,) = CASE.controls
    rows = frame(
        row(UNLEARNED, A, 0.6, seed=0),
        row(UNLEARNED, A, 0.8, seed=1),
        row(UNLEARNED, B, 1.0),
        row(UNLEARNED, C, 0.2),
        row(UNLEARNED, A, 1.0, variant="paraphrase-1"),
        row(control_key(control), A, 0.1),
        row(control_key(control), B, 0.9),
        row(control_key(control), C, 0.3),
        row("original", A, 1.0),
    )
    found = worst_facts(PLANNED, rows, cell(control), CASE)
    assert names(found) == [(A, pytest.approx(0.7), 0.1), (B, 1.0, 0.9)]
    assert [one.original for one in found] == [1.0, None]


def test_over_all_ways_of_asking_a_fact_counts_at_its_best():
    (control,) = CASE.controls
    rows = frame(
        row(UNLEARNED, A, 0.0),
        row(UNLEARNED, A, 1.0, variant="paraphrase-1"),
        row(control_key(control), A, 0.0),
        row(control_key(control), A, 0.5, variant="paraphrase-1"),
    )
    planned = PLANNED.model_copy(update={"any_of": True})
    assert names(worst_facts(planned, rows, cell(control, "any of 2"), CASE)) == [(A, 1.0, 0.5)]


@pytest.mark.parametrize(
    ("control", "expected"), [("twins", 0.25), ("placebo", 0.5), ("sham", 0.125), ("chance", 0.75)]
)
def test_each_stand_in_is_what_is_subtracted(control: str, expected: float):
    case: Case = CASE.model_copy(update={"controls": (), "chance": {A: 0.75}})
    rows = frame(row(UNLEARNED, A, 1.0, twin=0.25, placebo=0.5), row(UNLEARNED + SHAM, A, 0.125))
    assert names(worst_facts(PLANNED, rows, cell(control), case)) == [(A, 1.0, expected)]


def test_a_missing_score_names_no_fact():
    (control,) = CASE.controls
    rows = frame(row(UNLEARNED, A, None), row(UNLEARNED, B, 1.0), row(control_key(control), A, 0.0))
    assert worst_facts(PLANNED, rows, cell(control), CASE) == ()


def test_the_verdict_names_facts_of_what_decides_and_did_not_pass_alone():
    audit = Audit(subjects=40, facts=1, controls=1).score(1.0, role="unlearned", attack="relearning")
    findings = audit.decided().findings
    for finding in findings:
        assert bool(finding.worst_facts) == (finding.gates and finding.status is Status.FAILED)
        assert len(finding.worst_facts) <= MOST
    named = [finding for finding in findings if finding.worst_facts]
    assert named
    first = named[0].worst_facts
    assert [one.id for one in first] == sorted(one.id for one in first)  # all alike: by id
