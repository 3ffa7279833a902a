"""What a reader learns in ten seconds: the verdict in plain words, what to do next, and what was not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import ScoreKind, Status
from unlearn_audit.report.parts.numbers import count, percent, percent_range
from unlearn_audit.report.parts.view import (
    Code,
    Column,
    Inline,
    Limits,
    Listing,
    Number,
    Section,
    Table,
    Tile,
    paragraph,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.spec.policy import Population
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.phrases import shown
from unlearn_audit.verdict.result import CellEstimate, Control, Finding, Outcome, Result

CONTROL_WORDS = {
    Control.RETRAINED: "retrained models",
    Control.TWINS_AND_PLACEBO: "twin answers and placebo facts",
    Control.PLACEBO: "placebo facts",
    Control.TWINS: "twin answers",
    Control.SHAM: "twin answers as targets",
    Control.CHANCE: "chance level",
    Control.NOTHING: "nothing: counted",
}

_MOST_GAPS = 6
_PLAIN_NAMES = frozenset(["checkpoint", "final", "last", "merged", "model", "output", "unlearned", "weights"])
"""Names of folders that say nothing of the model in them; the folder above does."""

_WORST_FIRST = (Status.FAILED, Status.ERROR, Status.INCONCLUSIVE, Status.NO_POWER, Status.PASSED)


def checkpoint_name(result: Result) -> str:
    """What people call the checkpoint: the end of its path, its hub id, or its file."""
    references = [model.reference for model in result.models if model.role == "unlearned"]
    if not references:
        return "the checkpoint"
    reference = references[0].rstrip("/").replace("\\", "/")
    parts = [part for part in PurePosixPath(reference).parts if part not in ("/", ".")]
    if not parts or not reference.startswith(("/", ".", "~")):
        return clean(reference, 80) or "the checkpoint"
    says_nothing = parts[-1] in _PLAIN_NAMES or parts[-1].startswith("checkpoint-")
    return clean("/".join(parts[-2:] if says_nothing else parts[-1:]), 80)


def by_gravity(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first: failures, by how far they are beyond the margin, then what stayed open, then what passed."""

    def beyond(finding: Finding) -> float:
        return finding.worst.excess.estimate if finding.worst else 0.0

    return sorted(findings, key=lambda one: (_WORST_FIRST.index(one.status), -beyond(one)))


def headline(result: Result) -> str:
    """The verdict in one plain sentence."""
    match result.outcome:
        case Outcome.FAIL:
            findings = by_gravity([one for one in result.verdict.findings if one.gates and one.waiver is None])
            worst = next((one for one in findings if one.status is Status.FAILED and one.worst), None)
            if worst is not None and worst.worst is not None:
                return f"{_done(worst.attack, worst.worst.dose)}{_tells(worst, worst.worst, result)}"
            return "No single attack is what fails this audit; the sentence below and the reasons say what does."
        case Outcome.PASS | Outcome.WAIVED:
            attacks = {one.attack for one in result.verdict.findings if one.gates} - {BASELINE}
            said = f"Asked plainly and under {count(len(attacks), 'attack')}, the checkpoint shows no more of "
            facts = f"the {count(_listed(result), 'fact')}" if _is_list(result) else "the forgotten facts"
            accepted = "; what somebody accepted is left out" if result.outcome is Outcome.WAIVED else ""
            return f"{said}{facts} than may come back{accepted}."
        case Outcome.INCONCLUSIVE:
            return "This audit cannot say whether the knowledge is gone."
        case Outcome.ERROR:
            return "Something that the verdict needs could not be run, so that there is no verdict."


def next_steps(result: Result) -> tuple[str, ...]:
    """What the reader can do now."""
    match result.outcome:
        case Outcome.FAIL:
            return (
                "Do not release this checkpoint as it is. Unlearn further, or again, and audit the new one.",
                "“Findings” says which attacks bring the facts back, and “Worst facts” which facts these are.",
            )
        case Outcome.WAIVED:
            return ("Read who accepted what, and until when, before you sign.",)
        case Outcome.PASS:
            return ("Read what this audit does not cover, then sign it (unlearn-audit attest).",)
        case Outcome.INCONCLUSIVE:
            reasons = tuple(clean(reason, 300) for reason in result.verdict.reasons[:3])
            return ("Mend what stands in the way, and run it again; what is done is kept.", *reasons)
        case Outcome.ERROR:
            causes = tuple(clean(reason, 300) for reason in result.verdict.reasons[:3])
            return ("Mend the cause (errors.log has all of it), and run it again; what is done is kept.", *causes)


