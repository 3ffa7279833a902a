"""What was planned or listed and has no score must not drop out of what a pass says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verdict.test_verdict import PLANNED, RECALL, WAYS, Audit, finding, planned, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.reach import cannot_be_met
from unlearn_audit.verdict.result import Outcome


def test_a_planned_dose_without_evidence_rules_out_a_pass() -> None:
    audit = Audit().without(attack="quantization", dose="nf4")
    assert audit.decided().reasons == (  # the plan of this case names none, and the policy does
        "quantization@nf4: the policy requires it, but it was not measured; run it, or accept that under "
        "`without: {quantization@nf4: REASON}`",
    )
    verdict = audit.but(doses={"quantization": ("nf4", "int8")}).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"{RECALL}: the planned dose nf4 has no evidence in any model" in verdict.reasons
    assert finding(verdict, RECALL).status is Status.INCONCLUSIVE


def test_a_dose_under_an_adapter_is_the_dose() -> None:
    audit = Audit().but(doses={"quantization": ("nf4", "int8")})
    audit.frame["dose"] = audit.frame["dose"].replace({"nf4": "nf4+adapter"})
    assert audit.decided().outcome is Outcome.PASS


def test_facts_that_nobody_asked_about_rule_out_a_pass() -> None:
    verdict = Audit().without(attack="quantization", fact_id=subjects(0, 20)).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "quantization: at nf4 80 of the 120 listed facts have a score of the checkpoint, and a pass needs 95%" in (
        verdict.reasons
    )


def test_facts_that_another_dose_asked_about_are_a_hole_where_they_are_absent() -> None:
    audit = Audit().without(attack="quantization", dose="nf4", probe="recall", fact_id=subjects(0, 10))
    reason = finding(audit.decided(), RECALL).reason
    assert reason.startswith("at nf4 100 of the 120 facts that it asked about have a score of the checkpoint")


@pytest.mark.parametrize("role", [None, "retrained"])
@pytest.mark.parametrize("few", [5, 60])
def test_a_wording_that_few_facts_were_scored_in_rules_out_a_pass(few: int, role: str | None) -> None:
    holes: dict[str, object] = {} if role is None else {"role": role}
    cell = {"attack": "quantization", "dose": "nf4", "probe": "recall", "variant": WAYS[1]}
    audit = Audit().score(np.nan, **cell, fact_id=subjects(0, few), **holes)
    who = "the checkpoint" if role is None else "retrained-1"
    line = f"{120 - 2 * few} of the 120 facts that it asked so have a score of {who}"
    verdict = audit.but(planned=(*PLANNED, planned("quantization", any_of=True))).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"at nf4, {WAYS[1]}, {line}" in finding(verdict, RECALL).reason
    assert f"{120 - 2 * few} of the 120 facts" in finding(verdict, planned("quantization", any_of=True).id).reason


@pytest.mark.parametrize(
    ("shown", "unscored", "hint"),
    [(9, 6, "6 of them have no score, which counts as shown"), (14, 0, "another retrained control would narrow it")],
)
def test_an_open_finding_of_a_list_says_what_would_settle_it(shown: int, unscored: int, hint: str) -> None:
    cell = {"role": "unlearned", "attack": "quantization", "dose": "nf4", "probe": "recall"}
    ids = [f"s{place}-0" for place in range(shown + unscored)]
    audit = Audit().score(1.0, **cell, fact_id=ids[:shown])
    if not unscored:  # controls that guess: what all doses together show is held against theirs
        audit.score(1.0, role="retrained", probe="recall", fact_id=subjects(40, 48))
    audit = audit.score(np.nan, **cell, fact_id=ids[shown:]) if unscored else audit
    one = finding(audit.decided(Policy(draws=10_000)), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert f"by count at most {shown + unscored} facts are shown, and 12 may come back; {hint}" in one.reason


@pytest.mark.parametrize(("holes", "outcome"), [(5, Outcome.PASS), (7, Outcome.INCONCLUSIVE)])
def test_each_model_is_held_to_coverage_for_itself(holes: int, outcome: Outcome) -> None:
    """A control more must not make a pass rarer: what four models lack together is more than any of them does."""
    audit = Audit()
    models = {"unlearned": 5, "original": 5, "retrained-1": 5, "retrained-2": holes}
    first = 0
    for model, count in models.items():
        ids = [f"s{place}-1" for place in range(first, first + count)]
        audit.score(np.nan, model=model, attack="quantization", dose="nf4", probe="recall", fact_id=ids)
        first += count
    verdict = audit.decided(Policy(draws=10_000))
    assert verdict.outcome is outcome
    if outcome is not Outcome.PASS:
        assert "113 of the 120 facts that it asked about have a score of retrained-2" in finding(verdict, RECALL).reason


def test_a_fact_that_is_asked_in_fewer_wordings_is_no_hole() -> None:
    assert Audit().without(probe="recall", variant=WAYS[1], fact_id=subjects(0, 10)).decided().outcome is Outcome.PASS


def test_one_measure_may_leave_to_another_what_it_cannot_ask() -> None:
    # Recall asks about 100 facts, forced choice about all: together they cover the set.
    assert Audit().without(probe="recall", fact_id=subjects(0, 10)).decided().outcome is Outcome.PASS


@pytest.mark.parametrize("missing", ["rows", "scores"])
def test_what_cannot_come_from_refusing_must_cover_what_it_vouches_for(missing: str) -> None:
    few = {"attack": "as-is", "probe": "forced-choice", "fact_id": subjects(0, 30)}
    audit = Audit().without(**few) if missing == "rows" else Audit().score(np.nan, **few)
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(line.startswith("masking: what cannot come from refusing covers too little") for line in verdict.reasons)


def test_what_can_have_no_score_is_said_before_the_run() -> None:
    audit = Audit()
    assert cannot_be_met(audit.case, Policy()) is None
    mute = {"recall.hit": subjects(0, 10), "forced-choice.probability": subjects(0, 10)}
    said = cannot_be_met(audit.but(unscorable=mute).case, Policy())
    assert said is not None
    assert "as-is: at any dose 100 of the 120 listed facts can have a score of any model, and a pass needs 95%" in said
    assert "masking: what cannot come from refusing covers too little: at as-is 100 of the 120" in said
    # What one measure cannot ask another may; what cannot come from refusing must cover all that it vouches for.
    assert cannot_be_met(Audit().but(unscorable={"recall.hit": subjects(0, 10)}).case, Policy()) is None
    alone = cannot_be_met(Audit().but(unscorable={"forced-choice.probability": subjects(0, 10)}).case, Policy())
    assert alone is not None and "masking" in alone and "any dose" not in alone
