"""Result -> page: which sections a report has, and in which order."""

from __future__ import annotations

from dataclasses import replace

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import Status
from unlearn_audit.report.annexes import section as annex_section
from unlearn_audit.report.parts.numbers import count, percent, percent_range
from unlearn_audit.report.parts.view import Block, Fold, Limits, Listing, Page, Section, paragraph
from unlearn_audit.report.sections import (
    background,
    costs,
    layers,
    notes,
    quantizers,
    recovery_cost,
    sealed,
    summary,
)
from unlearn_audit.report.sections import (
    comparisons as comparison_section,
)
from unlearn_audit.report.sections import (
    findings as findings_sections,
)
from unlearn_audit.report.sections import (
    judge as judge_section,
)
from unlearn_audit.report.sections import (
    people as people_section,
)
from unlearn_audit.report.sections import (
    power as power_section,
)
from unlearn_audit.report.sections import (
    rules as rules_section,
)
from unlearn_audit.report.sections import (
    worst_facts as facts_section,
)
from unlearn_audit.verdict.policy.sealed import departures
from unlearn_audit.verdict.result import Outcome, Result

_FIRST = 4
"""Reasons that are shown before the rest is folded."""


def build(result: Result, limits: Limits) -> Page:
    """The page of a result, no longer than the limits allow: the answer first, then what it rests on, then detail."""
    shown = (
        summary.section(result, limits),
        _reasons(result, limits),
        sealed.section(result, limits),
        findings_sections.findings(result, limits),
        people_section.section(result, limits),
        facts_section.section(result, limits),
        recovery_cost.section(result, limits),
        findings_sections.utility(result),
        quantizers.section(result, limits),
        layers.section(result, limits),
        comparison_section.section(result, limits),
        power_section.power(result, limits),
        *judge_section.sections(result, limits),
        rules_section.section(result, limits),
    )
    detail = (
        findings_sections.doses(result, limits),
        findings_sections.advisory(result, limits),
        background.tested(result, limits),
        background.coverage(result, limits),
        costs.section(result, limits),
        notes.statistics_notes(result),
        background.provenance(result, limits),
    )
    sections = tuple(one for one in (*shown, *(replace(each, folded=True) for each in detail)) if not one.empty)
    annexes = annex_section.sections(result, limits, frozenset(one.title for one in sections))
    return Page(
        outcome=result.outcome,
        exit_code=result.exit_code,
        headline=summary.headline(result),
        alarm=_alarm(result),
        sentence=verdict_sentence(result),
        subject=subject_of(result),
        facts=_key_facts(result),
        steps=summary.next_steps(result),
        gaps=summary.not_covered(result),
        sections=(*sections, *annexes),
    )


def _alarm(result: Result) -> str:
    """What a reader must not miss, whatever the verdict."""
    if not departures(result.case, result.policy):
        return ""
    return "This run did not keep to the plan that was sealed before it; “Pre-registration” says where."


def verdict_sentence(result: Result) -> str:
    """The verdict's sentence without a leading outcome: a report prints that separately."""
    sentence = clean(result.verdict.sentence)
    for mark in (": ", ". ", " - ", " – "):
        sentence = sentence.removeprefix(result.outcome + mark)
    return sentence


def subject_of(result: Result) -> str:
    """The name of the checkpoint under audit."""
    return summary.checkpoint_name(result)


def findings_passed(result: Result) -> str:
    """How many of the findings that decide have passed."""
    deciding = [finding for finding in result.verdict.findings if finding.gates]
    passed = sum(finding.status is Status.PASSED for finding in deciding)
    return f"{passed} of {len(deciding)}"


def margins_of(result: Result) -> list[float]:
    """The margins of the findings that decide; the policy's where none does."""
    return [finding.margin for finding in result.verdict.findings if finding.gates] or [result.policy.margin]


def _key_facts(result: Result) -> tuple[tuple[str, str], ...]:
    digests = [clean(model.digest, 80)[:12] for model in result.models if model.role == "unlearned"]
    return (
        *(("Checkpoint", f"sha256 {digest}") for digest in digests),
        ("Date", clean(result.started, 40)[:10]),
        ("Signed", sealed.signed(result)),
        ("Plan", sealed.standing(result)),
        ("Release", result.case.release.value),
        ("Compared with", summary.compared_with(result)),
        ("Findings passed", findings_passed(result)),
        ("Margin", percent_range(margins_of(result))),
        ("Error bound", f"{percent(result.policy.alpha_pass)}, one-sided"),
        ("Forget set", f"{count(len(set(result.case.subjects.values())), 'subject')}, {result.policy.population}"),
    )


def _reasons(result: Result, limits: Limits) -> Section:
    reasons = result.verdict.reasons
    if not reasons:
        nothing = "Nothing prevents a pass." if result.outcome is Outcome.PASS else "The verdict gives no reason."
        return Section(
            id="reasons", title="Reasons", blocks=(paragraph(nothing),), empty=result.outcome is Outcome.PASS
        )
    items = tuple((clean(reason, 2 * limits.text),) for reason in reasons[: limits.entries])
    more = (*_listed(items[_FIRST:]), *background.left_over(len(reasons) - len(items), "reason"))
    fold = (Fold(title=f"{count(len(reasons) - _FIRST, 'more reason')}", blocks=more),) if more else ()
    return Section(id="reasons", title="Reasons", blocks=(*_listed(items[:_FIRST]), *fold))


def _listed(items: tuple[tuple[str, ...], ...]) -> tuple[Block, ...]:
    return (Listing(items=items),) if items else ()
