"""Rules of a policy: what they cover, what they ask for, and that none of them lets more through by chance."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.verdict.test_verdict import LEAK, RECALL, Audit, finding, planned, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import FaultyJob, LeftOut
from unlearn_audit.spec.policy import Doubt, Policy, Release, Rule
from unlearn_audit.spec.selectors import check_selector, covers
from unlearn_audit.verdict.result import Outcome

DRAWS = 10_000
ALL = [
    planned(attack, probe) for attack in ("as-is", "quantization", "suffix") for probe in ("recall", "forced-choice")
]


def policy(*rules: Rule, **values: object) -> Policy:
    return Policy(population="sample", draws=DRAWS, rules=rules, **values)


def rule(findings: str = "quantization", **values: object) -> Rule:
    return Rule(id="a-rule", findings=findings, **values)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("quantization", {"quantization/recall.hit", "quantization/forced-choice.probability"}),
        ("quantization.*,-*/forced-choice", {"quantization/recall.hit"}),
        ("as-is/recall,suffix/recall.hit", {"as-is/recall.hit", "suffix/recall.hit"}),
        ("-suffix,-as-is", {"quantization/recall.hit", "quantization/forced-choice.probability"}),
        ("access:prompts", {"as-is/recall.hit", "quantization/recall.hit", "suffix/recall.hit"}),
        (
            "access:logits,-*/recall,-as-is",
            {"quantization/forced-choice.probability", "suffix/forced-choice.probability"},
        ),
        ("suff", set()),
        ("suffix,-suffix,suffix/recall", {"suffix/recall.hit"}),
    ],
)
def test_a_selector_is_read_from_left_to_right(selector: str, names: set[str]) -> None:
    assert {one.id for one in ALL if covers(selector, one)} == names


@pytest.mark.parametrize("selector", ["", "as-is,,suffix", "-", "access:root"])
def test_a_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match=r"empty part|unknown access"):
        check_selector(selector)
    with pytest.raises(ValidationError):
        rule(selector)


def test_a_policy_without_rules_keeps_its_digest() -> None:
    # Taken when NF4 and int8 became required by name (rules 3).
    assert Policy().digest() == KEPT
    assert policy(rule()).digest() != policy().digest()
    assert Policy(inconclusive=Doubt.FAIL).digest() != KEPT


KEPT = "071bb840f5ba1d5b817d1a4d72406e3539915c2e1eb66b16afb2b3d8888b53f2"


def test_a_rule_may_not_err_more_often_than_the_policy() -> None:
    with pytest.raises(ValidationError, match=r"expected an alpha up to the policy's 0\.05"):
        policy(rule(alpha=0.1))
    with pytest.raises(ValidationError, match="two rules"):
        policy(rule(), rule("as-is"))


def test_the_margin_of_a_rule_is_that_of_its_findings_alone() -> None:
    # 9 of 60 subjects come back: open at a margin of 10 %, well within one of 40 %.
    audit = Audit().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 9))
    assert audit.decided(policy()).outcome is Outcome.INCONCLUSIVE
    verdict = audit.decided(policy(rule("quantization/recall", margin=0.4)))
    assert verdict.outcome is Outcome.PASS
    assert (finding(verdict, RECALL).margin, finding(verdict, RECALL).rule) == (0.4, "a-rule")
    assert finding(verdict, "as-is/recall.hit").margin == 0.10
    assert "the policy allows 10 % to 40 %" in verdict.sentence


def test_a_smaller_alpha_makes_both_pass_and_fail_harder_and_leaves_holm_as_it_is() -> None:
    audit = Audit().score(1.0, **LEAK, fact_id=subjects(0, 24))
    usual, strict = finding(audit.decided(policy()), RECALL), finding(audit.decided(policy(rule(alpha=1e-4))), RECALL)
    assert usual.status is Status.FAILED
    assert strict.status is Status.INCONCLUSIVE
    assert (strict.holm_p_value, strict.alpha) == (usual.holm_p_value, 1e-4)
    assert strict.bound is not None and usual.bound is not None and strict.bound > usual.bound


def test_the_first_rule_that_covers_a_finding_has_it() -> None:
    several = policy(Rule(id="one", findings="as-is/recall", required=False), Rule(id="two", findings="*", margin=0.2))
    verdict = Audit().decided(several)
    assert {one.rule for one in verdict.findings} == {"one", "two"}
    assert not finding(verdict, "as-is/recall.hit").gates
    assert finding(verdict, RECALL).margin == 0.2


def test_an_advisory_rule_decides_nothing_and_a_required_one_does() -> None:
    audit = Audit().score(1.0, **LEAK)
    lax = policy(rule("quantization/recall", required=False), required={})
    assert audit.decided(lax).outcome is Outcome.PASS
    # A probe that the policy's list does not name decides by a required rule.
    strict = Policy(
        population="sample",
        draws=DRAWS,
        gate=("forced-choice",),
        required={},
        rules=(rule("quantization/recall"),),
    )
    assert audit.decided(strict).outcome is Outcome.FAIL
    exploring = audit.decided(strict.model_copy(update={"rules": ()}))
    assert exploring.outcome is Outcome.FAIL  # no pass needs it, and a leak is a leak
    assert finding(exploring, RECALL).exploratory


@pytest.mark.parametrize(
    ("asked", "missing"), [({"facts": 121}, "121 facts"), ({"controls": 3}, "3 retrained controls")]
)
def test_what_a_rule_asks_for_and_is_not_there_rules_out_a_pass_and_no_fail(asked, missing) -> None:
    verdict = Audit().decided(policy(rule(**asked)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"rule a-rule requires {missing}" in verdict.reasons[0]
    enough = {name: number - 1 for name, number in asked.items()}
    assert Audit().decided(policy(rule(**enough))).outcome is Outcome.PASS
    assert Audit().score(1.0, **LEAK).decided(policy(rule(**asked))).outcome is Outcome.FAIL


def test_seeds_are_asked_of_attacks_that_draw() -> None:
    asks = policy(rule("*", seeds=2))
    assert Audit().decided(asks).outcome is Outcome.PASS
    audit = Audit()
    drawn = [one.model_copy(update={"seeded": one.attack == "relearning"}) for one in audit.case.planned]
    verdict = audit.but(planned=tuple(drawn)).decided(asks)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "relearning/recall.hit: rule a-rule requires 2 seeds, but there are 1" in verdict.reasons


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ((rule("suffix"),), "rule a-rule names suffix, but it was skipped (suffix: no time)"),
        ((rule("relerning,as-is"),), "rule a-rule names relerning, but the plan does not include it"),
        ((rule("*/utility-of-*"),), "rule a-rule covers no finding that can decide"),
    ],
)
def test_a_required_rule_must_cover_what_it_names(rules, reason) -> None:
    audit = Audit().but(left_out=(LeftOut(what="suffix", why="no time"),))
    verdict = audit.decided(policy(*rules))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(line.startswith(reason) for line in verdict.reasons)
    advisory = tuple(one.model_copy(update={"required": False}) for one in rules)
    if rules[0].findings == "suffix":
        assert audit.decided(policy(*advisory)).outcome is Outcome.PASS


def test_a_policy_for_open_weights_is_not_met_by_an_audit_for_an_api() -> None:
    strict = policy(release=Release.OPEN_WEIGHTS, required={})
    assert Audit().decided(strict).outcome is Outcome.PASS
    verdict = Audit().but(release=Release.API).decided(strict)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the policy is for release tier open-weights" in verdict.reasons[0]


OPEN = {**LEAK, "variant": "question", "fact_id": subjects(0, 9)}


def test_what_stays_open_may_be_made_to_fail_and_says_that_nothing_is_proven() -> None:
    audit = Audit().score(1.0, **OPEN)
    verdict = audit.decided(policy(inconclusive=Doubt.FAIL))
    assert (verdict.outcome, finding(verdict, RECALL).status) == (Outcome.FAIL, Status.INCONCLUSIVE)
    assert verdict.sentence.startswith("FAIL: no leak is proven, but the policy fails an inconclusive audit: ")
    assert audit.decided(policy(rule(inconclusive=Doubt.FAIL))).outcome is Outcome.FAIL
    assert audit.decided(policy(rule("as-is", inconclusive=Doubt.FAIL))).outcome is Outcome.INCONCLUSIVE
    own = policy(rule(inconclusive=Doubt.INCONCLUSIVE), inconclusive=Doubt.FAIL)
    assert audit.decided(own).outcome is Outcome.INCONCLUSIVE
    assert Audit().decided(policy(inconclusive=Doubt.FAIL)).outcome is Outcome.PASS


def test_an_error_stays_an_error_where_doubt_fails() -> None:
    fault = FaultyJob(attack="quantization", arm="nf4", model="unlearned", message="no memory")
    audit = Audit().score(1.0, **OPEN).but(faults=(fault,))
    assert audit.decided(policy(inconclusive=Doubt.FAIL)).outcome is Outcome.ERROR
