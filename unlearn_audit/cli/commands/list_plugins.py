"""What there is: plug-ins with what each needs. Imports their modules, which import no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearn_audit.api import Attack, Probe
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.plugins import ATTACKS, COMPARISONS, PROBES, WRITERS, Listed, available
from unlearn_audit.api.writer import Writer


def show_attacks(console: Console, *, as_json: bool) -> None:
    """All attacks, broken ones with their cause."""
    rows = [_row(entry) for entry in available(ATTACKS, Attack).values()]  # type: ignore[type-abstract]
    _show("Attacks", rows, console, as_json=as_json)


def show_probes(console: Console, *, as_json: bool) -> None:
    """All probes, broken ones with their cause."""
    rows = [_row(entry) for entry in available(PROBES, Probe).values()]  # type: ignore[type-abstract]
    _show("Probes", rows, console, as_json=as_json)


def show_comparisons(console: Console, *, as_json: bool) -> None:
    """All comparisons of models, broken ones with their cause."""
    rows = [_row(entry) for entry in available(COMPARISONS, Comparison).values()]  # type: ignore[type-abstract]
    _show("Comparisons", rows, console, as_json=as_json)


def show_writers(console: Console, *, as_json: bool) -> None:
    """All formats of a report, broken ones with their cause."""
    rows = [_writer_row(entry) for entry in available(WRITERS, Writer).values()]  # type: ignore[type-abstract]
    _show("Writers", rows, console, as_json=as_json)


def _writer_row(entry: Listed[Writer]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": entry.name, "distribution": entry.distribution}
    writer = entry.plugin
    if writer is None:
        return {**row, "broken": entry.broken}
    about = {"summary": writer.summary, "file_name": writer.file_name, "binary": writer.binary}
    return {**row, "needs": writer.needs.value, **about}


def _row(entry: Listed[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": entry.name, "distribution": entry.distribution}
    plugin = entry.plugin
    if plugin is None:
        return {**row, "broken": entry.broken}
    row |= {"access": str(plugin.access), "paper": plugin.paper, "summary": plugin.summary}
    if issubclass(plugin, Attack):
        row |= {"served": plugin.served, "extra": plugin.extra}
    elif issubclass(plugin, Comparison):
        row |= {"reads": list(map(str, plugin.reads)), "roles": list(map(str, plugin.roles))}
    else:
        row |= {
            "reads": str(plugin.reads),
            "measures": [measure.name for measure in plugin.measures],
            "under_attacks": plugin.under_attacks,
            "refusal_proof": plugin.refusal_proof,
        }
    return {**row, "parameters": plugin.Parameters.model_json_schema().get("properties", {})}


def _show(title: str, rows: Sequence[dict[str, Any]], console: Console, *, as_json: bool) -> None:
    if as_json:
        console.out(json.dumps(rows, indent=2, default=str), highlight=False)
        return
    table = Table(title=title, title_justify="left", expand=False, show_lines=False, box=None, padding=(0, 2, 0, 0))
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("needs", no_wrap=True)
    table.add_column("paper", no_wrap=True)
    table.add_column("what it does", overflow="fold")
    for row in rows:
        if "broken" in row:
            table.add_row(row["name"], "broken", "", f"{row['distribution']}: {row['broken']}")
            continue
        needs = "served" if row.get("served") else row.get("access") or row["needs"]
        table.add_row(row["name"], needs, row.get("paper") or "-", row["summary"])
    console.print(table)
