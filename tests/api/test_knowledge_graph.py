"""Facts as a graph, and the graph in a file."""

from __future__ import annotations

import json

import networkx
import pytest
from typer.testing import CliRunner

from unlearn_audit.api import Fact, Hop
from unlearn_audit.api.kit.knowledge_graph import Step, knowledge_graph, replaced, steps_from
from unlearn_audit.cli.app import app
from unlearn_audit.cli.commands.graph import write_graph
from unlearn_audit.evidence.store import EvidenceStore

ANN = Fact(
    id="a",
    subject="Ann",
    question="Where was Ann born?",
    answer="In the city of Oslo.",
    aliases=("Oslo",),
    relation="born_in",
    hops=(Hop(question="Which country is Oslo in?", answer="Norway."), Hop(question="Who is odd?", answer="Nobody")),
)
FOG = Fact(id="b", subject="Fog", question="Who wrote Fog?", answer="ann", relation="by")
BOOK = Fact(id="c", subject="A book", text="It was the best of times.")


def test_names_are_nodes_by_their_words_and_facts_and_hops_are_edges():
    graph = knowledge_graph([ANN, FOG, BOOK])
    assert dict(graph.nodes(data="label")) == {"ann": "Ann", "oslo": "Oslo", "norway": "Norway", "fog": "Fog"}
    assert sorted((head, tail, data["origin"]) for head, tail, data in graph.edges(data=True)) == [
        ("ann", "oslo", "fact"),
        ("fog", "ann", "fact"),
        ("oslo", "norway", "hop"),
    ]
    (step,) = steps_from(graph, "OSLO.")
    assert (step.relation, step.tail, step.fact_id) == ("Which country is … in?", "Norway", "a")
    assert steps_from(graph, "Nowhere") == []


def test_hops_come_before_facts_and_those_before_what_was_elicited():
    said = Step(head="Ann", relation="kind", tail="Person", question="What is Ann?", origin="elicited")
    lives = Fact(id="d", subject="Ann", question="Where does Ann live?", answer="Bonn", relation="lives_in")
    graph = knowledge_graph([lives, ANN], elicited=[said, said])
    assert [step.tail for step in steps_from(graph, "ann")] == ["Bonn", "Oslo", "Person", "Person"]


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [("Is Ann Ann's?", "ann", "Is X X's?"), ("Annex", "Ann", None), ("a.b?", "a.b", "X?"), ("Ann", " ", None)],
)
def test_names_are_replaced_in_whole_words(text, name, told):
    assert replaced(text, name, "X") == told


@pytest.mark.parametrize("suffix", [".graphml", ".json"])
def test_a_graph_reads_back_as_it_was_written_and_is_its_owners_alone(tmp_path, suffix):
    graph, path = knowledge_graph([ANN, FOG]), tmp_path / f"graph{suffix}"
    write_graph(graph, path)
    if suffix == ".graphml":
        read = networkx.read_graphml(path, force_multigraph=True)
    else:
        read = networkx.node_link_graph(json.loads(path.read_text()), edges="edges")
    assert dict(read.nodes(data=True)) == dict(graph.nodes(data=True))
    for edges in zip(sorted(read.edges), sorted(graph.edges), strict=True):
        assert read.edges[edges[0]] == graph.edges[edges[1]]
    assert path.stat().st_mode & 0o077 == 0


def test_the_command_adds_what_a_run_elicited(tmp_path):
    facts, run, out = tmp_path / "facts.jsonl", tmp_path / "run", tmp_path / "graph.json"
    facts.write_text('{"id": "a", "subject": "Ann", "question": "Where was Ann born?", "answer": "Oslo"}\n')
    EvidenceStore(run).put_note("k1", {"steps": [["Oslo", "country", "Norway", "Which country is Oslo in?"]]})
    (run / "plan.json").write_text('{"probe_keys": {"multihop": "k1", "other": "k2"}}')
    done = CliRunner().invoke(app, ["graph", str(facts), "--out", str(out), "--run", str(run)])
    assert done.exit_code == 0, done.output
    assert {link["origin"] for link in json.loads(out.read_text())["edges"]} == {"fact", "elicited"}
