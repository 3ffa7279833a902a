"""Evidence + case + policy -> verdict: a pure function, without models and without torch (design, section 6).

A finding **fails** when Holm's p-value over the findings that the plan fixed is at most alpha; it **passes** when its
largest upper bound over all cells and all controls is at most 0. The two use different numbers on purpose: failing
must survive picking the adversary's best cell; passing must hold in every cell. Anything else is
inconclusive: failing to reject is never passing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.statistics.bounds import TOLERANCE, holm
from unlearn_audit.verdict import wording
from unlearn_audit.verdict.findings.cell_bounds import smallest_margin
from unlearn_audit.verdict.findings.comparisons import weigh_comparisons
from unlearn_audit.verdict.findings.controls import contaminated, copied
from unlearn_audit.verdict.findings.coverage import unscored
from unlearn_audit.verdict.findings.exposure import exposure_of, too_much
from unlearn_audit.verdict.findings.people import lines_about, people_of, settled, tests_people
from unlearn_audit.verdict.findings.places import BASELINE, UNLEARNED, checked
from unlearn_audit.verdict.findings.power import Places, lend_power
from unlearn_audit.verdict.findings.utility import PROBE as UTILITY_PROBE
from unlearn_audit.verdict.findings.utility import WeighedUtility, weigh_utility
from unlearn_audit.verdict.findings.weigh import SHAM_LIMIT, Weighed, weigh
from unlearn_audit.verdict.findings.worst_facts import with_worst_facts
from unlearn_audit.verdict.outcome import settle
from unlearn_audit.verdict.policy.planned import BESIDE_FINDINGS, under
from unlearn_audit.verdict.policy.sealed import about_seal
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.policy.waivers import waive
from unlearn_audit.verdict.result import RULES, Control, Finding, Outcome, People, Utility, Verdict


def decide(
    observations: pd.DataFrame,
    case: Case,
    policy: Policy,
    comparisons: Sequence[ComparisonRecord] = (),
    waivers: Waiving | None = None,
) -> Verdict:
    """The verdict on the evidence.

    Args:
        observations: one row an `api.Observation`, with its fields as columns; `score` NaN where missing. Rows of
            plants are read where the case names plants.
        case: what the plan fixed before there was any evidence.
        policy: what a release must meet; a probe or comparison that it does not name is advisory.
        comparisons: what was found over models as wholes.
        waivers: exceptions that someone has accepted, and the day on which they are checked.

    Raises:
        AuditError: the evidence contradicts itself or the case (two scores for one place, an unknown control).
    """
    case = under(case, policy)
    frame = checked(observations, case)
    places = _places(frame, case)
    weighed = _weighed(places, copied(frame, case), case, policy)
    scored = [(one.planned, one.scores) for one in weighed]
    people = people_of(scored, Terms.without_rule(case, policy), policy)
    findings, utility, people = _settled(weighed, weigh_utility(frame, case, policy), people, case, policy)
    findings, utility, waived = waive(findings, utility, waivers or Waiving(), case.checkpoint)
    others = [(one.planned, one.scores) for one, each in zip(weighed, findings, strict=True) if each.waiver is None]
    if len(others) < len(findings):  # who is back in what somebody accepts is accepted
        people = _on_their_own(people_of(others, Terms.without_rule(case, policy), policy), len(findings), policy)
    exposure = exposure_of(others, case, policy)
    compared = weigh_comparisons(comparisons, policy)
    outcome = settle(
        findings,
        utility,
        compared,
        unscored(scored, case) + contaminated(frame, case, policy) + too_much(exposure),
        lines_about(people),
        case,
        policy,
    )
    if outcome.outcome is Outcome.PASS:
        findings = _sharpened(findings, weighed)
    findings = with_worst_facts(findings, places, case)
    return Verdict(
        outcome=outcome.outcome,
        sentence=wording.sentence(outcome, findings, utility, people, exposure, case, policy)
        + about_seal(case, policy),
        reasons=outcome.reasons,
        control=_control(findings),
        unit=policy.unit,
        findings=findings,
        utility=utility,
        comparisons=compared,
        waivers=waived,
        people=people,
        exposure=exposure,
        rules=RULES,
    )


def _weighed(
    places: Sequence[tuple[PlannedFinding, Places]], copies: tuple[str, ...], case: Case, policy: Policy
) -> list[Weighed]:
    """The findings with their numbers, soft measures with the power that hits of the same attack lend them.

    A copy of the checkpoint among the controls (`copies`) is an error of each.
    """
    weighed = [_held_to_its_terms(planned, found, Terms.of(planned, case, policy)) for planned, found in places]
    powers = lend_power({one.planned: one.power for one in weighed if one.power is not None})
    return [dataclasses.replace(one, errors=copies + one.errors, power=powers.get(one.planned)) for one in weighed]


def _held_to_its_terms(planned: PlannedFinding, found: Places, terms: Terms) -> Weighed:
    """A finding with its numbers; what its rule requires but is missing becomes a gap."""
    one = weigh(planned, found, terms)
    own = found.rows[found.rows["key"] == UNLEARNED]
    runs = own["seed"].nunique()
    lacking = terms.shortfalls(planned, facts=one.facts, seeds=runs)
    return dataclasses.replace(one, gaps=one.gaps + lacking, runs=runs if planned.seeded else 0)


def _places(frame: pd.DataFrame, case: Case) -> list[tuple[PlannedFinding, Places]]:
    """Each finding with its observations."""
    groups = {
        (str(attack), str(probe), str(measure)): rows
        for (attack, probe, measure), rows in frame.groupby(["attack", "probe", "measure"], sort=False, observed=True)
    }
    nothing = frame.iloc[:0]
    return [
        (
            planned,
            Places(
                rows=_covered(planned, groups.get((planned.attack, planned.probe, planned.measure), nothing)),
                unattacked=groups.get((BASELINE, planned.probe, planned.measure), nothing),
            ),
        )
        for planned in case.planned
        if planned.probe != UTILITY_PROBE
    ]


def _covered(planned: PlannedFinding, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the doses that a finding covers."""
    if planned.doses is None:
        return rows
    return rows[rows["dose"].isin([dose for dose in rows["dose"].unique() if planned.covers(str(dose))])]


