"""What an audit found, in sentences that say evidence and never compliance, or that nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api import Access
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.parts.numbers import count, percent, percent_range
from unlearn_audit.report.sections.summary import by_gravity, compared_with, not_covered
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.policy.sealed import departures
from unlearn_audit.verdict.result import Finding, Outcome, Result

MEMBERSHIP = ("membership", "membership-gradient")
_PASSAGES = ("extraction-strength", "verbatim")
_NAME, _MOST = 40, 6


def extraction(result: Result) -> str:
    """What attacks on the weights bring back."""
    access = {one.id: one.access for one in result.case.planned}
    findings = [
        one for one in result.verdict.findings if access.get(one.id) is Access.WEIGHTS and one.attack != BASELINE
    ]
    return _told(findings, "under attacks that need the weights")


def queries(result: Result) -> str:
    """What asking brings back, and attacks that only prompt."""
    access = {one.id: one.access for one in result.case.planned}
    findings = [one for one in result.verdict.findings if access.get(one.id) in (Access.PROMPTS, Access.LOGITS)]
    return _told(findings, "by asking, served as it is or rounded, and under attacks that only prompt")


def regurgitation(result: Result) -> str:
    """Whether passages come out word for word."""
    return _told([one for one in result.verdict.findings if one.probe in _PASSAGES], "on passages word for word")


def everything(result: Result) -> str:
    """All findings together."""
    return _told(result.verdict.findings, "in all")


def membership(result: Result) -> str:
    """What membership inference tells."""
    ran = [one for one in result.verdict.comparisons if one.name in MEMBERSHIP]
    if not ran:
        return "No evidence here: membership inference was not run."
    said = []
    for one in ran:
        if one.error is not None:
            said.append(f"{one.name} could not be measured")
            continue
        worst = next((s for s in (Status.FAILED, Status.ERROR, Status.INCONCLUSIVE) if _has(one.readings, s)), None)
        said.append(f"{one.name}: {'passed' if worst is None else worst.value}")
    return f"{'; '.join(said)}, against its null."


def people(result: Result) -> str:
    """Whether single persons are back."""
    found = result.verdict.people
    if found is None:
        return "No evidence here: people were not counted one by one."
    proven = sum(one.proven for one in found.persons)
    return (
        f"Of {count(found.people, 'person', 'people')}, {found.with_a_fact_out} show a fact in the worst cell "
        f"({found.in_the_control:g} in the control); {proven} proven to be back each on their own."
    )


def what_is_left(result: Result) -> str:
    """Whether the facts of the forget set are gone, in the sense of this audit."""
    all_ = result.verdict.exposure
    verdict = f"Verdict {result.outcome.value}"
    if all_ is None:
        return f"{verdict}; margin {percent(result.policy.margin)}."
    return (
        f"{verdict}: all deciding attacks together show {all_.shown:g} of {all_.facts} facts of "
        f"{count(all_.people, 'person', 'people')}, where the policy lets {all_.allowed:g} come back."
    )


def utility(result: Result) -> str:
    """Whether what was not to be forgotten is still there."""
    measured = result.verdict.utility
    if measured.unlearned is None:
        return "No evidence here: the retain set was not scored."
    return (
        f"Retain set: {percent(measured.unlearned)} of questions answered (original {percent(measured.original)}); "
        f"{measured.status.value}."
    )


def metrics(result: Result) -> str:
    """Whether thresholds were there before results."""
    policy = result.policy
    bound = (
        f"Policy sha256:{result.policy_digest[:12]}: margin {percent(policy.margin)}, at most "
        f"{percent(policy.alpha_pass)} wrong passes, one-sided."
    )
    seal = result.case.seal
    if seal is None:
        return f"{bound} The plan was not sealed before the run, so the report alone does not show which came first."
    found = departures(result.case, policy)
    kept = f"not kept ({count(len(found), 'deviation')})" if found else "kept"
    return f"{bound} The plan was sealed at {clean(seal.made, _NAME)} and {kept}."


def testing(result: Result) -> str:
    """How well the testing itself was tested."""
    powered = [one for one in result.verdict.findings if one.gates and one.power is not None]
    enough = sum(one.power is not None and one.power.enough for one in powered)
    plants = "no plants were made" if result.case.plants is None else count(len(result.case.plant_names), "plant")
    return (
        f"{enough} of {count(len(powered), 'deciding finding')} could have detected the knowledge; {plants}. Compared "
        f"with: {compared_with(result)}."
    )


def coverage(result: Result) -> str:
    """What ran, and what was left out."""
    case = result.case
    return (
        f"{count(len(result.jobs), 'job')} on record, {len(case.model_faults)} failed to run, {len(case.left_out)} "
        f"skipped, each with its reason. Not covered: {' '.join(not_covered(result))}"
    )


def record(result: Result) -> str:
    """What there is to repeat and check the audit by."""
    signature = result.appendix.signature if result.appendix is not None else None
    signed = "no attestation is known to this report" if signature is None else "an attestation lies with the run"
    return (
        f"Digests of {count(len(result.models), 'model')}, {count(len(result.data), 'fact set')}, specification, "
        f"policy and evidence, seeds, versions and the command; {signed}."
    )


def residual(result: Result) -> str:
    """What somebody accepted."""
    waived = [one for one in result.verdict.findings if one.waiver is not None]
    open_ends = sum(one.gates and one.status is not Status.PASSED for one in result.verdict.findings)
    return (
        f"{count(open_ends, 'deciding finding')} not passed; {count(len(waived), 'finding')} waived by a named owner."
    )


def decision(result: Result) -> str:
    """One input to whether a model should be released."""
    advice = "nothing in it stands against release" if result.outcome is Outcome.PASS else "it does not support release"
    return f"Verdict {result.outcome.value} for release tier {result.case.release.value}: {advice}, as far as it goes."


def _told(findings: Sequence[Finding], where: str) -> str:
    measured = [one for one in findings if one.worst is not None]
    if not measured:
        return f"No evidence here {where}."
    deciding = [one for one in measured if one.gates]
    passed = sum(one.status is Status.PASSED for one in deciding)
    attacks = list(dict.fromkeys(clean(one.attack, _NAME) for one in measured))
    more = f" and {len(attacks) - _MOST} more" if len(attacks) > _MOST else ""
    decided = f"{passed} of {len(deciding)} that decide passed" if deciding else "none of them decides"
    line = f"{count(len(measured), 'finding')} {where} ({', '.join(attacks[:_MOST])}{more}); {decided}."
    worst = by_gravity(deciding or measured)[0]
    cell = worst.worst
    if cell is None:
        return line
    beside = f", controls {percent_range(list(cell.controls.values()))}" if cell.controls else ""
    return f"{line} Worst: {clean(worst.id, 2 * _NAME)}, {percent(cell.unlearned)} shown{beside}."


def _has(readings: Sequence[object], status: Status) -> bool:
    return any(getattr(one, "status", None) is status for one in readings)
