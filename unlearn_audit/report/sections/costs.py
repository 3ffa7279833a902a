"""The section on what the audit itself cost: time, memory and tokens of each attack, over all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.costs import CostRecord, total
from unlearn_audit.report.parts.numbers import NONE, count, duration, magnitude
from unlearn_audit.report.parts.view import (
    Block,
    Inline,
    Limits,
    Section,
    Table,
    number_columns,
    paragraph,
    text_columns,
)
from unlearn_audit.report.sections.background import left_over
from unlearn_audit.report.sections.by_finding import numbers
from unlearn_audit.verdict.result import Result

_TITLE = "What the audit cost"
_MEGABYTE = 10**6


def section(result: Result, limits: Limits) -> Section:
    """A row for each attack, and one for all; nothing where an older version ran the jobs."""
    by_attack: dict[str, list[CostRecord]] = {}
    for job in result.jobs:
        if job.cost is not None:
            by_attack.setdefault(job.attack, []).append(job.cost)
    if not by_attack:
        return Section(
            id="audit-cost", title=_TITLE, blocks=(paragraph("Not measured: an older version ran the jobs."),)
        )
    unknown = sum(job.cost is None for job in result.jobs)
    blocks: tuple[Block, ...] = (
        paragraph(
            "Of the jobs, wherever they ran, plants and controls included. Loading, preparations and comparisons come "
            "on top. Memory is the most at a time, the model included. Tokens count padding; trained are those of "
            "passes with gradients."
            + (f" Not counted: {count(unknown, 'job')} that failed or that an older version ran." if unknown else "")
        ),
        _table(by_attack, limits),
        *left_over(len(by_attack) - limits.entries, "attack"),
    )
    return Section(id="audit-cost", title=_TITLE, blocks=blocks)


def _table(by_attack: Mapping[str, Sequence[CostRecord]], limits: Limits) -> Table:
    everything = [cost for costs in by_attack.values() for cost in costs]
    on_device = any(cost.device_peak_bytes is not None for cost in everything)
    rows = [_row(clean(name, limits.text), costs, on_device) for name, costs in by_attack.items()]
    columns = (
        *text_columns("Attack"),
        *number_columns("Jobs", "Time", "Processor", "Memory"),
        *(number_columns("GPU memory") if on_device else ()),
        *number_columns("Read", "Generated", "Trained"),
    )
    last = _row("all", everything, on_device)
    return Table(caption=("Cost by attack",), columns=columns, rows=(*rows[: limits.entries], last))


def _row(name: str, costs: Sequence[CostRecord], on_device: bool) -> tuple[Inline, ...]:
    all_ = total(costs)
    device = (NONE if all_.device_peak_bytes is None else _memory(all_.device_peak_bytes),) if on_device else ()
    return (
        name,
        *numbers(
            str(len(costs)),
            duration(all_.seconds),
            duration(all_.processor_seconds),
            _memory(all_.peak_bytes),
            *device,
            *map(magnitude, (all_.tokens_read, all_.tokens_generated, all_.tokens_trained)),
        ),
    )


def _memory(size: int) -> str:
    return f"{size / _MEGABYTE:,.0f} MB"
