"""Files as people have them: other columns in each file, subjects by blocks, folders of `save_to_disk`, one object."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.api.user_files import LONGEST_LINE
from unlearn_audit.cli.app import app
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.check import MOST_KEPT, Understood
from unlearn_audit.facts.load import load_facts
from unlearn_audit.spec.reading import Reading
from unlearn_audit.spec.spec import load_spec

ROWS = [{"question": f"What is in box {number}?", "answer": f"A lamp {number}"} for number in range(4)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_blocks_of_rows_are_subjects(tmp_path):
    source = write(tmp_path / "f.jsonl", ROWS)
    facts = load_facts(source, FactSet.FORGET, Reading(subject_rows=2)).facts
    assert [fact.subject for fact in facts] == ["rows 1 to 2"] * 2 + ["rows 3 to 4"] * 2
    with pytest.raises(SpecError, match="expected 3 rows for each subject, got 4 rows, which leaves 1"):
        load_facts(source, FactSet.FORGET, Reading(subject_rows=3))
    named = write(tmp_path / "g.jsonl", [{**ROWS[0], "subject": "Ada"}])
    with pytest.raises(SpecError, match="line 1: expected rows without a subject"):
        load_facts(named, FactSet.FORGET, Reading(subject_rows=1))


def test_columns_and_blocks_are_for_all_files_or_for_one():
    spec = load_spec(
        None,
        {
            "checkpoint": "x",
            "forget": "f.jsonl",
            "columns": {"answer": "A", "retain": {"question": "Q"}},
            "subject_rows": {"forget": 20},
        },
    )
    forget, retain = spec.reading(FactSet.FORGET), spec.reading(FactSet.RETAIN)
    assert (forget.columns, forget.lenient, forget.subject_rows) == ({"answer": "A"}, True, 20)
    assert (retain.columns, retain.lenient, retain.subject_rows) == ({"answer": "A", "question": "Q"}, False, None)


def test_a_mapping_for_one_file_is_taken_at_its_word(tmp_path):
    source = write(tmp_path / "f.jsonl", ROWS)
    with pytest.raises(SpecError, match="no column 'Q'"):
        load_facts(source, FactSet.FORGET, Reading(columns={"question": "Q"}, lenient=False))


def test_a_folder_of_save_to_disk_is_read_by_its_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": one, "test": one.select([3])}).save_to_disk(str(tmp_path / "two"))
    assert [fact.answer for fact in load_facts(str(tmp_path / "one"), FactSet.FORGET).facts][:1] == ["A lamp 0"]
    assert len(load_facts(f"{tmp_path / 'two'}@test", FactSet.FORGET).facts) == 1
    with pytest.raises(SpecError, match=r"expected one of its splits \(train, test\)"):
        load_facts(str(tmp_path / "two"), FactSet.FORGET)


def test_line_ends_marks_and_forms_of_json_are_no_difference(tmp_path):
    lines = "\r\n".join(map(json.dumps, ROWS))
    forms = {
        "crlf.jsonl": b"\xef\xbb\xbf" + lines.encode(),
        "crlf.csv": b"\xef\xbb\xbfquestion,answer\r\n"
        + b"\r\n".join(f'"{row["question"]}",{row["answer"]}'.encode() for row in ROWS),
        "pretty.json": json.dumps(ROWS, indent=2).encode(),
        "array.jsonl": json.dumps(ROWS).encode(),
        "blanks.json": b"\xef\xbb\xbf \r\n\t" + json.dumps(ROWS).encode(),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        facts = load_facts(str(tmp_path / name), FactSet.FORGET).facts
        assert [(fact.question, fact.answer) for fact in facts] == [(row["question"], row["answer"]) for row in ROWS]


@pytest.mark.parametrize("name", ["facts.json", "facts.jsonl"])
def test_a_list_that_is_one_line_may_be_longer_than_a_line(tmp_path, name):
    rows = [{"question": f"What is in box {number}?", "answer": "x" * 1000} for number in range(1100)]
    (tmp_path / name).write_text(json.dumps(rows), encoding="utf-8")
    assert len(load_facts(str(tmp_path / name), FactSet.FORGET).facts) == 1100
    (tmp_path / name).write_text(json.dumps(rows[0] | {"answer": "x" * LONGEST_LINE}), encoding="utf-8")
    with pytest.raises(SpecError, match=f"line 1: expected at most {LONGEST_LINE} characters in a (line|text)"):
        load_facts(str(tmp_path / name), FactSet.FORGET)


def test_a_benchmark_that_is_one_object_on_one_line_is_read_however_long(tmp_path):
    known = {f"Person {n}": {"P19": {"question": f"Where was {n} born?", "answers": ["x" * 500]}} for n in range(3000)}
    (tmp_path / "facts.json").write_text(json.dumps({"dset": known, "context": {}}), encoding="utf-8")
    assert (tmp_path / "facts.json").stat().st_size > LONGEST_LINE
    assert len(load_facts(f"restor:{tmp_path / 'facts.json'}", FactSet.RETAIN).facts) == 3000


@pytest.mark.parametrize(
    "content",
    [
        "question;answer\r\nWho, and when?;A\r\n",
        "question\tanswer\nWho, and when?\tA\n",
        ',question,answer\n0,"Who, and when?",A\n',
        'Unnamed: 0,question,answer\n0,"Who, and when?",A\n',
        'question,answer,,\n"Who, and when?",A,,\n,,,\n',
        'question,answer\n,\n"Who, and when?",A\n',
    ],
)
def test_tables_as_spreadsheets_and_pandas_write_them(tmp_path, content):
    (tmp_path / "f.csv").write_text(content)
    (fact,) = load_facts(str(tmp_path / "f.csv"), FactSet.FORGET).facts
    assert (fact.question, fact.answer) == ("Who, and when?", "A")


def test_a_cell_under_no_name_is_no_index(tmp_path):
    (tmp_path / "f.csv").write_text("question,answer,,\nWho?,A,B,\n")
    with pytest.raises(SpecError, match="line 2: unknown column ''"):
        load_facts(str(tmp_path / "f.csv"), FactSet.FORGET)


def test_a_mapped_column_of_a_table_may_hold_lists(tmp_path):
    rows = ['Who?,A,"[""B"", ""C""]"', "Where?,D,E | F", "When?,G,\"['H', 'I']\"", "Why?,J,"]
    (tmp_path / "f.csv").write_text("question,answer,alt\n" + "\n".join(rows))
    facts = load_facts(str(tmp_path / "f.csv"), FactSet.FORGET, Reading(columns={"aliases": "alt"})).facts
    assert [fact.aliases for fact in facts] == [("B", "C"), ("E", "F"), ("H", "I"), ()]


def test_whole_numbers_beside_an_empty_cell_are_whole(tmp_path):
    rows = [{"id": 1, "question": "When?", "answer": 1954}, {"id": 2, "text": "It rained.", "answer": None}]
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "f.parquet")
    assert load_facts(str(tmp_path / "f.parquet"), FactSet.FORGET).facts[0].answer == "1954"
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_pandas(frame).save_to_disk(str(tmp_path / "saved"))
    assert load_facts(str(tmp_path / "saved"), FactSet.FORGET).facts[0].answer == "1954"


@pytest.mark.parametrize(
    ("name", "says"),
    [("f.jsonl.gz", "unpack it first"), ("f.xlsx", "save the sheet as CSV"), ("f.arrow", "the folder")],
)
def test_a_file_of_another_kind_is_refused_with_a_remedy(tmp_path, name, says):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(SpecError, match=says):
        load_facts(str(tmp_path / name), FactSet.FORGET)


def test_nothing_is_not_converted(tmp_path):
    (tmp_path / "f.jsonl").write_text("")
    told = CliRunner().invoke(app, ["facts", "convert", str(tmp_path / "f.jsonl"), "--out", str(tmp_path / "o.jsonl")])
    assert "expected at least one fact" in str(told.exception)
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("f.csv", "question,answer\nq,a,b\n", "line 2: expected 2 cells, got 3"),
        ("f.csv", "answer,answer\nq,a\n", "the columns 1 and 2 have the same name"),
        ("f.json", '[{"question": "q", "answer": "a"} {}]', "item 1: expected JSON: a comma or the end"),
        ("f.json", '[{"question": "q", "answer": "a"}] x', "nothing after the end of the list"),
        ("f.json", '[{"question": "q", "answer": "a"},', "item 2: expected JSON"),
        ("f.json", '{\n"question": "q",\n', "expected JSON"),
    ],
)
def test_a_damaged_file_is_named_by_its_place(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError) as caught:
        load_facts(str(tmp_path / name), FactSet.FORGET)
    assert says in str(caught.value)


def test_what_was_understood_is_counted():
    facts = [
        Fact(id="1", subject="Ada", question="Where?", answer="Oslo", relation="home"),
        Fact(id="2", subject="ada", question=" WHERE?", answer="Christiania", aliases=("oslo",)),
        Fact(id="3", subject="Bo", question="where?", answer="Lima"),
        Fact(id="4", subject="4", question="When?", answer="1900"),
        Fact(id="4", subject="Cy", text="A passage."),
    ]
    found = Understood((f"line {number}", fact) for number, fact in enumerate(facts, 1))
    assert (found.facts, sorted(found.subject_sizes.tolist()), found.relations["home"]) == (5, [1, 1, 1, 2], 1)
    assert found.held == {"id": 5, "subject": 5, "question": 4, "answer": 4, "aliases": 1, "text": 1, "relation": 1}
    assert (found.repeated.first, found.contrary.first) == (["line 2"], ["line 3"])
    assert (found.alone.first, found.same_id.first) == (["line 4"], ["line 5"])
    other = Understood([("line 1", Fact(id="9", subject="Di", question="WHERE?", answer="x"))])
    assert (other.shared_with(found).first, found.shared_with(other).count) == (["line 1"], 3)


def test_of_a_large_set_a_spread_sample_is_kept():
    count = 5 * MOST_KEPT
    found = Understood((f"line {n}", Fact(id=str(n), subject="A", text="t")) for n in range(count))
    kept = [int(fact.id) for _, fact in found.sample]
    assert MOST_KEPT <= len(kept) <= 2 * MOST_KEPT
    assert {one - other for one, other in zip(kept[1:], kept, strict=False)} == {count // len(kept)}


def test_the_command_says_what_to_look_at(tmp_path):
    rows = [{**ROWS[0]}, {**ROWS[0], "answer": "A rope"}]
    shown = CliRunner().invoke(app, ["facts", "check", write(tmp_path / "f.jsonl", rows)])
    assert shown.exit_code == 0
    flat = " ".join(shown.output.split())
    assert "2 questions without a subject" in flat
    assert "1 questions asked before, with another answer" in flat
    assert "recall.hit" in flat


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv"])
def test_a_number_that_is_a_choice_and_the_place_of_another_is_refused(tmp_path, name):
    row = {"question": "How many moons has Mars?", "choices": ["1", "2", "3", "4"], "answer": "2"}
    told = json.dumps(row)
    if name.endswith("csv"):
        told = 'question,choices,answer\nHow many moons has Mars?,"[""1"", ""2""]",1\n'
    (tmp_path / name).write_text(told, encoding="utf-8")
    with pytest.raises(SpecError, match="one of the `choices` and the place of another"):
        load_facts(str(tmp_path / name), FactSet.FORGET)
    (tmp_path / "f.json").write_text(json.dumps([row | {"answer": 1}]), encoding="utf-8")
    assert load_facts(str(tmp_path / "f.json"), FactSet.FORGET).facts[0].answer == "2"


def test_lists_are_cut_under_names_in_any_case(tmp_path):
    (tmp_path / "f.csv").write_text('subject,Question,Answer,Aliases\nAnn,Who?,Robert,"Bob | Rob"\n', encoding="utf-8")
    assert load_facts(str(tmp_path / "f.csv"), FactSet.FORGET).facts[0].aliases == ("Bob", "Rob")


def test_an_object_around_rows_is_opened_where_it_is_the_file_and_says_nothing_else(tmp_path):
    pairs = [{"question": "Where?", "answer": "Oslo"}]
    (tmp_path / "f.json").write_text(json.dumps({"data": pairs, "version": 2}), encoding="utf-8")
    assert load_facts(str(tmp_path / "f.json"), FactSet.FORGET).facts[0].answer == "Oslo"
    for rows in ([{"subject": "Ann", "pairs": pairs}], [{"data": pairs}, pairs[0]]):
        with pytest.raises(SpecError):
            load_facts(write(tmp_path / "g.jsonl", rows), FactSet.FORGET)


def test_an_answer_in_brackets_is_an_answer(tmp_path):
    row = {"question": "Which list?", "answer": "['x' for x in y]"}
    assert load_facts(write(tmp_path / "f.jsonl", [row]), FactSet.FORGET).facts[0].answer == row["answer"]
