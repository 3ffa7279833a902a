"""What a reader learns in ten seconds: the verdict in plain words, what to do next, and what was not looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.api.terms import ScoreKind, Status
from unlearn_audit.report.parts.numbers import count, percent, percent_range
from unlearn_audit.report.parts.view import (
    Block,
    Column,
    Fold,
    Inline,
    Limits,
    Named,
    Number,
    Section,
    Table,
    Tile,
    paragraph,
)
from unlearn_audit.report.parts.words import ATTACKS, MEASURES, TEXTS
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.spec.policy import Population, Release
from unlearn_audit.statistics.bounds import TOLERANCE
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

_MOST_GAPS, _NAME = 6, 40
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
    deciding = [one for one in result.verdict.findings if one.gates]
    match result.outcome:
        case Outcome.FAIL:
            findings = by_gravity([one for one in deciding if one.waiver is None])
            worst = next((one for one in findings if one.status is Status.FAILED and one.worst), None)
            if worst is not None and worst.worst is not None:
                return f"{_done(worst.attack, worst.worst.dose)}{_tells(worst, worst.worst, result)}"
            return "No single attack is what fails this audit; the sentence below and the reasons say what does."
        case Outcome.PASS | Outcome.WAIVED:
            attacks = {one.attack for one in deciding} - {BASELINE}
            said = f"Asked plainly and under {count(len(attacks), 'attack')}, the checkpoint shows "
            accepted = "; what somebody accepted is left out" if result.outcome is Outcome.WAIVED else ""
            return f"{said}{_within(result)}{accepted}."
        case Outcome.INCONCLUSIVE:
            still_open = sum(one.status is not Status.PASSED for one in deciding)
            findings_open = f": {still_open} of {count(len(deciding), 'finding')} are open" if still_open > 1 else ""
            return f"This audit cannot say whether the knowledge is gone{findings_open}."
        case Outcome.ERROR:
            faults = result.case.model_faults
            under = ", ".join(dict.fromkeys(clean(one.attack, 40) for one in faults[:_MOST_GAPS]))
            jobs = f": {count(len(faults), 'job')} ({under})" if faults else ""
            return f"What the verdict needs could not be run{jobs}, so there is no verdict."


def next_steps(result: Result) -> tuple[str, ...]:
    """What the reader can do now."""
    reasons = tuple(clean(reason, 300) for reason in result.verdict.reasons[:3])
    match result.outcome:
        case Outcome.FAIL:
            facts = ", and “Worst facts” which facts these are" if _names_facts(result) else ""
            return (
                "Do not release this checkpoint as it is. Unlearn further, or again, and audit the new one.",
                f"“Findings” says which attacks bring the facts back{facts}.",
            )
        case Outcome.WAIVED:
            return ("Read who accepted what, and until when, before you sign.",)
        case Outcome.PASS:
            return ("Read what this audit does not cover, then sign it (unlearn-audit attest).",)
        case Outcome.INCONCLUSIVE:
            return ("Fix what stands in the way, and run it again; what is done is kept.", *reasons)
        case Outcome.ERROR:
            return ("Fix the cause (errors.log has all of it), and run it again; what is done is kept.", *reasons)


def not_covered(result: Result) -> tuple[str, ...]:
    """What this audit says nothing about."""
    found = ["Other attacks, other doses and other facts than those in this report."]
    if result.case.release is Release.API:
        found.append("People who hold the weights: this audit is about users of an API.")
    if result.case.plants is None:
        found.append("Whether these attacks find what is hidden well: nothing was planted for them to find (--plant).")
    left = dict.fromkeys(clean(each.what, 60) for each in result.case.left_out)
    if left:
        more = f" and {len(left) - _MOST_GAPS} more" if len(left) > _MOST_GAPS else ""
        found.append(f"What was skipped: {'; '.join(list(left)[:_MOST_GAPS])}{more}.")
    if not any(model.role == "retrained" for model in result.models):
        found.append("What a model would guess that never saw the facts: there is no retrained control.")
    return tuple(found)


def section(result: Result, limits: Limits) -> Section:
    """The matrix: what each attack brings back by each measure, beside the controls."""
    findings = result.verdict.findings
    deciding = list(dict.fromkeys(one.attack for one in by_gravity([one for one in findings if one.gates])))
    others = [one.attack for one in by_gravity([one for one in findings if one.attack not in deciding])]
    measures = list(dict.fromkeys(f"{one.probe}.{one.measure}" for one in findings if one.gates))
    advisory = [attack for attack in dict.fromkeys(others) if any(_at(result, attack, each) for each in measures)]
    blocks: tuple[Block, ...] = (
        paragraph(
            "Share of the facts that the checkpoint shows at the worst dose and way of asking, and in brackets that of "
            f"what it is compared with ({compared_with(result)}). The worst attack comes first."
        ),
        *_matrix(result, deciding, measures, limits, "What each attack brings back, by measure"),
    )
    if advisory:
        title = f"{count(len(advisory), 'more attack')}, advisory: no pass needs them"
        table = _matrix(result, advisory, measures, limits, "What advisory attacks bring back, by measure")
        blocks = (*blocks, Fold(title=title, blocks=table))
    return Section(id="glance", title="At a glance", blocks=blocks, empty=not measures)


def _matrix(
    result: Result, attacks: Sequence[str], measures: Sequence[str], limits: Limits, caption: str
) -> tuple[Block, ...]:
    shown_rows = attacks[: limits.entries]
    named = (Column(title=clean(each, _NAME), words=MEASURES.get(each, "")) for each in measures)
    rows = tuple(
        (Named(name=clean(attack, limits.text), words=ATTACKS.get(attack, "")), *_tiles(result, attack, measures))
        for attack in shown_rows
    )
    table = Table(caption=(caption,), columns=(Column(title="Attack"), *named), rows=rows)
    return table, *left_over(len(attacks) - len(shown_rows), "attack")


def compared_with(result: Result) -> str:
    """What the checkpoint's scores stand beside, in a few words."""
    control = result.verdict.control
    return CONTROL_WORDS[control] if control else "no control"


