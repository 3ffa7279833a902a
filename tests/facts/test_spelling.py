"""One person is one subject, however the rows spell the name; what is said of rows names no one."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.load import check_disjoint, load_facts

NAME = "Zoë Müller"
SPELLINGS = [
    NAME,
    NAME + " ",
    NAME.upper(),
    unicodedata.normalize("NFD", NAME),
    "Zoë  Müller",
    "\u00a0Zoë\u2009Müller",
    "Zoë\tMüller",
    "\uff3aoë Müller",  # a full-width letter
    "Zoë\u200b Müller",  # an invisible character
]


def facts_of(path: Path, rows, name: FactSet = FactSet.FORGET):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_facts(str(path), name)


def row(number: int | str, subject: str, question: str | None = None, answer: str = "Rome"):
    return {"id": str(number), "subject": subject, "question": question or f"Question {number}?", "answer": answer}


@pytest.mark.parametrize("spelling", SPELLINGS[1:])
def test_another_spelling_is_the_same_subject_and_is_said_by_line(tmp_path: Path, spelling):
    found = facts_of(tmp_path / "f.jsonl", [row(1, NAME), row(2, NAME), row(3, spelling), row(4, "Bo Ek")])
    assert [fact.subject for fact in found.facts] == [NAME, NAME, NAME, "Bo Ek"]
    assert found.record().subjects == 2
    (remark,) = found.remarks
    assert "1 subject is spelled in several ways" in remark
    assert "(line 3)" in remark
    assert "f.jsonl" in remark
    assert "Zo" not in remark


@pytest.mark.parametrize(("one", "other"), [("Ann O'Hara", "Ann O\u2019Hara"), ("Li-Wei Ek", "Li\u2010Wei Ek")])
def test_another_hyphen_or_apostrophe_is_the_same_subject(tmp_path: Path, one: str, other: str):
    assert facts_of(tmp_path / "f.jsonl", [row(1, one), row(2, other)]).record().subjects == 1


def test_two_people_stay_two(tmp_path: Path):
    found = facts_of(tmp_path / "f.jsonl", [row(1, "Zoë Müller"), row(2, "Zoe Müller"), row(3, "Zoë Muller")])
    assert found.record().subjects == 3
    assert found.remarks == ()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_subject_of_both_sets_is_found_in_any_spelling(tmp_path: Path, spelling):
    forget = facts_of(tmp_path / "forget.jsonl", [row(1, NAME)])
    for kept in (FactSet.RETAIN, FactSet.HOLDOUT):
        other = facts_of(tmp_path / "other.jsonl", [row(2, spelling)], kept)
        with pytest.raises(SpecError, match="the subject of '2' is also in") as caught:
            check_disjoint(forget, [other])
        assert "ller" not in str(caught.value)


def test_ids_that_differ_only_in_spelling_are_one(tmp_path: Path):
    with pytest.raises(SpecError, match="line 2: id 'A1 ' is already used in line 1"):
        facts_of(tmp_path / "f.jsonl", [row("a1", "Ada"), row("A1 ", "Bo")])
    forget = facts_of(tmp_path / "f.jsonl", [row("a1", "Ada")])
    retain = facts_of(tmp_path / "r.jsonl", [row("A1", "Bo", "Another?")], FactSet.RETAIN)
    with pytest.raises(SpecError, match="id 'A1' is also in"):
        check_disjoint(forget, [retain])


def test_repeated_and_contrary_questions_are_said_by_id(tmp_path: Path):
    rows = [
        row(1, "Ada", "Where?", "Rome"),
        row(2, "Bea", " WHERE? ", "Oslo"),
        row(3, "Ada", "When?", "1912"),
        row(4, "Ada", "when?", "In 1912.") | {"aliases": ["1912"]},
        row(5, "Ada", "Why?", "No one knows"),
    ]
    (remark,) = facts_of(tmp_path / "f.jsonl", rows).remarks
    assert "the same question with other answers: '1' and '2'" in remark
    assert "the same question twice: '3' and '4'" in remark
    assert "'5'" not in remark
    assert not any(word in remark for word in ("Rome", "Oslo", "1912", "Where"))


def test_ids_that_name_their_subject_are_said(tmp_path: Path):
    (remark,) = facts_of(tmp_path / "f.jsonl", [row("zoe-muller-1", "Zoe Muller"), row("2", "Ada")]).remarks
    assert "the ids of 1 fact hold the name of their subject" in remark
