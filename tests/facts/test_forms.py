"""Rows as people and benchmarks have them: what has one clear meaning is read, and a mistake is named by its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import load_facts
from unlearn_audit.spec.reading import Reading

BORN = {"id": "1", "subject": "Ada Karsk", "question": "Where was Ada Karsk born?", "answer": "Ostrow"}


def read(tmp_path: Path, *rows: object, name: str = "facts.jsonl", columns: dict[str, str] | None = None) -> list[Fact]:
    path = tmp_path / name
    text = json.dumps(rows) if name.endswith(".json") else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text)
    return list(load_facts(str(path), FactSet.FORGET, Reading(columns=columns or {})).facts)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": 7}, {"id": "7"}),
        ({"answer": 1987}, {"answer": "1987"}),
        ({"answer": ["Ostrow", "Ostrov"]}, {"answer": "Ostrow", "aliases": ("Ostrov",)}),
        ({"answer": ["Ostrow", 3], "aliases": "O."}, {"answer": "Ostrow", "aliases": ("O.", "3")}),
        ({"aliases": "Ostrov"}, {"aliases": ("Ostrov",)}),
        ({"paraphrases": "Her town?"}, {"paraphrases": ("Her town?",)}),
        ({"wrong_answers": [1, "two"]}, {"wrong_answers": ("1", "two")}),
        ({"choices": ["Kiel", "Ostrow"], "answer": 1}, {"answer": "Ostrow", "wrong_answers": ("Kiel",)}),
        ({"id": None}, {"id": "row-1"}),
        ({"answer": '["Ostrow", "Ostrov"]'}, {"answer": "Ostrow", "aliases": ("Ostrov",)}),
        ({"answer": "['Ostrow', \"O'strov\"]"}, {"answer": "Ostrow", "aliases": ("O'strov",)}),
        ({"answer": "[1, 2]"}, {"answer": "[1, 2]"}),
        ({"answer": "[sic] Ostrow"}, {"answer": "[sic] Ostrow"}),
        ({"answer": True}, {"answer": "True"}),
        ({"answer": ["", None, "Ostrow"]}, {"answer": "Ostrow", "aliases": ()}),
        ({"aliases": ""}, {"aliases": ()}),
        ({"aliases": ["", " ", None, "Ostrov"]}, {"aliases": ("Ostrov",)}),
        ({"aliases": '["Ostrov", "O."]'}, {"aliases": ("Ostrov", "O.")}),
        ({"choices": "['Kiel', 'Ostrow']", "answer": "1"}, {"answer": "Ostrow", "wrong_answers": ("Kiel",)}),
    ],
)
def test_what_has_one_clear_meaning_is_read(tmp_path: Path, changes: dict, expected: dict) -> None:
    (fact,) = read(tmp_path, {**BORN, **changes})
    assert {name: getattr(fact, name) for name in expected} == expected


def test_benchmarks_rows_as_published(tmp_path: Path) -> None:
    (cloze,) = read(
        tmp_path, {"query": "Born in ___?", "answer": "Ostrow", "level": "1", "type": "cloze", "subject": "A"}
    )
    assert (cloze.question, cloze.subject) == ("Born in ___?", "A")
    tofu = {"paraphrased_question": "Her town?", "perturbed_answer": ["Kiel"], "paraphrased_answer": "It is Ostrow."}
    (author,) = read(tmp_path, {**BORN, **tofu})
    assert (author.paraphrases, author.wrong_answers) == (("Her town?",), ("Kiel",))
    first, second = read(tmp_path, "It rained for nine days.", "The key lay there.", name="raw.json")
    assert (first.text, first.subject, second.id) == ("It rained for nine days.", "row-1", "row-2")
    (cut,) = read(tmp_path, {"prompt": "It rained", "gt": "for nine days."}, name="verbmem.json")
    assert (cut.given, cut.text) == ("It rained", "It rained for nine days.")


def test_a_question_about_nobody_is_its_own_subject_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([{"question": "Who found it?", "answer": "Cleo"}]))
    facts = load_facts(str(path), FactSet.FORGET)
    assert facts.facts[0].subject == "row-1"
    assert any("1 questions have no subject but their own id" in remark for remark in facts.remarks)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([BORN, {**BORN, "id": "2", "answer": "Velden"}], "line 2: `answer` contradicts line 1"),
        ([{**BORN, "subject": " "}], "line 1: `subject` is empty"),
        ([{**BORN, "qestion": "What?"}], "line 1: unknown column 'qestion'"),
        ([{**BORN, "answer": {"is": "Velden"}}], "line 1: 'answer': "),
        ([{**BORN, "choices": ["a"], "answer": 3}], "line 1: unknown column 'choices'"),
        ([{**BORN, "aliases": {"a": 1}}], "line 1: 'aliases': "),
        ([{**BORN, "answer": "['Velden' 'Ostrow']"}], "line 1: a list is printed in a way that cannot be read back"),
        ([{**BORN, "answer": ["", None]}], "line 1: expected a question and an answer"),
    ],
)
def test_a_mistake_is_named_by_its_place_and_never_by_its_words(tmp_path: Path, rows: list, says: str) -> None:
    with pytest.raises(SpecError, match=says.split(":", 1)[0]) as error:
        read(tmp_path, *rows)
    assert says in str(error.value)
    assert "Velden" not in str(error.value)


def test_two_names_of_one_answer_are_no_contradiction(tmp_path: Path) -> None:
    assert len(read(tmp_path, BORN, {**BORN, "id": "2", "answer": "Ostrov", "aliases": ["ostrow"]})) == 2


def test_one_mapping_serves_files_that_use_the_fields_own_names(tmp_path: Path) -> None:
    columns = {"question": "Q", "answer": "A"}
    mapped = {"id": "1", "subject": "Ada", "Q": "Where?", "A": "Ostrow"}
    assert read(tmp_path, mapped, columns=columns)[0].question == "Where?"
    assert read(tmp_path, BORN, columns=columns)[0].question == BORN["question"]
    with pytest.raises(SpecError, match="no column 'Q'"):
        read(tmp_path, {"id": "1", "subject": "Ada", "A": "Ostrow"}, columns=columns)
