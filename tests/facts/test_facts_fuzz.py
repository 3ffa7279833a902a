"""Facts of any content, in every format: read, or refused in words."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzing import AMOUNTS, damaged, refused_or_read, values
from unlearn_audit.api import Fact, FactSet
from unlearn_audit.facts.load import chance_levels, check_disjoint, load_facts
from unlearn_audit.facts.privacy import Withheld

KEYS = [field.name for field in fields(Fact)]
ROWS = [
    {"id": "1", "subject": "Ada", "question": "Where?", "answer": "Rome", "aliases": ["Roma"], "relation": "born"},
    {"id": "2", "subject": "Bo", "text": "A passage.", "hops": [{"question": "q", "answer": "a"}]},
]
FLAT = [{key: json.dumps(value) if isinstance(value, list) else value for key, value in row.items()} for row in ROWS]


def as_parquet(rows) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(rows).to_parquet(stream)
    return stream.getvalue()


SOUND = {
    "f.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "f.csv": pd.DataFrame(FLAT).to_csv(index=False).encode(),
    "f.tsv": pd.DataFrame(FLAT).to_csv(index=False, sep="\t").encode(),
    "f.parquet": as_parquet(ROWS),
}


def read(path, preset=""):
    """The facts, with all that is made of them before a model is loaded."""
    facts = load_facts(f"{preset}{path}", FactSet.FORGET)
    facts.digest()
    facts.record()
    chance_levels(facts.facts)
    check_disjoint(facts, [])
    withheld = Withheld({FactSet.FORGET: facts})
    withheld.subjects(FactSet.FORGET)
    withheld.masked("a message")
    json.dumps(facts.remarks).encode()


@pytest.mark.parametrize("name", SOUND)
@AMOUNTS
def test_a_damaged_file(tmp_path, name, amount):
    @amount
    @given(damaged(SOUND[name]))
    def check(content):
        refused_or_read(read, tmp_path / name, content)

    check()


ROW = st.dictionaries(st.sampled_from(KEYS), values(["question", "answer"]), max_size=6)
FILLED = st.builds(lambda row, other: {**row, **other}, st.sampled_from(ROWS), ROW)


@pytest.mark.parametrize("preset", ["", "tofu:"])
@AMOUNTS
def test_rows_with_other_values(tmp_path, preset, amount):
    @amount
    @given(st.lists(ROW | FILLED | values(KEYS), max_size=4), st.sampled_from([1, 20]))
    def check(rows, times):
        content = "".join(json.dumps(row) + "\n" for row in rows * times).encode()
        refused_or_read(lambda path: read(path, preset), tmp_path / "f.jsonl", content)

    check()


@AMOUNTS
def test_tables_with_other_cells(tmp_path, amount):
    @amount
    @given(st.lists(st.lists(st.text(max_size=9) | st.sampled_from(KEYS), max_size=6), min_size=1, max_size=5))
    def check(lines):
        stream = io.StringIO()
        csv.writer(stream).writerows(lines)
        refused_or_read(read, tmp_path / "f.csv", stream.getvalue().encode("utf-8", "replace"))

    check()


@AMOUNTS
def test_parquet_with_other_cells(tmp_path, amount):
    one = st.none() | st.integers(-9, 9) | st.binary(max_size=4) | st.text(max_size=5)
    cells = st.lists(one, min_size=2, max_size=2)

    @amount
    @given(st.dictionaries(st.sampled_from(KEYS), cells, max_size=5), st.sampled_from([repr, lambda cell: cell]))
    def check(columns, written):
        frame = pd.DataFrame({name: pd.Series(map(written, column), dtype=object) for name, column in columns.items()})
        try:
            content = as_parquet(frame)
        except Exception:  # a table that nothing can write
            return
        refused_or_read(read, tmp_path / "f.parquet", content)

    check()


@pytest.mark.parametrize("name", SOUND)
def test_what_is_damaged_was_sound(tmp_path, name):
    (tmp_path / name).write_bytes(SOUND[name])
    read(tmp_path / name)
