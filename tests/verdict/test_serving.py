"""A policy that names what is served: those doses decide for users of an API, and none of them may be missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import unlearn_audit
from tests.verdict.test_verdict import PLANNED, POLICY, Audit, finding, planned, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import FaultyJob, PlannedFinding, is_named
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.reach import cannot_be_met, power_lines
from unlearn_audit.verdict.result import Outcome

SERVED_ARMS = {"quantization": ("nf4", "int8")}
RECALL, REST = "quantization/recall.hit", "quantization/recall.hit.unserved"
LEAK = {"role": "unlearned", "attack": "quantization", "probe": "recall", "fact_id": subjects(0, 30, facts=1)}
MODELS = ["unlearned", "original", "retrained-1", "retrained-2"]


def audit(release: Release = Release.API) -> Audit:
    return Audit(subjects=40, facts=1).but(release=release, served_arms=SERVED_ARMS)


def serves(*names: str) -> Policy:
    return POLICY.model_copy(update={"serves": names})


def fault(arm: str) -> FaultyJob:
    return FaultyJob(attack="quantization", arm=arm, model="unlearned", message="no memory")


def test_nothing_is_parted_where_the_policy_names_nothing() -> None:
    for release in Release:
        verdict = audit(release).decided()
        assert verdict.outcome is Outcome.PASS
        assert [one.id for one in verdict.findings] == [one.id for one in PLANNED]


def test_a_leak_in_what_is_served_fails() -> None:
    verdict = audit().score(1.0, **LEAK, dose="int8").decided(serves("int8"))
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).status is Status.FAILED
    assert finding(verdict, REST).status is Status.PASSED


def test_a_leak_in_what_is_not_served_is_advisory_at_an_api() -> None:
    leaking = audit().score(1.0, **LEAK, dose="nf4")
    assert leaking.decided().outcome is Outcome.FAIL
    verdict = leaking.decided(serves("int8"))
    assert verdict.outcome is Outcome.PASS
    assert verdict.reasons == ()
    own, rest = finding(verdict, RECALL), finding(verdict, REST)
    assert own.gates
    assert {cell.dose for cell in own.cells} == {"int8"}
    assert (rest.gates, rest.status, rest.holm_p_value) == (False, Status.FAILED, None)
    assert {cell.dose for cell in rest.cells} == {"nf4"}
    assert "quantization as served: int8" in verdict.sentence


def test_with_open_weights_everybody_quantizes_as_he_likes() -> None:
    verdict = audit(Release.OPEN_WEIGHTS).score(1.0, **LEAK, dose="nf4").decided(serves("int8"))
    assert verdict.outcome is Outcome.FAIL
    assert [one.id for one in verdict.findings] == [one.id for one in PLANNED]
    assert "as served" not in audit(Release.OPEN_WEIGHTS).decided(serves("int8")).sentence


@pytest.mark.parametrize("release", list(Release))
def test_what_is_served_and_was_not_planned_rules_out_a_pass(release: Release) -> None:
    verdict = audit(release).decided(serves("int8", "q4_0"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (reason,) = verdict.reasons
    assert reason.startswith("the policy says that q4_0 is served, but the plan does not include it (it has nf4, int8)")


@pytest.mark.parametrize("release", list(Release))
def test_what_is_served_and_was_not_measured_rules_out_a_pass(release: Release) -> None:
    verdict = audit(release).without(attack="quantization", dose="int8").decided(serves("nf4", "int8"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the policy says that int8 is served, but no deciding finding was measured on it" in verdict.reasons
    assert "quantization/recall.hit: the planned dose int8 has no evidence in any model" in verdict.reasons


def test_what_is_served_and_nothing_was_planned_for_rules_out_a_pass() -> None:
    others = tuple(one for one in PLANNED if one.attack != "quantization")
    verdict = audit().but(planned=others, served_arms={}).decided(serves("nf4"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    missing = "nf4 is served, but the plan does not include it (it has nothing"
    assert any(missing in reason for reason in verdict.reasons)


def test_measured_in_an_advisory_finding_alone_is_not_measured() -> None:
    policy = serves("nf4").model_copy(update={"gate": ("forced-choice",)})
    verdict = audit().without(attack="quantization", probe="forced-choice").decided(policy)
    assert "the policy says that nf4 is served, but no deciding finding was measured on it" in verdict.reasons
    assert verdict.outcome is not Outcome.PASS


def test_a_crash_counts_where_it_hit() -> None:
    for arm, outcome, status in (("int8", Outcome.ERROR, Status.ERROR), ("nf4", Outcome.PASS, Status.PASSED)):
        verdict = audit().but(faults=(fault(arm),)).decided(serves("int8"))
        assert verdict.outcome is outcome, arm
        assert finding(verdict, RECALL).status is status
    assert finding(verdict, REST).status is Status.ERROR
    for release in Release:  # and where nothing is parted, everywhere
        assert audit(release).but(faults=(fault("nf4"),)).decided().outcome is Outcome.ERROR


def test_a_crash_of_an_attack_that_is_not_served_is_an_error_as_ever() -> None:
    crashed = FaultyJob(attack="relearning", arm="lora", model="unlearned", message="no memory")
    assert audit().but(faults=(crashed,)).decided(serves("int8")).outcome is Outcome.ERROR


def test_a_probe_of_the_first_arm_alone_decides_only_where_that_is_served() -> None:
    once = planned("quantization").model_copy(update={"at_every_dose": False})
    others = tuple(one for one in PLANNED if one.id != RECALL)
    sole = audit().without(attack="quantization", probe="recall", dose="int8").but(planned=(*others, once))
    assert [one.id for one in sole.decided(serves("nf4")).findings if one.probe == "recall"][-1] == RECALL
    recall = {Release.API: ("quantization@nf4/recall",)}
    verdict = sole.decided(serves("int8").model_copy(update={"required": recall}))
    assert [one.id for one in verdict.findings if one.attack == "quantization" and one.probe == "recall"] == [REST]
    # Its measure decides nothing here, so that the policy's demand for its power is not met.
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_what_is_served_alone_has_no_empty_rest() -> None:
    verdict = audit().decided(serves("nf4", "int8"))
    assert [one.id for one in verdict.findings] == [one.id for one in PLANNED]
    assert verdict.outcome is Outcome.PASS


def test_to_choose_twice_is_to_choose_once() -> None:
    case, policy = audit().case, serves("int8")
    assert under(under(case, policy), policy) == under(case, policy)


def test_the_demand_for_power_holds_for_what_is_served() -> None:
    # At int8 the original shows nothing: a clean result there means nothing, however well nf4 shows it.
    blind = audit().score(0.0, role="original", attack="quantization", probe="recall", dose="int8")
    assert blind.decided(serves("nf4")).outcome is Outcome.PASS
    verdict = blind.decided(serves("int8"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert finding(verdict, RECALL).status is Status.NO_POWER


def test_fewer_doses_are_fewer_cells_to_pick_from() -> None:
    leaking = audit().score(1.0, **(LEAK | {"fact_id": subjects(0, 12, facts=1)}), dose="nf4")
    all_doses, one_dose = leaking.decided(), leaking.decided(serves("nf4"))
    p_values = [finding(verdict, RECALL).p_value for verdict in (all_doses, one_dose)]
    assert p_values[0] is not None
    assert p_values[1] is not None
    assert p_values[1] < p_values[0]


def test_a_name_stands_for_the_dose_under_an_adapter_too() -> None:
    assert is_named("nf4+adapter", ["nf4"])
    assert is_named("nf4+adapter", ["nf4+adapter"])
    assert not is_named("nf4", ["nf4+adapter"])
    assert not is_named("nf4-dq", ["nf4"])


def test_the_plan_says_what_can_never_pass() -> None:
    case = audit().case
    assert cannot_be_met(case, serves("int8")) is None
    said = cannot_be_met(case, serves("q4_0"))
    assert said is not None
    assert "q4_0 is served, but the plan does not include it" in said
    assert any("q4_0" in line for line in power_lines(case, serves("q4_0")))
    # The advisory rest is none of the findings that decide.
    assert len(under(case, serves("int8")).planned) == len(PLANNED) + 2
    assert any(f"{len(PLANNED)} findings decide" in line for line in power_lines(case, serves("int8")))


def test_a_finding_covers_its_own_doses() -> None:
    whole = planned("quantization")
    own = whole.model_copy(update={"doses": ("nf4",)})
    rest = own.model_copy(update={"unserved": True})
    covered = [[one.covers(dose) for dose in ("nf4", "nf4+adapter", "int8")] for one in (whole, own, rest)]
    assert covered == [[True, True, True], [True, True, False], [False, False, True]]
    assert [one.hit_by(fault("int8")) for one in (whole, own, rest)] == [True, False, True]
    assert not PlannedFinding.hit_by(planned("as-is"), fault("int8"))
    assert len({whole.id, rest.id}) == 2


def test_models_are_told_apart_in_the_parts() -> None:
    verdict = audit().decided(serves("int8"))
    for name in (RECALL, REST):
        (cell, *_) = finding(verdict, name).cells
        assert set(cell.controls) == {name for name in MODELS if name.startswith("retrained")}
        assert cell.original == 1.0


def test_the_plan_fixes_the_arms_of_what_is_served() -> None:
    assets = Path(unlearn_audit.__file__).parent / "demo" / "assets"
    spec = AuditSpec(
        checkpoint=str(assets / "nf4-masked"),
        original=str(assets / "original"),
        forget=str(assets / "facts" / "forget.jsonl"),
        attacks={"quantization": {"quantizers": ["q4_0", "nf4"]}, "relearning": {}},
        policy=Policy(serves=("nf4",)),
    )
    case = make_plan(spec).case
    assert case.served_arms == {"quantization": ("nf4", "q4_0")}
    every = {(one.attack, one.probe): one.at_every_dose for one in case.planned}
    assert every[("quantization", "recall")]
    assert every[("as-is", "extraction-strength")]
    # The whole battery meets the first arm, what is meant for attacks every one.
    assert not every[("quantization", "extraction-strength")]


def test_artefacts_decide_whatever_the_policy_names_and_have_the_power_of_the_original() -> None:
    """The rows of `quantization` under another name stand for those of files."""
    artefacts = audit()
    own = artefacts.frame[artefacts.frame["attack"] == "quantization"].assign(attack="served")
    artefacts.frame = pd.concat([artefacts.frame, own], ignore_index=True)
    artefacts.but(
        planned=(*PLANNED, planned("served")),
        served_arms={**SERVED_ARMS, "served": ("nf4", "int8")},
        plants={"quantization": (), "relearning": (), "served": ()},
    )
    policy = serves("int8").model_copy(update={"required": {Release.API: ("as-is", "served")}})
    verdict = artefacts.decided(policy)
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert finding(verdict, "served/recall.hit").power.enough
    assert "as served in nf4; int8" in verdict.sentence
    leaking = artefacts.score(1.0, **{**LEAK, "attack": "served"}, dose="nf4").decided(policy)
    assert leaking.outcome is Outcome.FAIL
    assert {one.id for one in leaking.findings if one.attack == "served"} == {"served/recall.hit"}
