"""Where a number over models stands beside its null, and what it does to an audit that it decides."""

from __future__ import annotations

import pytest

from unlearn_audit.api import Access
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.findings.comparisons import described, lines_of, p_outside, status_of, weigh_comparisons


def reading(lower: float | None, upper: float | None, null: tuple[float, float] | None = (0.5, 0.6)) -> GroupRecord:
    estimate = None if lower is None or upper is None else (lower + upper) / 2
    return GroupRecord(
        measure="auc", variant="loss", between=("unlearned",), estimate=estimate, lower=lower, upper=upper, null=null
    )


@pytest.mark.parametrize(
    ("lower", "upper", "status"),
    [
        (0.45, 0.68, Status.PASSED),
        (0.40, 0.70, Status.PASSED),  # the margin's own ends still lie within
        (0.39, 0.68, Status.INCONCLUSIVE),
        (0.45, 0.71, Status.INCONCLUSIVE),
        (0.71, 0.90, Status.FAILED),
        (0.10, 0.39, Status.FAILED),  # far below its null is a trace, too
    ],
)
def test_a_reading_is_held_against_its_null_on_both_sides(lower, upper, status):
    assert status_of(reading(lower, upper), 0.1) is status


def test_a_number_without_a_null_says_nothing_and_one_that_is_absent_does_not_pass():
    assert status_of(reading(0.9, 1.0, None), 0.1) is None
    assert status_of(reading(None, None), 0.1) is Status.ERROR
    missing = GroupRecord(measure="auc", variant="loss", between=("unlearned",), missing="no holdout")
    assert status_of(missing, 0.1) is Status.INCONCLUSIVE
    assert "no holdout" in described(missing)


def test_only_a_comparison_that_the_policy_names_decides():
    found = [ComparisonRecord(name="membership", access=Access.LOGITS, paper="", readings=(reading(0.8, 0.9),))]
    advisory = weigh_comparisons(found, Policy())
    assert not advisory[0].gates
    assert advisory[0].readings[0].status is Status.FAILED
    assert lines_of(advisory, Status.FAILED) == []
    deciding = weigh_comparisons(found, Policy(gate=("recall", "membership")))
    assert lines_of(deciding, Status.FAILED) == [
        "membership: auc (loss), unlearned: 0.85 [0.80, 0.90], null 0.50 to 0.60"
    ]


def test_of_twenty_honest_readings_one_outside_is_chance():
    # 0.71 is the lower bound at 5 %, just above 0.6 + 0.1: p is a little below 0.05, and times 20 above it.
    outside, within = reading(0.71, 0.90), reading(0.45, 0.65)
    policy = Policy(gate=("recall", "traces"))
    many = ComparisonRecord(name="traces", access=Access.LOGITS, paper="", readings=(outside, *[within] * 19))
    alone = ComparisonRecord(name="traces", access=Access.LOGITS, paper="", readings=(outside,))
    assert lines_of(weigh_comparisons([many], policy), Status.FAILED) == []
    assert len(lines_of(weigh_comparisons([many], policy), Status.INCONCLUSIVE)) == 1
    assert len(lines_of(weigh_comparisons([alone], policy), Status.FAILED)) == 1
    far = many.model_copy(update={"readings": (reading(0.9, 0.95), *[within] * 19)})
    assert len(lines_of(weigh_comparisons([far], policy), Status.FAILED)) == 1


def test_the_p_value_of_lying_outside_by_hand():
    # The bound is z(0.95) deviations off, the limit half of that: 1 - Phi(0.5 * 1.645).
    at = reading(0.6, 1.0)  # estimate 0.8, limit 0.7
    assert p_outside(at, Policy()) == pytest.approx(0.2054, abs=1e-4)
    assert p_outside(reading(0.5, 0.6), Policy()) == 1.0
    assert p_outside(reading(0.9, 0.9), Policy()) == 0.0


def test_a_deciding_comparison_that_failed_to_run_is_an_error_and_one_without_a_null_no_pass():
    broken = ComparisonRecord(name="membership", access=Access.LOGITS, paper="", error="out of memory")
    idle = ComparisonRecord(name="drift", access=Access.LOGITS, paper="", readings=(reading(0.8, 0.9, None),))
    found = weigh_comparisons([broken, idle], Policy(gate=("membership", "drift")))
    assert lines_of(found, Status.ERROR) == ["membership: out of memory"]
    assert lines_of(found, Status.INCONCLUSIVE) == ["drift: there is no null to compare its numbers with"]


def test_the_original_must_stand_out_and_decides_nothing():
    original = reading(0.95, 1.0).model_copy(update={"between": ("original", "retrained")})
    found = [
        ComparisonRecord(name="membership", access=Access.LOGITS, paper="", readings=(original, reading(0.45, 0.6)))
    ]
    (weighed,) = weigh_comparisons(found, Policy(gate=("recall", "membership")))
    assert [one.status for one in weighed.readings] == [None, Status.PASSED]
    assert lines_of([weighed], Status.FAILED) == []
    assert lines_of([weighed], Status.INCONCLUSIVE) == []