def not_covered(result: Result) -> tuple[str, ...]:
    """What this audit says nothing about."""
    found = ["other attacks, other doses and other facts than those that stand here"]
    if result.case.plants is None:
        found.append("whether these attacks would undo what is hidden: no plants were made (--plant)")
    left = dict.fromkeys(clean(each.what, 60) for each in result.case.left_out)
    if left:
        more = f" and {len(left) - _MOST_GAPS} more" if len(left) > _MOST_GAPS else ""
        found.append(f"what was skipped: {', '.join(list(left)[:_MOST_GAPS])}{more}")
    if not any(model.role == "retrained" for model in result.models):
        found.append("what a model would guess that never saw the facts: there is no retrained control")
    return tuple(found)


def section(result: Result, limits: Limits) -> Section:
    """The matrix: what each attack brings back by each measure, beside the controls."""
    rows = list(dict.fromkeys(one.attack for one in by_gravity(result.verdict.findings)))
    rows.sort(key=lambda attack: not any(one.gates for one in _of(result, attack)))
    measures = list(dict.fromkeys(f"{one.probe}.{one.measure}" for one in result.verdict.findings if one.gates))
    shown_rows = rows[: limits.entries]
    columns = (Column(title="Attack"), *(Column(title=measure) for measure in measures))
    table = Table(
        caption=("What each attack brings back, by measure",),
        columns=columns,
        rows=tuple((Code(clean(attack, limits.text)), *_tiles(result, attack, measures)) for attack in shown_rows),
    )
    blocks = (
        paragraph(
            "Share of the facts that the checkpoint shows at the worst dose and way of asking, and in brackets that of "
            f"what it is compared with ({compared_with(result)}). The worst attack comes first."
        ),
        table,
        *left_over(len(rows) - len(shown_rows), "attack"),
        paragraph("Not covered:"),
        Listing(items=tuple((one,) for one in not_covered(result))),
    )
    return Section(id="glance", title="At a glance", blocks=blocks if measures else blocks[3:])


def compared_with(result: Result) -> str:
    """What the checkpoint's scores stand beside, in a few words."""
    control = result.verdict.control
    return CONTROL_WORDS[control] if control else "no control"


def _of(result: Result, attack: str) -> list[Finding]:
    return [one for one in result.verdict.findings if one.attack == attack]


def _tiles(result: Result, attack: str, measures: Sequence[str]) -> Iterator[Inline]:
    for measure in measures:
        there = [one for one in _of(result, attack) if f"{one.probe}.{one.measure}" == measure]
        if not there:
            yield Number("–")
            continue
        worst = by_gravity(there)[0]
        cell = worst.worst
        yield Tile(
            status=worst.status,
            text=percent(cell.unlearned) if cell else "–",
            beside=percent_range(list(cell.controls.values())) if cell and cell.controls else "",
            decides=worst.gates,
        )


def _done(attack: str, dose: str) -> str:
    """What somebody does to the checkpoint, at the beginning of a sentence."""
    name = clean(dose, 60)
    match attack:
        case "as-is":
            return "Simply asked, it "
        case "quantization":
            return f"Rounded to {name}, it "
        case "relearning":
            *how, step = name.split(" step ")
            return f"After {step} training steps ({' '.join(how)}), it " if how else f"Trained again ({name}), it "
        case _:
            return f"Under the attack {clean(attack, 40)} ({name}), it "


def _tells(finding: Finding, cell: CellEstimate, result: Result) -> str:
    beside = percent_range(list(cell.controls.values()))
    controls = f"; the controls show {beside}" if finding.control is Control.RETRAINED else ""
    if finding.kind is ScoreKind.HIT and cell.shown is not None and _is_list(result):
        return (
            f"answers {shown(cell.shown)} of {cell.facts} questions about what it should have forgotten; "
            f"{shown(cell.allowed)} may come back{controls}."
        )
    return (
        f"shows {percent(cell.unlearned)} of what it should have forgotten; {percent(finding.margin)} of what the "
        f"original knows may come back{controls}."
    )


def _is_list(result: Result) -> bool:
    return result.policy.population is Population.LISTED


def _listed(result: Result) -> int:
    return len(result.case.subjects)
