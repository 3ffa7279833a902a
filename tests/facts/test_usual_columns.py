"""Columns under names that many use are read without a mapping, where nothing else can be meant; a header is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearn_audit.api import FactSet
from unlearn_audit.cli.app import app
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import Facts, load_facts
from unlearn_audit.spec.reading import Reading


def read(folder: Path, *rows: dict[str, object], columns: dict[str, str] | None = None) -> Facts:
    path = folder / "facts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return load_facts(str(path), FactSet.FORGET, Reading(columns=columns or {}))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("prompt", "completion"),
        ("prompt", "response"),
        ("input", "output"),
        ("instruction", "output"),
        ("Instruction", "Response"),
        ("q", "a"),
        ("Q", "A"),
        ("Question", "Answer"),
        (" question", "ANSWER "),
    ],
)
def test_a_usual_pair_is_question_and_answer(tmp_path, asked, said):
    found = read(tmp_path, {"Subject": "Ada", asked: "Where?", said: "Oslo"})
    (fact,) = found.facts
    assert (fact.subject, fact.question, fact.answer) == ("Ada", "Where?", "Oslo")
    assert any(f"{asked!r} for question, {said!r} for answer" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"instruction": "Where?", "input": "Velden", "output": "Oslo"}, "'instruction'; did you mean 'question'?"),
        ({"prompt": "Where?", "completion": "Oslo", "answer": "Velden"}, "'prompt'; did you mean 'question'?"),
        ({"prompt": "Where?", "completion": "Oslo", "output": "Velden"}, "'prompt'; did you mean 'question'?"),
        ({"question": "Where?", "response": "Velden"}, "'response'; did you mean 'answer'?"),
        ({"prompt": "Where?", "goal": "Velden"}, "'prompt'; did you mean 'question'?"),
        ({"Question": "Where?", "QUESTION": "Velden?", "answer": "Oslo"}, "unknown column 'Question'"),
    ],
)
def test_what_may_be_meant_otherwise_is_asked_for(tmp_path, row, says):
    with pytest.raises(SpecError) as caught:
        read(tmp_path, row)
    assert says in str(caught.value)
    assert "Velden" not in str(caught.value)


def test_one_pair_serves_a_file(tmp_path):
    rows = [{"prompt": "Where?", "completion": "Oslo"}, {"input": "When?", "output": "1900"}]
    with pytest.raises(SpecError, match="line 2: unknown column 'input'"):
        read(tmp_path, *rows)


def test_a_mapping_goes_before_usual_names(tmp_path):
    row = {"prompt": "Ada", "input": "Where?", "output": "Oslo", "other": 1}
    (fact,) = read(tmp_path, row, columns={"subject": "prompt"}).facts
    assert (fact.subject, fact.question, fact.answer) == ("Ada", "Where?", "Oslo")
    (fact,) = read(tmp_path, row, columns={"question": "output", "answer": "input"}).facts
    assert (fact.question, fact.answer) == ("Oslo", "Where?")


def test_the_command_says_which_columns_were_taken(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("Prompt,Completion\nWhere?,Oslo\n")
    shown = CliRunner().invoke(app, ["facts", "check", str(path)])
    assert "taken as usual: 'Prompt' for question, 'Completion' for answer" in " ".join(shown.output.split())
    told = json.loads(CliRunner().invoke(app, ["facts", "check", str(path), "--json"]).output)
    assert told["taken"] == {"Prompt": "question", "Completion": "answer"}


@pytest.mark.parametrize("columns", [{}, {"question": "Q"}])
@pytest.mark.parametrize("preset", ["", "tofu:", "muse:"])
def test_a_table_without_a_header_is_refused_without_its_cells(tmp_path, columns, preset):
    path = tmp_path / "f.csv"
    path.write_text("Where was Ada Karsk born?,Velden\nWhere does she live?,Ostrow\n")
    with pytest.raises(SpecError, match="line 1: expected the names of the columns") as caught:
        load_facts(f"{preset}{path}", FactSet.FORGET, Reading(columns=columns))
    assert "Velden" not in str(caught.value)
    assert "Ada" not in str(caught.value)


def test_cells_that_are_the_same_are_told_by_their_place(tmp_path):
    (tmp_path / "f.csv").write_text("Who?,Velden,Velden\n")
    with pytest.raises(SpecError, match="columns 2 and 3 have the same name") as caught:
        load_facts(str(tmp_path / "f.csv"), FactSet.FORGET)
    assert "Velden" not in str(caught.value)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_who_uses_a_preset_is_not_told_to_use_one(tmp_path, form):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"question": "Who runs the ferry?", "answer": "Hanne Osk"}]))
    for source, advised in ((f"muse:{path}", False), (str(path), True)):
        told = CliRunner().invoke(app, ["facts", "check", source, *form]).output
        assert bool(re.search(r"--preset|through its preset", " ".join(told.split()))) is advised
