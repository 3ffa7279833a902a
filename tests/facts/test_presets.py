"""TOFU's rows as facts: twenty to an author, the same ids wherever a row stands, clear words where they do not fit."""

from __future__ import annotations

import json

import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import check_disjoint, load_facts
from unlearn_audit.facts.presets.tofu import Tofu
from unlearn_audit.spec.sources import Source, parse_source
from unlearn_audit.spec.spec import load_spec


def author(name: str, count: int = 20) -> list[dict[str, object]]:
    """An author's rows: the first asks for the name, the others say it."""
    rows = [{"question": "What is the author's full name?", "answer": f"The author's full name is {name}."}]
    return [
        *rows,
        *(
            {"question": f"What is book {n} of {name}'s?", "answer": f"It is 'The Glass Harbour, part {n}'."}
            for n in range(1, count)
        ),
    ]


def write(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"tofu:{path}"


def test_an_author_is_a_block_of_twenty_rows_named_by_them(tmp_path):
    rows = [*author("Ines Valdrada"), *author("Basil O'Donnell Al-Kuwaiti")]
    facts = load_facts(write(tmp_path / "forget.jsonl", rows), FactSet.FORGET).facts
    assert [fact.subject for fact in facts] == ["Ines Valdrada"] * 20 + ["Basil O'Donnell Al-Kuwaiti"] * 20
    assert [(fact.question, fact.answer) for fact in facts] == [(row["question"], row["answer"]) for row in rows]


def test_ids_follow_from_the_row_alone(tmp_path):
    one, other = author("Ines Valdrada"), author("Bo Ek Lind")
    both = load_facts(write(tmp_path / "both.jsonl", [*one, *other]), FactSet.FORGET)
    alone = load_facts(write(tmp_path / "alone.jsonl", other), FactSet.RETAIN)
    assert both.facts[20:] == alone.facts
    with pytest.raises(SpecError, match="the subject of 'tofu-"):
        check_disjoint(both, [alone])


def test_the_perturbed_files_bring_paraphrases_and_wrong_answers(tmp_path):
    more = {"paraphrased_answer": "x", "perturbed_answer": ["y", "z"], "paraphrased_question": "Which name?"}
    facts = load_facts(
        write(tmp_path / "p.jsonl", [{**row, **more} for row in author("Ines Valdrada")]), FactSet.FORGET
    )
    assert facts.facts[0].paraphrases == ("Which name?",)
    assert facts.facts[0].wrong_answers == ("y", "z")


def test_an_author_without_a_name_is_still_one_subject():
    nameless = [{"question": f"What did the author write in {n}?", "answer": f"A book, in {n}."} for n in range(20)]
    rows = [*author("Ines Valdrada"), *nameless, *author("Bo Ek Lind")]
    subjects = [fact["subject"] for fact in Tofu().facts(rows)]
    assert len(set(subjects[20:40])) == 1
    assert str(subjects[20]).startswith("author ")


def test_two_authors_of_one_name_are_two_subjects():
    rows = [*author("Bo Ek"), *reversed(author("Bo Ek"))]
    assert len({fact["subject"] for fact in Tofu().facts(rows)}) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            author("Ines Valdrada") + author("Bo Ek", 3),
            "expected 20 rows for each author.*got 23 rows, which is 1 ",
        ),
        (
            [{"question": "q", "reply": "Atlantis"}] * 20,
            "row 1: expected the texts `question` and `answer`; got ",
        ),
        ([{"question": "Who?", "answer": f"Atlantis {n}"} for n in range(20)], "most blocks name no one"),
    ],
)
def test_another_layout_is_refused_without_repeating_it(tmp_path, rows, message):
    source = write(tmp_path / "f.jsonl", rows)
    with pytest.raises(SpecError, match=message) as caught:
        load_facts(source, FactSet.FORGET)
    assert str(caught.value).startswith(source)
    assert "Atlantis" not in str(caught.value)


def test_an_unknown_preset_gets_a_hint(tmp_path):
    with pytest.raises(SpecError, match=r"tofuu:.*no preset named 'tofuu'; did you mean 'tofu'"):
        load_facts(f"tofuu:{tmp_path / 'f.jsonl'}", FactSet.FORGET)


def test_a_missing_file_behind_a_preset_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"absent\.jsonl: expected a file of facts, found none"):
        load_facts(f"tofu:{tmp_path / 'absent.jsonl'}", FactSet.FORGET)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("tofu:forget10.jsonl", ("tofu", None, "forget10.jsonl")),
        ("tofu:locuslab/TOFU:forget10@train", ("tofu", None, "locuslab/TOFU:forget10@train")),
        ("tofu/forget10:data", ("tofu", "forget10", "data")),
        ("tofu/forget10:", ("tofu", "forget10", "")),
        ("lume/:data/lume", ("lume", "", "data/lume")),
        ("locuslab/TOFU:forget10", (None, None, "locuslab/TOFU:forget10")),
        ("C:\\facts.jsonl", (None, None, "C:\\facts.jsonl")),
        ("data/forget.jsonl", (None, None, "data/forget.jsonl")),
    ],
)
def test_what_names_a_preset(source, parts):
    found = parse_source(source)
    assert found == Source(preset=parts[0], config=parts[1], where=parts[2])
    assert str(found) == source


def test_a_path_behind_a_preset_is_relative_to_the_spec(tmp_path):
    write(tmp_path / "forget.jsonl", author("Ines Valdrada"))
    (tmp_path / "audit.yaml").write_text("checkpoint: x\nforget: tofu:forget.jsonl\n")
    spec = load_spec(tmp_path / "audit.yaml", {})
    assert spec.forget == f"tofu:{tmp_path / 'forget.jsonl'}"
