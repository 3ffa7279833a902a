"""Rules and waivers, and what changed since a baseline: what was required, and who accepted exceptions."""

from __future__ import annotations

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import count, p_value, percent, points
from unlearn_audit.report.parts.view import (
    Block,
    Code,
    Column,
    Inline,
    Limits,
    Listing,
    Number,
    Section,
    Table,
    heading,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.parts.words import place_of
from unlearn_audit.spec.policy import Rule
from unlearn_audit.spec.waivers import State, Waiver, WaiverRecord
from unlearn_audit.verdict.result import Result

_SHORT = 12


def section(result: Result, limits: Limits) -> Section:
    """The policy's rules, the waivers with what each did, and the baseline if there is one."""
    policy = result.policy
    rules: tuple[Block, ...] = (paragraph("No rules: the policy's own values hold for every finding."),)
    if policy.rules:
        rules = (
            paragraph("The first rule that covers a finding applies to it; the policy's own values hold for the rest."),
            _rules(result, limits),
        )
    return Section(
        id="rules",
        title="Rules and waivers",
        blocks=(*rules, *_waivers(result, limits), *_baseline(result, limits)),
        empty=not (policy.rules or result.verdict.waivers or result.baseline is not None),
    )


def waived_by(waiver: Waiver) -> str:
    """`waived by A. Owner until 2026-12-31: reason`."""
    return f"waived by {clean(waiver.owner, 80)} until {waiver.expires.isoformat()}: {clean(waiver.reason, 300)}"


def waiver_line(record: WaiverRecord) -> str:
    """What a waiver is for, who gave it, and what it did."""
    waiver = record.waiver
    did = f"covers {', '.join(record.covers)}" if record.state is State.USED else f"has no effect: {record.why}"
    return f"{waiver.subject}: {did}; {waiver.reason} ({waiver.owner}, until {waiver.expires.isoformat()})"


def _rules(result: Result, limits: Limits) -> Table:
    covered = [finding.rule for finding in result.verdict.findings]
    rows = tuple(
        (
            Code(rule.id),
            Code(clean(rule.findings, limits.text)),
            "required" if rule.required else "advisory",
            Number(percent(result.policy.margin if rule.margin is None else rule.margin)),
            Number(percent(result.policy.alpha if rule.alpha is None else rule.alpha)),
            _least(rule),
            Number(str(covered.count(rule.id))),
        )
        for rule in result.policy.rules[: limits.entries]
    )
    columns = (
        *text_columns("Rule", "Covers", "Its findings are"),
        *number_columns("Margin", "Alpha"),
        *text_columns("At least"),
        *number_columns("Findings"),
    )
    return Table(caption=("Rules of the policy",), columns=columns, rows=rows)


def _least(rule: Rule) -> str:
    asked = ((rule.facts, "fact"), (rule.seeds, "seed"), (rule.controls, "control"))
    return ", ".join(count(number, noun) for number, noun in asked if number) or "–"


def _waivers(result: Result, limits: Limits) -> tuple[Block, ...]:
    records = result.verdict.waivers
    if not records:
        return (paragraph("No waivers."),)
    rows: list[tuple[Inline, ...]] = [
        (
            clean(record.waiver.subject, limits.text),
            record.state.value,
            clean(", ".join(record.covers) if record.state is State.USED else record.why, 2 * limits.text),
            clean(record.waiver.owner, limits.text),
            record.waiver.expires.isoformat(),
            Code(record.waiver.model[:_SHORT]),
            clean(record.waiver.reason, 2 * limits.text),
        )
        for record in records[: limits.entries]
    ]
    columns = (
        *text_columns("Waiver of", "State", "Covers, or why not", "Owner", "Until", "Model"),
        Column(title="Reason", wide=True),
    )
    return (
        heading("Waivers"),
        paragraph(
            f"Checked on {records[0].on.isoformat()}. A waived finding keeps its status but no longer decides. "
            "A waiver that has expired, or names nothing here, has no effect."
        ),
        Table(caption=("Waivers",), columns=columns, rows=tuple(rows)),
    )


def _baseline(result: Result, limits: Limits) -> tuple[Block, ...]:
    record = result.baseline
    if record is None:
        return ()
    rows: list[tuple[Inline, ...]] = [
        (
            Code(clean(one.finding, limits.text)),
            one.direction.value if one.gates else f"{one.direction.value} (advisory)",
            place_of(one.dose, one.variant, limits.text),
            *(Number(text) for text in (percent(one.old), percent(one.new))),
            Number(f"{points(one.estimate)} [{points(one.lower)}, {points(one.upper)}]"),
            Number(p_value(one.holm_p_value)),
            Number(str(one.subjects)),
        )
        for one in record.changes[: limits.entries]
    ]
    columns = (
        *text_columns("Finding", "Since then", "Cell that changed most"),
        *number_columns("Then", "Now", "Change, points", "Holm p", "Subjects"),
    )
    return (
        heading("Changes since the baseline"),
        paragraph(
            "On the facts, doses and ways of asking of both audits, paired by subject. The baseline's model is ",
            Code(record.checkpoint[:_SHORT]),
            ".",
        ),
        Table(caption=("Changes since the baseline",), columns=columns, rows=tuple(rows)),
        *((Listing(items=tuple((clean(note, 2 * limits.text),) for note in record.notes)),) if record.notes else ()),
    )