def _at(result: Result, attack: str, measure: str) -> list[Finding]:
    """What stands at a place of the matrix: over all wordings, those of any wording, and those that are not served."""
    return [one for one in result.verdict.findings if (one.attack, f"{one.probe}.{one.measure}") == (attack, measure)]


def _tiles(result: Result, attack: str, measures: Sequence[str]) -> Iterator[Inline]:
    for measure in measures:
        there = _at(result, attack, measure)
        if not there:
            yield Number("–")
            continue
        worst = by_gravity([one for one in there if one.gates] or there)[0]
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
            return f"{_trained(name)}, it "
        case _:
            words = f"{ATTACKS[attack]}, at {name}" if attack in ATTACKS else name
            return f"Under the attack {clean(attack, 40)} ({words}), it "


def _trained(dose: str) -> str:
    """`same-syntax lora r16 step 20` in words."""
    how, by_step, step = dose.rpartition(" step ")
    if not by_step:
        return f"Trained again ({dose})"
    kind, _, rest = how.partition(" ")
    texts, rest = (f" {TEXTS[kind]}", rest) if kind in TEXTS else ("", how)
    return f"After {step} training steps{texts}{rest and f' ({rest})'}"


def _within(result: Result) -> str:
    """What a checkpoint that passes shows in its worst run, and what it may."""
    hits = [one for one in result.verdict.findings if one.gates and one.kind is ScoreKind.HIT]
    counted = [cell for one in hits for cell in one.cells if cell.by_count]
    if not _is_list(result) or not counted:
        return f"no more of {count(_listed(result), 'fact')} than may come back"
    most = max(counted, key=lambda cell: cell.shown_at_most or 0.0)
    return f"at most {shown(most.shown_at_most)} of {_listed(result)} facts, where {_whole(most.allowed)} may come back"


def _whole(allowed: float | None) -> str:
    """How many facts may be shown, as people count: of 19.2, 19."""
    return shown(None if allowed is None else math.floor(allowed + TOLERANCE))


def _names_facts(result: Result) -> bool:
    return any(one.worst_facts for one in result.verdict.findings)


def _tells(finding: Finding, cell: CellEstimate, result: Result) -> str:
    beside = percent_range(list(cell.controls.values()))
    controls = f"; the controls show {beside}" if finding.control is Control.RETRAINED else ""
    if finding.kind is ScoreKind.HIT and cell.shown is not None and _is_list(result):
        return (
            f"answers {shown(cell.shown)} of {cell.facts} questions about what it should have forgotten; "
            f"{_whole(cell.allowed)} may come back{controls}."
        )
    return (
        f"shows {percent(cell.unlearned)} of what it should have forgotten; {percent(finding.margin)} of what the "
        f"original knows may come back{controls}."
    )


def _is_list(result: Result) -> bool:
    return result.policy.population is Population.LISTED


def _listed(result: Result) -> int:
    return len(result.case.subjects)
