"""Writes the knowledge graph of a facts file, with what probes elicited from the original in a run. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.api import FactSet
from unlearn_audit.api.kit.knowledge_graph import ELICITED, Step, knowledge_graph
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import read_json, write_bytes, write_json
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.facts.load import load_facts
from unlearn_audit.facts.privacy import Withheld

if TYPE_CHECKING:
    from networkx import MultiDiGraph

PLAN = "plan.json"


def export_graph(source: str, out: Path, run: Path | None = None) -> tuple[int, int]:
    """Writes the graph; returns its number of names and of steps.

    Raises:
        AuditError: the facts or the run cannot be read.
    """
    facts = load_facts(source, FactSet.FORGET)
    elicited = tuple(_elicited(run, Withheld({FactSet.FORGET: facts}))) if run is not None else ()
    graph = knowledge_graph(facts.facts, elicited=elicited)
    write_graph(graph, out)
    return graph.number_of_nodes(), graph.number_of_edges()


def _elicited(run: Path, withheld: Withheld) -> Iterator[Step]:
    """Steps that a probe recorded in the run, in its notes: head, relation, tail and question."""
    plan = run / PLAN
    if not plan.is_file():
        raise AuditError(f"{run}: expected a run directory, found no {PLAN}; give the directory of `run --out`")
    store = EvidenceStore(run)
    for key in read_json(plan).get("probe_keys", {}).values():
        for head, relation, tail, question in withheld.opened(store.noted(key) or {}).get("steps", ()):
            yield Step(head=head, relation=relation, tail=tail, question=question, origin=ELICITED)


def write_graph(graph: MultiDiGraph[str], path: Path) -> None:
    """Writes GraphML (`.graphml`), else node-link JSON."""
    from networkx import node_link_data, write_graphml

    if path.suffix == ".graphml":
        content = BytesIO()
        write_graphml(graph, content)
        write_bytes(path, content.getvalue())
    else:
        write_json(path, node_link_data(graph, edges="edges"))
