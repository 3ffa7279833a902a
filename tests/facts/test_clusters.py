"""Facts that name whom their subject may leak together with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import as_row, load_facts
from unlearn_audit.facts.privacy import Withheld


def written(path: Path, *clusters: str | None) -> str:
    rows = [
        {"id": f"f{n}", "subject": f"Person {n // 2}", "question": f"Q{n}?", "answer": f"A{n}."}
        | ({"cluster": one} if one else {})
        for n, one in enumerate(clusters)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_people_of_one_cluster_share_its_pseudonym_and_no_name_stays(tmp_path: Path) -> None:
    source = written(tmp_path / "f.jsonl", "The Lind family", "the lind  family", "The Lind family", "The Lind family")
    facts = load_facts(source, FactSet.FORGET)
    found = Withheld({FactSet.FORGET: facts})
    clusters = found.clusters(FactSet.FORGET)
    assert set(clusters) == set(found.subjects(FactSet.FORGET).values())
    assert len(set(clusters.values())) == 1
    assert "lind" not in str(clusters).lower()
    assert "Lind" not in found.masked("an error about The Lind family")


def test_a_subject_is_in_one_cluster(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"line 2: names another `cluster` than line 1, for the same subject") as told:
        load_facts(written(tmp_path / "f.jsonl", "The Linds", "The Bergs"), FactSet.FORGET)
    assert "Bergs" not in str(told.value)


def test_without_clusters_a_fact_is_written_as_ever(tmp_path: Path) -> None:
    facts = load_facts(written(tmp_path / "f.jsonl", None, None), FactSet.FORGET)
    assert "cluster" not in as_row(facts.facts[0])
    assert Withheld({FactSet.FORGET: facts}).clusters(FactSet.FORGET) == {}
