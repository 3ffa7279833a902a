"""Shows what each fact's answer is looked for by: for whoever has the facts, before an audit."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.api import FactSet
from unlearn_audit.facts.keys import Looked, key_remarks, looked_for
from unlearn_audit.facts.load import load_facts


def check_facts(source: str, console: Console, *, as_json: bool) -> int:
    """Prints what is looked for in place of each answer, and what to know about the set; how many cannot be judged.

    Raises:
        SpecError: the facts cannot be read.
    """
    facts = load_facts(source, FactSet.FORGET)
    found = list(looked_for(facts.facts))
    remarks = (*facts.remarks, *key_remarks(facts.facts, has_control=False))
    if as_json:
        rows = [
            {
                "id": one.fact.id,
                "judged_by": one.way.value,
                "looked_for": one.texts,
                "by_chance": one.by_chance,
                "missing": one.missing,
            }
            for one in found
        ]
        console.out(json.dumps({"facts": rows, "remarks": remarks}, indent=2, ensure_ascii=False), highlight=False)
    else:
        console.print(_table(found))
        for remark in remarks:
            console.print(f"Note: {remark}.", markup=False, highlight=False)
    return sum(one.missing is not None for one in found)


def _table(found: list[Looked]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("fact", "judged by", "looked for"):
        table.add_column(column, overflow="fold")
    for one in found:
        mark = " (any text may hold it)" if one.by_chance else ""
        joint = " + " if one.way.value.endswith("sentence") else " | "
        table.add_row(escape(one.fact.id), one.way.value, escape((one.missing or joint.join(one.texts)) + mark))
    return table