def _sharpened(findings: Sequence[Finding], weighed: Sequence[Weighed]) -> tuple[Finding, ...]:
    """The findings that decided a pass, each with the smallest margin at which it would still hold."""
    return tuple(
        finding.model_copy(update={"at_most": smallest_margin(one.planned, one.scores, one.terms)})
        if finding.gates and finding.status is Status.PASSED and one.scores is not None
        else finding
        for finding, one in zip(findings, weighed, strict=True)
    )


def _settled(
    weighed: Sequence[Weighed], utility: WeighedUtility, people: People | None, case: Case, policy: Policy
) -> tuple[tuple[Finding, ...], Utility, People | None]:
    """Statuses. The plan fixes the Holm family and its weights: a finding without a p-value stays in it, with 1.

    Utility is in it where it can be measured, and one hypothesis for all people and relations where hits decide.
    """
    family = [one for one in weighed if one.planned.in_family]
    p_values = [1.0 if one.p_value is None else one.p_value for one in family]
    weights = [one.planned.weight for one in family]
    joins = case.has_original and bool(case.retain_subjects)
    tested = tests_people([one.planned for one in family], policy)
    if joins:
        p_values.append(1.0 if utility.p_value is None else utility.p_value)
    if tested:
        p_values.append(1.0 if people is None else people.p_value)
    weights += [1.0] * (len(p_values) - len(weights))
    adjusted = holm(p_values, weights)
    people = settled(people, adjusted[-1] if tested else None, math.fsum(weights), policy)
    settled_utility = utility.settled(adjusted[len(family)] if joins and utility.p_value is not None else None)
    broken = settled_utility.status is Status.FAILED and settled_utility.decided_by is None
    holm_p = {one.planned.id: p for one, p in zip(family, adjusted, strict=False) if one.p_value is not None}
    findings = tuple(_finding(one, holm_p.get(one.planned.id), broken=broken) for one in weighed)
    return findings, settled_utility, people


def _on_their_own(people: People | None, findings: int, policy: Policy) -> People | None:
    """People by Bonferroni over the family, which is at least as strict as Holm."""
    family = float(findings + BESIDE_FINDINGS)
    return people and settled(people, min(1.0, family * people.p_value), family, policy)


def _finding(one: Weighed, holm_p_value: float | None, *, broken: bool) -> Finding:
    planned, terms = one.planned, one.terms
    deciding = holm_p_value if planned.in_family else one.p_value
    status = _status(one, deciding)
    place = one.leakiest if status is Status.FAILED else one.worst
    reason = wording.reason(status, one, place)
    if broken and status is Status.PASSED:
        status, reason = (
            Status.INCONCLUSIVE,
            "little was recovered, but the checkpoint is broken, which is not unlearning",
        )
    return Finding(
        id=planned.id,
        attack=planned.attack,
        probe=planned.probe,
        measure=planned.measure,
        kind=planned.kind,
        gates=planned.gates or (planned.exploratory and status is Status.FAILED),
        exploratory=planned.exploratory,
        any_of=planned.any_of,
        refusal_proof=planned.refusal_proof,
        status=status,
        reason=reason,
        control=one.control,
        margin=terms.margin,
        alpha=terms.alpha_fail,
        alpha_pass=terms.alpha_pass,
        rule=terms.rule.id if terms.rule else None,
        subjects=one.subjects,
        facts=one.facts,
        runs=one.runs,
        worst=None if place is None else one.cells[place],
        bound=one.bound,
        recovered=None if place is None else one.recovered[place],
        p_value=one.p_value,
        holm_p_value=holm_p_value,
        power=one.power,
        cells=one.cells,
    )


def _status(one: Weighed, p_value: float | None) -> Status:
    """What the numbers say; a proven leak counts, whatever else failed or is unknown."""
    if p_value is not None and p_value <= one.terms.alpha_fail:
        return Status.FAILED
    if one.errors:
        return Status.ERROR
    unsure = one.control is Control.CHANCE and not one.terms.listed  # of a list, no bound but a count stands on it
    if one.gaps or one.bound is None or one.power is None or unsure:
        return Status.INCONCLUSIVE
    if not one.terms.case.has_original:
        return Status.INCONCLUSIVE
    if not one.power.enough or one.sham_success > SHAM_LIMIT or one.sham_excess > one.terms.margin:
        return Status.NO_POWER
    return Status.PASSED if one.bound <= TOLERANCE else Status.INCONCLUSIVE


def _control(findings: Sequence[Finding]) -> Control | None:
    """The weakest control behind a gating finding with evidence; None if there is no such finding."""
    order = list(Control)  # best first
    known = [finding.control for finding in findings if finding.gates and finding.control is not None]
    return max(known, key=order.index) if known else None
