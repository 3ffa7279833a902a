"""Sections on the audit itself: what was tested, what ran, how to read the numbers, how to repeat them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from unlearn_audit.api import Access
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.report.parts.numbers import count, duration, magnitude, percent
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
from unlearn_audit.spec.policy import Doubt, Policy, Release
from unlearn_audit.verdict.findings.causes import causes_of
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.result import Control, Result

_SHORT_DIGEST = 12
_HYGIENE = ("texts", "dropped", "sharing_a_value")
_COMMAND = 1_000
_LONG_VALUE = 60
_RELEASE_WORDS = {
    Release.API: "users of an API: they prompt the model, read its probabilities, and may get it quantized.",
    Release.OPEN_WEIGHTS: "anyone, with its weights: they can prompt it, quantize it and fine-tune it.",
}
_CONTROL_WORDS = {
    Control.RETRAINED: "models trained without the forget set (retrained): with their mean",
    Control.TWINS_AND_PLACEBO: "what the same answers score for other subjects (twin answers), and what it says about "
    "invented subjects (placebo facts), with each separately; no retrained model was given",
    Control.PLACEBO: "what it says about invented subjects, asked the same questions (placebo facts); no retrained "
    "model was given",
    Control.TWINS: "what the same answers score for other subjects (twin answers); no retrained model was given",
    Control.SHAM: "what the attack makes it say when aimed at a twin answer (sham); no retrained model was given",
    Control.CHANCE: "the best constant answer to each relation (chance); there was no better control",
    Control.NOTHING: "nothing: there was no control, and what is shown of the list is counted, guesses included",
    None: "nothing: the audit had no control",
}


def left_over(number: int, noun: str) -> tuple[Block, ...]:
    """Says how many entries a table or list omits; nothing if it omits none."""
    if number <= 0:
        return ()
    return (paragraph(f"{count(number, f'more {noun}')} in ", Code("result.json"), "."),)


def tested(result: Result, limits: Limits) -> Section:
    """Release tier, control, models, fact sets and policy."""
    return Section(
        id="tested",
        title="What was tested",
        blocks=(
            paragraph(
                "Release tier ",
                Code(result.case.release.value),
                f": the model goes to {_RELEASE_WORDS[result.case.release]} "
                f"The checkpoint is compared with {_CONTROL_WORDS[result.verdict.control]}.",
            ),
            *_threats(result, limits),
            heading("Models"),
            *_models(result, limits),
            heading("Fact sets"),
            *_data(result, limits),
            heading("Policy"),
            paragraph("Digest ", Code(result.policy_digest[:_SHORT_DIGEST]), "."),
            _policy(result.policy, result.case.release, limits),
        ),
    )


def coverage(result: Result, limits: Limits) -> Section:
    """What ran, what failed, and what was skipped and why."""
    faults, left_out = result.case.model_faults, result.case.left_out
    causes = causes_of(faults)
    unmade = {fault.model: fault.message for fault in result.case.faults if fault not in faults}
    events = [(job, event) for job in result.jobs for event in job.events]
    return Section(
        id="coverage",
        title="Coverage",
        blocks=(
            paragraph(
                f"{count(len(result.jobs), 'job')} on record, {len(faults)} failed to run, {len(left_out)} skipped. "
                "A job is one arm of an attack on one model."
            ),
            heading("What ran"),
            *_ran(result, limits),
            *_hygiene(result, limits),
            heading("What failed to run"),
            *_listing(
                ((cause.jobs, cause.message) for cause in causes),
                len(causes),
                "No job failed to run.",
                limits,
            ),
            *((heading("What could not be planted"),) if unmade else ()),
            *_listing(unmade.items(), len(unmade), "", limits),
            heading("What was skipped"),
            *_listing(((each.what, each.why) for each in left_out), len(left_out), "Nothing was skipped.", limits),
            *((heading("Events during the run"),) if events else ()),
            *_listing(
                ((f"{job.attack}, {job.arm}, on {job.model}", event) for job, event in events),
                len(events),
                "",
                limits,
            ),
        ),
    )


def provenance(result: Result, limits: Limits) -> Section:
    """Versions, seeds, digests, and the command that repeats the audit."""
    items: list[tuple[Inline, Inline]] = [
        ("unlearn-audit", clean(result.tool_version, limits.text)),
        ("Profile", clean(result.profile, limits.text)),
        ("Seed", Number(str(result.seed))),
        ("Started", clean(result.started, limits.text)),
        ("Took", duration(result.seconds)),
        ("Specification", _digest(result.spec_digest)),
        ("Policy", _digest(result.policy_digest)),
        ("Evidence", _digest(result.evidence_digest)),
        *((f"Model {clean(model.name, 60)}", _digest(model.digest)) for model in result.models[: limits.entries]),
        *((f"Facts {clean(data.set, 60)}", _digest(data.digest)) for data in result.data[: limits.entries]),
    ]
    versions = sorted(result.versions.items())[: limits.entries]
    return Section(
        id="provenance",
        title="Provenance",
        blocks=(
            paragraph("To repeat this audit: ", Code(clean(result.command, max(limits.text, _COMMAND)))),
            Table(caption=("Digests and settings",), columns=text_columns("What", "Value"), rows=tuple(items)),
            heading("Versions"),
            Table(
                caption=("Versions",),
                columns=text_columns("Package", "Version"),
                rows=tuple((clean(name, limits.text), clean(version, limits.text)) for name, version in versions),
            ),
            *left_over(len(result.versions) - len(versions), "version"),
        ),
    )


def _digest(text: str) -> Code:
    return Code(clean(text, 80))


def _short(digest: str) -> Code:
    return Code(clean(digest, 80)[:_SHORT_DIGEST])


def _threats(result: Result, limits: Limits) -> tuple[Block, ...]:
    """What access each attack requires, and which attacks decide at this tier."""
    planned = under(result.case, result.policy).planned
    deciding = {finding.attack for finding in result.verdict.findings if finding.gates}
    rows: list[tuple[Inline, ...]] = []
    for access in Access:
        attacks = list(dict.fromkeys(one.attack for one in planned if one.access is access))
        if attacks:
            decide = [name for name in attacks if name in deciding]
            rest = [name for name in attacks if name not in deciding]
            rows.append((access.value, *(clean(", ".join(names), 2 * limits.text) or "–" for names in (decide, rest))))
    if not rows:
        return ()
    columns = (
        *text_columns("Access required"),
        Column(title="Attacks that decide", wide=True),
        Column(title="Advisory only"),
    )
    return heading("Threat model"), Table(caption=("Attacks by access",), columns=columns, rows=tuple(rows))


def _models(result: Result, limits: Limits) -> tuple[Block, ...]:
    rows: list[tuple[Inline, ...]] = [
        (
            clean(model.role, limits.text),
            clean(model.name, limits.text),
            Code(clean(model.reference, limits.text)),
            _short(model.digest),
            clean(model.dtype, limits.text),
            clean(model.architecture, limits.text),
            Number(magnitude(model.parameters)),
        )
        for model in result.models[: limits.entries]
    ]
    columns = (
        *text_columns("Role", "Name", "Reference", "Digest", "Type", "Architecture"),
        *number_columns("Parameters"),
    )
    table = Table(caption=("Models",), columns=columns, rows=tuple(rows))
    return table, *left_over(len(result.models) - len(rows), "model")


def _data(result: Result, limits: Limits) -> tuple[Block, ...]:
    rows: list[tuple[Inline, ...]] = [
        (clean(data.set, limits.text), _short(data.digest), Number(f"{data.facts:,}"), Number(f"{data.subjects:,}"))
        for data in result.data[: limits.entries]
    ]
    columns = (*text_columns("Set", "Digest"), *number_columns("Facts", "Subjects"))
    table = Table(caption=("Fact sets",), columns=columns, rows=tuple(rows))
    return table, *left_over(len(result.data) - len(rows), "fact set")


def _policy(policy: Policy, release: Release, limits: Limits) -> Table:
    values: dict[str, str] = {
        "margin": percent(policy.margin),
        "alpha_pass": percent(policy.alpha_pass),
        "alpha_fail": percent(policy.alpha_fail),
        "population": policy.population.value,
        "power": percent(policy.power),
        "utility": percent(policy.utility),
        "gate": ", ".join(policy.gate),
        "required": ", ".join(policy.required.get(release, ())) or "none",
        "minimum_twins": str(policy.minimum_twins),
        "unit": policy.unit.value,
        "draws": f"{policy.draws:,}",
    }
    if policy.whole is not None:
        values["whole"] = f"{policy.whole:,}"
    if policy.without:
        values["without"] = "; ".join(f"{entry}: {reason}" for entry, reason in policy.without.items())
    if policy.inconclusive is not Doubt.INCONCLUSIVE:
        values["inconclusive"] = policy.inconclusive.value
    if policy.release is not None:
        values["release"] = policy.release.value
    rows = tuple(
        (Code(name), clean(value, 2 * limits.text), Policy.model_fields[name].description or "")
        for name, value in values.items()
    )
    columns = (*text_columns("Threshold", "Value"), Column(title="Meaning", wide=True))
    return Table(caption=("Thresholds",), columns=columns, rows=rows)


def _ran(result: Result, limits: Limits) -> tuple[Block, ...]:
    groups: dict[tuple[str, str], list[JobRecord]] = {}
    for job in result.jobs:
        groups.setdefault((job.attack, job.arm), []).append(job)
    if not groups:
        return (paragraph("No job is on record."),)
    rows = tuple(_ran_row(jobs, limits) for jobs in list(groups.values())[: limits.entries])
    columns = (
        *text_columns("Attack", "Arm", "On"),
        *number_columns("Cells", "Observations", "Time"),
        *text_columns("Status"),
        Column(title="Proof, on the checkpoint", wide=True),
    )
    table = Table(caption=("Cells that ran",), columns=columns, rows=rows)
    return table, *left_over(len(groups) - len(rows), "row")


def _ran_row(jobs: list[JobRecord], limits: Limits) -> tuple[Inline, ...]:
    return (
        clean(jobs[0].attack, limits.text),
        clean(jobs[0].arm, limits.text),
        clean(", ".join(dict.fromkeys(job.role for job in jobs)), limits.text),
        Number(str(len(jobs))),
        Number(f"{sum(job.observations for job in jobs):,}"),
        Number(duration(sum(job.seconds for job in jobs))),
        clean(", ".join(dict.fromkeys(job.status for job in jobs)), limits.text),
        clean("; ".join(_proofs(jobs)), limits.text) or "–",
    )


def _hygiene(result: Result, limits: Limits) -> tuple[Block, ...]:
    """What attacks showed to models, and what they dropped because it gives away what is scored."""
    found: dict[tuple[str, str], Mapping[str, object]] = {}
    for job in result.jobs:
        for proof in job.proof.values():
            if isinstance(hygiene := proof.get("hygiene"), Mapping):
                found.setdefault((job.attack, job.arm), hygiene)
    if not found:
        return ()
    rows: list[tuple[Inline, ...]] = [
        (clean(attack, limits.text), clean(arm, limits.text), *(Number(str(kept.get(name, 0))) for name in _HYGIENE))
        for (attack, arm), kept in list(found.items())[: limits.entries]
    ]
    columns = (*text_columns("Attack", "Arm"), *number_columns("Texts", "Dropped", "Sharing a value"))
    return (
        heading("Information hygiene"),
        paragraph(
            "Every text that an attack trained on or put into a prompt was screened for the facts scored afterwards. "
            "Texts that give a fact away were dropped; texts that contain a scored answer without its subject "
            "were kept, since every model sees the same ones."
        ),
        Table(caption=("Screened texts",), columns=columns, rows=tuple(rows)),
        *left_over(len(found) - len(rows), "row"),
    )


def _proofs(jobs: Iterable[JobRecord]) -> Iterable[str]:
    for job in jobs:
        if job.role == "unlearned":
            yield from (f"{dose}: {_compact(proof)}" for dose, proof in job.proof.items() if proof.keys() - {"hygiene"})


def _compact(proof: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {_value(value)}"
        for name, value in proof.items()
        if name != "hygiene"  # has a table of its own
    )


def _value(value: object) -> str:
    """A value in a few words: for a long collection, its size."""
    if isinstance(value, Mapping | list | tuple) and len(str(value)) > _LONG_VALUE:
        return f"({count(len(value), 'value')}, in result.json)"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _listing(pairs: Iterable[tuple[str, str]], number: int, none: str, limits: Limits) -> tuple[Block, ...]:
    if number == 0:
        return (paragraph(none),) if none else ()
    items = tuple(
        (f"{clean(what, limits.text)}: {clean(why, 2 * limits.text)}",) for what, why in list(pairs)[: limits.entries]
    )
    return Listing(items=items), *left_over(number - len(items), "item")
