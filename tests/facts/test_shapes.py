"""Files and rows in shapes that other tools write: read where the meaning is plain, else refused with what to do."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import load_facts

ROWS = [{"question": f"Which box {number}?", "answer": f"A lamp {number}"} for number in range(3)]


def read(path: Path) -> list[Fact]:
    return list(load_facts(str(path), FactSet.FORGET).facts)


def one(tmp_path: Path, row: dict[str, Any]) -> Fact:
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    (fact,) = read(tmp_path / "f.jsonl")
    return fact


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "content",
    [
        {"data": ROWS},
        {"version": "1.0", "data": ROWS},
        {"train": ROWS},
        {name: [row[name] for row in ROWS] for name in ROWS[0]},
        {"prompt": [row["question"] for row in ROWS], "completion": [row["answer"] for row in ROWS]},
        *(json.loads(pd.DataFrame(ROWS).to_json(orient=form)) for form in ("columns", "index", "split", "records")),
    ],
)
def test_one_object_around_the_rows_is_opened(tmp_path, content, indent):
    (tmp_path / "f.json").write_text(json.dumps(content, indent=indent))
    facts = read(tmp_path / "f.json")
    assert [(fact.question, fact.answer) for fact in facts] == [(row["question"], row["answer"]) for row in ROWS]


def test_lists_of_columns_that_differ_in_length_are_refused(tmp_path):
    (tmp_path / "f.json").write_text(json.dumps({"question": ["Who?", "Where?"], "answer": ["Velden"]}))
    with pytest.raises(SpecError, match="got lengths of 1, 2"):
        read(tmp_path / "f.json")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Oslo"}]},
        {"conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Oslo"}]},
    ],
)
def test_one_turn_of_each_is_question_and_answer(tmp_path, row):
    fact = one(tmp_path, row)
    assert (fact.question, fact.answer) == ("Where?", "Oslo")
    name = next(iter(row))
    for turns in (row[name] * 2, row[name][:1], row[name][::-1], []):
        with pytest.raises(SpecError, match="expected one turn of the user and then one of the assistant") as caught:
            one(tmp_path, {name: turns})
        assert "Oslo" not in str(caught.value)


def test_squads_answers_are_an_answer_and_its_aliases(tmp_path):
    row = {"id": "5", "title": "Ada_Karsk", "context": "Ada ...", "question": "Where?"}
    fact = one(tmp_path, {**row, "answers": {"text": ["Oslo", "Oslo", "in Oslo"], "answer_start": [1, 1, 2]}})
    assert (fact.subject, fact.answer, fact.aliases) == ("Ada_Karsk", "Oslo", ("in Oslo",))
    assert one(tmp_path, {"question": "Where?", "answers": ["Oslo", "Osl"]}).aliases == ("Osl",)
    (tmp_path / "f.csv").write_text("question,answers\nWhere?,\"{'text': array(['Velden'])}\"\n")
    with pytest.raises(SpecError, match="write the answer into a column `answer`") as caught:
        read(tmp_path / "f.csv")
    assert "Velden" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(1947, 3, 21), "1947-03-21"),
        (datetime(1947, 3, 21), "1947-03-21"),
        (datetime(1947, 3, 21, 9, 30), "1947-03-21 09:30:00"),
        (Decimal("12.50"), "12.50"),
        (True, "True"),
        (7, "7"),
    ],
)
def test_dates_decimals_and_truth_values_are_their_text(tmp_path, value, text):
    pd.DataFrame([{"question": "When?", "answer": value}]).to_parquet(tmp_path / "f.parquet")
    assert read(tmp_path / "f.parquet")[0].answer == text
    pd.DataFrame([{"query": "When?", "answer": value, "subject": "Ada"}]).to_parquet(tmp_path / "f.parquet")
    (fact,) = load_facts(f"rwku:{tmp_path / 'f.parquet'}", FactSet.FORGET).facts
    assert fact.answer == text


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv"])
def test_what_is_packed_inside_is_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(ROWS[0]).encode()))
    with pytest.raises(SpecError, match="got a gzip archive; unpack it first"):
        read(tmp_path / name)
