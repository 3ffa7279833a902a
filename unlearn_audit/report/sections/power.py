"""The section on power: could each finding have detected the knowledge, and what did each attack recover?"""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api import ScoreKind
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.report.parts.numbers import NONE, count, percent, point_interval, points
from unlearn_audit.report.parts.view import (
    Block,
    Fold,
    Inline,
    Limits,
    Number,
    Section,
    Table,
    heading,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.parts.words import place_of
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import code, numbers
from unlearn_audit.verdict.result import Finding, PlantRecord, Result


def power(result: Result, limits: Limits) -> Section:
    """Whether each finding could have detected the knowledge."""
    measured = [finding for finding in result.verdict.findings if finding.power is not None]
    rows: list[tuple[Inline, ...]] = []
    for finding in measured[: limits.entries]:
        if finding.power is not None:
            enough = "yes" if finding.power.enough else "no"
            shown = Number(point_interval(finding.power.shown))
            rows.append((code(finding.id, limits), shown, Number(points(finding.power.needed)), enough))
    planted = any(finding.power is not None and finding.power.planted for finding in measured)
    columns = (
        *text_columns("Finding"),
        *number_columns("Plant beyond control, points" if planted else "Original beyond control, points", "Needed"),
        *text_columns("Enough"),
    )
    blocks: tuple[Block, ...] = (
        paragraph(
            "Could the finding have detected the knowledge at all? "
            + ("The plant, under the attack," if planted else "The original")
            + " must show this much more than the control, or a clean result means nothing. Lack of power rules out "
            "a pass, never a fail."
        ),
        paragraph(_counted(measured)),
        Fold(
            title="Power of each finding",
            blocks=(
                Table(caption=("Power of each finding",), columns=columns, rows=tuple(rows)),
                *left_over(len(measured) - len(rows), "finding"),
            ),
        ),
        *(_plants(measured, limits) if planted else ()),
    )
    if not measured:
        blocks = (paragraph("No finding has a power estimate, so none can pass."),)
    return Section(id="power", title="Power", blocks=blocks)


def _counted(measured: Sequence[Finding]) -> str:
    """Of how many findings power was shown, those that decide apart."""
    deciding = [one for one in measured if one.gates]
    enough = [sum(one.power is not None and one.power.enough for one in group) for group in (deciding, measured)]
    return (
        f"{enough[0]} of {count(len(deciding), 'finding')} that decide, and {enough[1]} of all {len(measured)}, could "
        "have detected it."
    )


def found_of_plants(findings: Sequence[Finding]) -> list[str]:
    """One line for each attack with plants: how much of the hidden knowledge it recovered, by hits."""
    lines = {}
    for finding in findings:
        if finding.power is None or not finding.power.planted or finding.kind is not ScoreKind.HIT or not finding.gates:
            continue
        found = {plant.name: plant.found for plant in finding.power.plants if plant.found is not None}
        best = max(found, key=lambda name: found[name] or 0.0, default=None)
        lines[finding.attack] = (
            f"{finding.attack} had no plant that hides anything"
            if best is None
            else f"{finding.attack} recovered {percent(found[best])} of what was hidden from it ({best})"
        )
    return list(lines.values())


def _plants(measured: Sequence[Finding], limits: Limits) -> tuple[Block, ...]:
    """How much of the hidden knowledge each attack recovered."""
    records = [
        (finding, plant)
        for finding in measured
        if finding.power is not None and finding.gates
        for plant in finding.power.plants
    ]
    rows = tuple(_plant_row(finding, plant, limits) for finding, plant in records[: limits.entries])
    columns = (
        *text_columns("Finding", "Plant", "Recovered at"),
        *number_columns("Hidden", "Share recovered", "Beyond control, points"),
        *text_columns("Enough", "Remark"),
    )
    return (
        heading("Plants"),
        *(paragraph(f"{clean(line)}.") for line in found_of_plants(measured)),
        paragraph(
            "A plant is the original, made to hide what it knows. Hidden is how much less it shows than the original "
            "when simply asked; share recovered is how much of that the attack brought back."
        ),
        Fold(
            title="What each attack recovered from its plants",
            blocks=(
                Table(caption=("What each attack recovered from its plants",), columns=columns, rows=rows),
                *left_over(len(records) - len(rows), "plant"),
            ),
        ),
    )


def _plant_row(finding: Finding, plant: PlantRecord, limits: Limits) -> tuple[Inline, ...]:
    place = NONE if plant.dose is None else place_of(plant.dose, plant.variant or "", limits.text)
    return (
        code(finding.id, limits),
        clean(plant.name, limits.text),
        place,
        *numbers(percent(plant.hidden), percent(plant.found), point_interval(plant.shown)),
        "yes" if plant.enough else "no",
        clean(plant.why, 2 * limits.text) or "–",
    )
