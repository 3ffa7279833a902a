"""Facts in: every format gives the same facts, and everything wrong is named with its place and remedy."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import as_row, chance_levels, check_disjoint, load_facts
from unlearn_audit.spec.reading import Reading

ROWS = [
    {"id": "1", "subject": "Ada", "question": "Where?", "answer": "London.", "aliases": ["London"], "relation": "born"},
    {"id": "2", "subject": "Bo", "question": "Where then?", "answer": "Paris.", "paraphrases": ["Which town?"]},
    {"id": "3", "subject": "Cy", "text": "A passage.", "hops": [{"question": "q", "answer": "a"}]},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_jsonl_csv_and_parquet_hold_the_same_facts(tmp_path):
    expected = load_facts(write(tmp_path / "f.jsonl", ROWS), FactSet.FORGET)
    assert [as_row(fact) for fact in expected.facts] == [
        {key: tuple(value) if isinstance(value, list) and key != "hops" else value for key, value in row.items()}
        for row in ROWS
    ]
    flat = pd.DataFrame([{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in ROWS])
    flat.to_csv(tmp_path / "f.csv", index=False)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "f.parquet")
    for name in ("f.csv", "f.parquet"):
        found = load_facts(str(tmp_path / name), FactSet.FORGET)
        assert found.facts == expected.facts
        assert found.digest() == expected.digest()


def test_columns_are_mapped(tmp_path):
    rows = [{"key": "1", "who": "Ada", "prompt": "Where?", "target": "London", "other": 3}]
    columns = {"id": "key", "subject": "who", "question": "prompt", "answer": "target"}
    fact = load_facts(write(tmp_path / "f.jsonl", rows), FactSet.FORGET, Reading(columns=columns)).facts[0]
    assert (fact.id, fact.subject, fact.question, fact.answer) == ("1", "Ada", "Where?", "London")
    with pytest.raises(SpecError, match=r"line 1: no column 'goal'"):
        load_facts(str(tmp_path / "f.jsonl"), FactSet.FORGET, Reading(columns={**columns, "answer": "goal"}))
    with pytest.raises(SpecError, match="'anwser' is not a field of a fact; did you mean 'answer'"):
        load_facts(str(tmp_path / "f.jsonl"), FactSet.FORGET, Reading(columns={"anwser": "target"}))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "expected at least one fact in the forget set"),
        ([ROWS[0], ROWS[0]], "line 2: id '1' is already used in line 1"),
        ([ROWS[0], {**ROWS[1], "anwser": "x"}], "line 2: unknown column 'anwser'; did you mean 'answer'"),
        ([{"id": "1", "answer": "a"}], "line 1: expected a question and an answer, or a text; if your columns"),
        ([{"id": "1", "subject": "s", "question": "q"}], "line 1: expected a question and an answer, or a text"),
        ([{"id": "1", "subject": "s", "question": "q", "answer": " "}], "expected a question and an answer"),
        ([{**ROWS[0], "aliases": {"a": "London"}}], "line 1: 'aliases'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, rows, message):
    path = write(tmp_path / "f.jsonl", rows)
    with pytest.raises(SpecError, match=message) as caught:
        load_facts(path, FactSet.FORGET)
    assert path in str(caught.value)


def test_a_message_never_repeats_a_value_that_may_be_the_secret(tmp_path):
    path = write(tmp_path / "f.jsonl", [{**ROWS[0], "answer": {"in": "Atlantis"}}])
    with pytest.raises(SpecError, match="'answer'") as caught:
        load_facts(path, FactSet.FORGET)
    assert "Atlantis" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.jsonl", b'{"id": 1\n', "line 1: expected JSON"),
        ("f.jsonl", b"[1, 2]\n", "item 1: expected an object or a text"),
        ("f.jsonl", b"\xff\xfe\x00", "UTF-8"),
        ("f.parquet", b"nonsense", "expected a table"),
        ("f.txt", b"x", "expected .jsonl"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        load_facts(str(tmp_path / name), FactSet.FORGET)
    assert name in str(caught.value)


def test_a_missing_file_is_no_data_set(tmp_path):
    with pytest.raises(SpecError, match="expected a file of facts, found none"):
        load_facts(str(tmp_path / "absent.jsonl"), FactSet.FORGET)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"id": "9", "subject": "Ada", "question": "x", "answer": "y"}, "the subject of '9'"),
        ({"id": "1", "subject": "Di", "question": "x", "answer": "y"}, "id '1'"),
        ({"id": "9", "subject": "Di", "question": " WHERE? ", "answer": "y"}, "the question of '9'"),
    ],
)
def test_forget_and_retain_must_not_overlap(tmp_path, row, what):
    forget = load_facts(write(tmp_path / "forget.jsonl", ROWS), FactSet.FORGET)
    retain = load_facts(write(tmp_path / "retain.jsonl", [row]), FactSet.RETAIN)
    with pytest.raises(SpecError, match="must not overlap") as caught:
        check_disjoint(forget, [retain])
    assert what in str(caught.value)
    assert "retain.jsonl" in str(caught.value)


def test_chance_is_the_share_of_the_commonest_answer():
    rows = ["Rome", "rome.", "Oslo", "Rome"]
    from unlearn_audit.api import Fact

    facts = [
        Fact(id=str(i), subject=str(i), question="?", answer=a, aliases=(a.strip("."),), relation="r")
        for i, a in enumerate(rows)
    ]
    alone = Fact(id="x", subject="x", question="?", answer="Lima", relation="other")
    assert chance_levels([*facts, alone]) == {"0": 0.75, "1": 0.75, "2": 0.75, "3": 0.75, "x": 1.0}


def test_a_text_alone_is_its_own_document_and_may_be_cut_as_muse_cuts_it(tmp_path):
    rows = [
        {"id": "1", "prompt": "Long ago", "gt": "it was cold."},
        {"id": "2", "prompt": "Long ago ", "gt": "it was cold."},
        {"id": "3", "text": "Long ago it was cold."},
        {"id": "4", "subject": "B", "text": "Long ago it was cold.", "given": "Long"},
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    facts = load_facts(str(path), FactSet.FORGET).facts
    assert {fact.text for fact in facts} == {"Long ago it was cold."}
    assert [fact.given for fact in facts] == ["Long ago", "Long ago", None, "Long"]
    assert [fact.subject for fact in facts] == ["1", "2", "3", "B"]
    path.write_text(json.dumps({"id": "1", "text": "Long ago", "given": "Short"}))
    with pytest.raises(SpecError, match="begins with what is `given`"):
        load_facts(str(path), FactSet.FORGET)
