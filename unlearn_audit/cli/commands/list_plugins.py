"""`list`: the plug-ins and what each needs. Imports their modules, which import no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearn_audit.api import Attack, Comparison, FactPreset, Probe, Profile, Writer
from unlearn_audit.api.plugins import (
    ATTACKS,
    COMPARISONS,
    OWN_DISTRIBUTION,
    PRESETS,
    PROBES,
    WRITERS,
    Listed,
    available,
)
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.findings.utility import PROBE as UTILITY

KINDS: dict[str, tuple[str, type[Any]]] = {
    "attacks": (ATTACKS, Attack),
    "probes": (PROBES, Probe),
    "comparisons": (COMPARISONS, Comparison),
    "writers": (WRITERS, Writer),
    "presets": (PRESETS, FactPreset),
}
"""What people call a kind of plug-in -> its entry-point group and its interface."""
PROFILED = ("attacks", "probes", "comparisons")


def show_plugins(kind: str, console: Console, *, as_json: bool) -> None:
    """All plug-ins of a kind: broken ones with the cause, third-party ones with their distribution."""
    group, interface = KINDS[kind]
    rows = [_row(entry) for entry in available(group, interface).values()]
    if as_json:
        console.out(json.dumps(rows, indent=2, default=str), highlight=False)
        return
    _show(kind, rows, console)


def decides(probe: type[Probe[Any]]) -> bool:
    """Whether the probe decides under the default policy; otherwise it is advisory until a policy names it.

    `utility` decides by the policy's key of that name: a broken model did not forget.
    """
    named = probe.name in Policy().gate and any(measure.gates for measure in probe.measures)
    return named or probe.name == UTILITY


def _row(entry: Listed[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": entry.name, "distribution": entry.distribution}
    plugin = entry.plugin
    if plugin is None:
        return {**row, "broken": entry.broken}
    row["summary"] = plugin.summary
    if issubclass(plugin, Writer):
        return {**row, "needs": plugin.needs.value, "file_name": plugin.file_name, "binary": plugin.binary}
    row["paper"] = plugin.paper
    if issubclass(plugin, FactPreset):
        benchmarks = [*plugin.configs, *filter(None, [plugin.open_config])]
        named = [f"{entry.name}/{config}" if config else entry.name for config in benchmarks]
        return {**row, "needs": f"{entry.name}:FILE", "benchmarks": named}
    row["access"] = str(plugin.access)
    row["profiles"] = [str(each) for each in Profile if each in plugin.profiles]
    if issubclass(plugin, Attack):
        row |= {"served": plugin.served, "extra": plugin.extra}
    elif issubclass(plugin, Comparison):
        row |= {"reads": list(map(str, plugin.reads)), "roles": list(map(str, plugin.roles))}
    else:
        row |= {
            "reads": str(plugin.reads),
            "measures": [measure.name for measure in plugin.measures],
            "can_decide": any(measure.gates for measure in plugin.measures),
            "decides": decides(plugin),
            "under_attacks": plugin.under_attacks,
            "refusal_proof": plugin.refusal_proof,
        }
    return {**row, "parameters": plugin.Parameters.model_json_schema().get("properties", {})}


def _show(kind: str, rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(
        title=kind.capitalize(), title_justify="left", expand=False, show_lines=False, box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("needs", no_wrap=True)
    if kind in PROFILED:
        table.add_column("from", no_wrap=True)
    if kind == "probes":
        table.add_column("verdict", no_wrap=True)
    if kind != "writers":
        table.add_column("paper", no_wrap=True)
    if kind == "presets":
        table.add_column("benchmarks", overflow="fold")
    table.add_column("what it does", overflow="fold")
    for row in rows:
        table.add_row(*_cells(kind, row))
    console.print(table)
    if kind in PROFILED:
        console.print("from: the least profile that runs it; a spec that names it runs it in any.", highlight=False)
    if kind == "probes":
        console.print(
            "decides: under the default policy. advisory: reported, but decides only if a policy's `gate` names it.",
            highlight=False,
        )


def _cells(kind: str, row: dict[str, Any]) -> list[str]:
    """One row of the table; a third-party plug-in names its distribution."""
    whose = "" if row["distribution"] == OWN_DISTRIBUTION else f" (from {row['distribution']})"
    broken = "broken" in row
    cells = [row["name"], "broken" if broken else "served" if row.get("served") else row.get("access") or row["needs"]]
    if kind in PROFILED:
        cells.append(next(iter(row.get("profiles", ())), "-"))
    if kind == "probes":
        cells.append("" if broken else "decides" if row["decides"] else "advisory")
    if kind != "writers":
        cells.append(row.get("paper") or "-")
    if kind == "presets":
        cells.append(" ".join(row.get("benchmarks", ())) or "-")
    return [*cells, f"{row['broken'] if broken else row['summary']}{whose}"]
