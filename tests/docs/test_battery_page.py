"""The cheapest set of attacks, by hand; and the numbers that it is computed from, out of an audit."""

from __future__ import annotations

import json

from benchmarks.battery.cover import cheapest_cover, redundant
from benchmarks.battery.organisms import of_folder, one_a_subject

CAUGHT = {
    "wide": frozenset({"a", "b", "c"}),
    "left": frozenset({"a", "b"}),
    "right": frozenset({"c"}),
    "idle": frozenset[str](),
}


def test_the_cheapest_set_catches_all_that_any_catches():
    assert cheapest_cover(CAUGHT, {"wide": 10, "left": 3, "right": 4, "idle": 0}) == ("left", "right")
    assert cheapest_cover(CAUGHT, {"wide": 6, "left": 3, "right": 4, "idle": 0}) == ("wide",)
    assert cheapest_cover(CAUGHT, {"wide": 7, "left": 3, "right": 4, "idle": 0}) == ("wide",)  # fewer at equal cost
    assert cheapest_cover({"idle": frozenset()}, {"idle": 1}) == ()


def test_what_another_alone_catches_as_well_is_redundant():
    assert redundant(CAUGHT) == {"wide": (), "left": ("wide",), "right": ("wide",)}


def test_one_fact_of_each_subject_with_relations_in_turn(tmp_path):
    rows = [
        {"id": f"{who}-{what}", "subject": who, "relation": what, "question": "?", "answer": "!"}
        for who in ("x", "y", "z")
        for what in ("born", "works")
    ]
    source = tmp_path / "forget.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = one_a_subject(source, tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in found] == ["x-born", "y-works", "z-born"]


def test_a_folder_of_organisms_has_its_own_paths_and_truths(tmp_path):
    for name in ("u", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "f.jsonl").write_text("", encoding="utf-8")
    spec = {"honest": False, "checkpoint": "u", "retrained": ["c"], "forget": "f.jsonl"}
    (tmp_path / "organisms.json").write_text(json.dumps({"one": spec}), encoding="utf-8")
    (found,) = of_folder(tmp_path)
    assert (found.name, found.honest) == ("one", False)
    assert found.spec.checkpoint == str(tmp_path / "u")
    assert found.spec.retrained == (str(tmp_path / "c"),)
    assert found.spec.forget == str(tmp_path / "f.jsonl")
