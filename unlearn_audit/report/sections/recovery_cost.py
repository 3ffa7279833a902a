"""The section on cost: how little of an attack recovers more than the margin, and the area under each curve.

For any attack whose doses record their cost in their proof: `steps`, and `samples`, `tokens` and `flops` where it
counts them. Doses whose labels differ in nothing but the number of steps are looks at one run, and so one curve.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from unlearn_audit.api import Role, ScoreKind
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.report.figures.dose_curves import worst
from unlearn_audit.report.parts.numbers import NONE, percent, percent_range
from unlearn_audit.report.parts.view import (
    Block,
    Fold,
    Inline,
    Limits,
    Section,
    Table,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import code, numbers, table_of, unattacked
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

STEPS, SAMPLES, TOKENS, FLOPS, SECONDS = "steps", "samples", "tokens", "flops", "seconds"
_COSTS = (STEPS, SAMPLES, TOKENS, FLOPS)
FLOPS_A_SECOND = 1e14
"""What one GPU of a data centre gets done in half precision, about: a third of what an A100 can at most."""
_ROLES = (Role.UNLEARNED, Role.ORIGINAL, Role.RETRAINED)

_SPENT = ("Crossed at, steps", "Samples", "Tokens", "FLOPs", "GPU seconds", "Proven at, steps")
_AREAS = (
    *("Area, checkpoint", "Area, original", "Area, controls"),
    *("Lessons since, checkpoint", "Lessons since, original", "Lessons since, controls"),
)

Cost = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One dose of a curve: what it took, and its worst way of asking."""

    cost: Cost
    cell: CellEstimate

    @property
    def steps(self) -> float:
        """Steps that it took."""
        return self.cost[STEPS]


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """The first look at which something holds.

    Attributes:
        after: steps of the look before, at which it did not hold yet: the least number lies above. None at the first.
    """

    look: Look
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One finding along one run of an attack, from no step on; `looks` rise by steps."""

    finding: Finding
    name: str
    looks: tuple[Look, ...]

    @property
    def crossed(self) -> Crossing | None:
        """Where the estimate first lies above the margin."""
        return self._first(lambda cell: cell.excess.estimate > 0)

    @property
    def proven(self) -> Crossing | None:
        """Where the lower bound first lies above the margin; the bound of one cell, without a price for the choice."""
        return self._first(lambda cell: cell.excess.lower > 0)

    def area(self, shown: Callable[[CellEstimate], float | None]) -> float | None:
        """Area under what a model shows, in [0, 1]: 1 is all of it from the start.

        Over log2(1 + steps), in straight lines from look to look, divided by the whole length: the area under the
        learning curve of the Active Learning Challenge (Guyon et al. 2011, JMLR W&CP 16), without its division by a
        random guesser's. None where a look is missing or there is only one.
        """
        heights = [shown(look.cell) for look in self.looks]
        places = [math.log2(1 + look.steps) for look in self.looks]
        known = [height for height in heights if height is not None]
        if len(known) < len(heights) or len(places) < 2:
            return None
        slices = zip(pairwise(places), pairwise(known), strict=True)
        return sum((right - left) * (low + high) / 2 for (left, right), (low, high) in slices) / (
            places[-1] - places[0]
        )

    def _first(self, holds: Callable[[CellEstimate], bool]) -> Crossing | None:
        before: float | None = None
        for look in self.looks:
            if holds(look.cell):
                return Crossing(look=look, after=before)
            before = look.steps
        return None


def curves(result: Result) -> list[Curve]:
    """The curves of every finding, those that decide first."""
    findings = sorted(result.verdict.findings, key=lambda finding: not finding.gates)
    return [curve for finding in findings for curve in _curves(finding, result)]


def section(result: Result, limits: Limits) -> Section:
    """For each finding under an attack that counts its steps: where the margin is crossed, and the areas."""
    found = curves(result)
    findings = {curve.finding.id: curve.finding for curve in found}
    deciding = [finding for finding in findings.values() if finding.gates] or list(findings.values())
    blocks: list[Block] = [Fold(title="How to read this", blocks=(paragraph(*_EXPLAINED),))]
    for finding in deciding[: limits.entries]:
        own = [curve for curve in found if curve.finding is finding]
        columns = (*text_columns("Run"), *number_columns(*_SPENT))
        rows = [_row(curve, limits) for curve in own]
        blocks += table_of(finding, "Cost to recover", columns, rows, limits, most=limits.rows, noun="run")
        areas = [_areas(curve, result.jobs, limits) for curve in own[: limits.rows]]
        if areas:
            caption = ("Areas and lessons of ", code(finding.id, limits))
            table = Table(caption=caption, columns=(*text_columns("Run"), *number_columns(*_AREAS)), rows=tuple(areas))
            blocks.append(Fold(title="Areas under the curves, and when the lessons were learned", blocks=(table,)))
    blocks += left_over(len(deciding) - limits.entries, "finding")
    if not deciding:
        blocks = [paragraph("No attack in this audit counts its steps.")]
    return Section(id="cost", title="Cost to recover", blocks=tuple(blocks), empty=not deciding)


def cheapest(result: Result) -> list[str]:
    """One line for each attack that counts its steps: the run that crosses the margin first, by deciding hits."""
    lines = {}
    for curve in sorted(curves(result), key=_expense, reverse=True):
        if curve.finding.gates and curve.finding.kind is ScoreKind.HIT:
            lines[curve.finding.attack] = f"{curve.finding.attack} {_in_words(curve)}"
    return list(lines.values())


_EXPLAINED = (
    "The least of each attack that recovers more than the margin, at the worst way of asking. Crossed: the estimate "
    "exceeds the margin. Proven: the lower bound does, at this dose alone and uncorrected for having chosen it. "
    "Doses are spaced: the true minimum lies above the number in brackets. Samples are texts, repeats included. "
    "FLOPs are 6 per trained weight and token and 4 per frozen one; padding, attention between tokens and the "
    "optimizer are not counted (Kaplan et al. 2020, arXiv 2001.08361). GPU seconds are FLOPs at 10^14 a second. "
    "Area is under the share a model shows, over log2(1 + steps), from no step to the last: 100% means everything "
    "from the start. Lessons since: the step from which on a model answers nine tenths of what it is trained on, at "
    "the slowest fold and seed; short: the run did not go on for two more doublings, to its plateau.",
)


def _curves(finding: Finding, result: Result) -> Iterator[Curve]:
    costs = _costs(finding.attack, result.jobs)
    runs: dict[str, list[Look]] = {}
    for dose in dict.fromkeys(cell.dose for cell in finding.cells):
        if dose in costs:
            look = Look(cost=costs[dose], cell=worst([cell for cell in finding.cells if cell.dose == dose]))
            runs.setdefault(run_of(dose, look.steps), []).append(look)
    start = next((look for looks in runs.values() for look in looks if look.steps == 0), None)
    start = start or _unattacked(finding, result.verdict.findings)
    for name, looks in runs.items():
        whole = looks if start is None or any(look.steps == 0 for look in looks) else [start, *looks]
        if len(whole) > 1:
            whole.sort(key=lambda look: look.steps)
            yield Curve(finding=finding, name=name or finding.attack, looks=tuple(whole))


def run_of(label: str, steps: float) -> str:
    """The label of a dose without its steps: `lora r16 lr 1e-03 step 10` is a look at `lora r16 lr 1e-03`."""
    return re.sub(rf"\s*\b(steps? {steps:g}|{steps:g} steps?)$", "", label)


def _costs(attack: str, records: Sequence[JobRecord]) -> dict[str, Cost]:
    """Label -> what its dose took, a mean over folds and seeds; of the checkpoint, where it has any."""
    own = [record for record in records if record.attack == attack and not record.sham]
    own = [record for record in own if record.role == Role.UNLEARNED] or own
    proofs: dict[str, list[Mapping[str, object]]] = {}
    for record in own:
        for label, proof in record.proof.items():
            if isinstance(proof.get(STEPS), int | float):
                proofs.setdefault(label, []).append(proof)
    return {label: _cost(found) for label, found in proofs.items()}


def _cost(proofs: Sequence[Mapping[str, object]]) -> Cost:
    cost = {name: mean for name in _COSTS if (mean := _mean(name, proofs)) is not None}
    return {**cost, SECONDS: cost[FLOPS] / FLOPS_A_SECOND} if FLOPS in cost else cost


def _mean(name: str, proofs: Sequence[Mapping[str, object]]) -> float | None:
    values = [value for proof in proofs if isinstance(value := proof.get(name), int | float)]
    return sum(values) / len(values) if values else None


def _unattacked(finding: Finding, findings: Sequence[Finding]) -> Look | None:
    """The same measure without any attack: no step was taken."""
    plain = unattacked(finding, findings)
    return None if plain is None else Look(cost=dict.fromkeys((*_COSTS, SECONDS), 0.0), cell=worst(plain.cells))


def _row(curve: Curve, limits: Limits) -> tuple[Inline, ...]:
    crossed = curve.crossed
    return (
        clean(curve.name, limits.text),
        *numbers(
            _when(crossed, curve),
            *(_spent(name, crossed, curve) for name in (SAMPLES, TOKENS, FLOPS, SECONDS)),
            _when(curve.proven, curve),
        ),
    )


def _areas(curve: Curve, jobs: Sequence[JobRecord], limits: Limits) -> tuple[Inline, ...]:
    return (
        clean(curve.name, limits.text),
        *numbers(
            percent(curve.area(lambda cell: cell.unlearned)),
            percent(curve.area(lambda cell: cell.original)),
            _control_areas(curve),
            *(_lessons(curve, role, jobs) for role in _ROLES),
        ),
    )


def _lessons(curve: Curve, role: Role, jobs: Sequence[JobRecord]) -> str:
    """Since which step the models of a role answer their own lessons, at the last look of a run."""
    steps = curve.looks[-1].steps
    proofs = [
        proof
        for job in jobs
        if job.attack == curve.finding.attack and job.role == role and not job.sham
        for label, proof in job.proof.items()
        if proof.get(STEPS) == steps and (run_of(label, steps) or curve.finding.attack) == curve.name
        if "plateau" in proof
    ]
    if not proofs:
        return NONE
    since = [value for proof in proofs if isinstance(value := proof.get("answered_since_step"), int | float)]
    if len(since) < len(proofs):
        return f"not within {steps:g}"
    return f"{max(since):g}" if all(proof["plateau"] for proof in proofs) else f"{max(since):g}, short"


def _control_areas(curve: Curve) -> str:
    names = sorted({name for look in curve.looks for name in look.cell.controls})
    areas = [curve.area(lambda cell, name=name: cell.controls.get(name)) for name in names]  # type: ignore[misc]
    return percent_range([area for area in areas if area is not None])


def _when(crossing: Crossing | None, curve: Curve) -> str:
    if crossing is None:
        return f"not within {curve.looks[-1].steps:g}"
    over = "" if crossing.after is None else f" (over {crossing.after:g})"
    return f"{crossing.look.steps:g}{over}"


def _spent(name: str, crossing: Crossing | None, curve: Curve) -> str:
    """What the crossing cost, or all that was spent without one."""
    value = (crossing.look if crossing else curve.looks[-1]).cost.get(name)
    if value is None:
        return NONE
    return _amount(value) if crossing else f"over {_amount(value)}"


def _amount(value: float) -> str:
    """`640`, or `1.3e9` from a million on; `0.02` below one."""
    if 0 < value < 1:
        return f"{value:.1g}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def _expense(curve: Curve) -> tuple[bool, float, float]:
    """Sort key, cheapest first: by steps, then by operations; a run that never crosses is the most expensive."""
    if (crossed := curve.crossed) is None:
        return True, -curve.looks[-1].steps, 0.0
    return False, crossed.look.steps, crossed.look.cost.get(FLOPS, 0.0)


def _in_words(curve: Curve) -> str:
    if curve.crossed is None:
        return f"does not cross the margin in {curve.looks[-1].steps:g} steps"
    samples = _spent(SAMPLES, curve.crossed, curve)
    texts = "" if samples == NONE else f", {samples} texts, {_spent(FLOPS, curve.crossed, curve)} FLOPs"
    return f"crosses the margin by step {curve.crossed.look.steps:g}{texts} ({clean(curve.name, 60)})"
