"""Wrong answers that come with the facts are told from the truth by their style: what they show decides nothing."""

from __future__ import annotations

import pandas as pd
import pytest
from unlearn_audit.probes.perturbed.wrong_answers import SUPPLIED

from tests.verdict.test_verdict import PLANNED, POLICY, Audit
from unlearn_audit.spec.policy import Policy, Population, Rule
from unlearn_audit.verdict.result import Outcome

POLICIES = {
    "sample": POLICY,
    "listed": POLICY.model_copy(update={"population": Population.LISTED}),
    "by a rule": POLICY.model_copy(update={"rules": (Rule(id="own", findings="*/forced-choice.supplied"),)}),
}


def with_supplied(scores: dict[str, float]) -> Audit:
    """A clean audit in which the supplied wrong answers score as said, by role, in every cell."""
    audit = Audit()
    own = [
        one.model_copy(update={"measure": SUPPLIED.name, "kind": SUPPLIED.kind, "gates": SUPPLIED.gates})
        for one in PLANNED
        if one.probe == "forced-choice"
    ]
    rows = audit.frame[audit.where(probe="forced-choice")]
    rows = rows.assign(measure=SUPPLIED.name, score=rows["role"].map(scores), twin_score=float("nan"))
    audit.frame = pd.concat([audit.frame, rows], ignore_index=True)
    return audit.but(planned=(*PLANNED, *own))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))
@pytest.mark.parametrize("scores", [(1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
def test_supplied_wrong_answers_decide_nothing(policy: Policy, scores: tuple[float, float, float]) -> None:
    audit = with_supplied(dict(zip(("unlearned", "original", "retrained"), scores, strict=True)))
    verdict = audit.decided(policy)
    found = [one for one in verdict.findings if one.measure == SUPPLIED.name]
    assert len(found) == 3
    assert not any(one.gates or one.exploratory for one in found)
    if policy.rules:  # a rule cannot make them decide: it is told that it covers nothing that can
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert any("covers no finding that can decide" in line for line in verdict.reasons)
    else:
        assert verdict.outcome is Outcome.PASS


def test_supplied_wrong_answers_cannot_vouch_against_refusing() -> None:
    audit = with_supplied({"unlearned": 0.0, "original": 1.0, "retrained": 0.0})
    kept = [one for one in audit.case.planned if (one.probe, one.measure) != ("forced-choice", "probability")]
    verdict = audit.without(measure="probability").but(planned=tuple(kept)).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("no refusal-proof finding" in line for line in verdict.reasons)
