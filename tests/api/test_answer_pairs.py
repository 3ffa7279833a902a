"""Answers and outputs in two dozen scripts, each labelled by hand: what is a hit, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearn_audit.api import Fact
from unlearn_audit.api.kit.answer_key import Output, answer_key

PAIRS = [
    json.loads(line) for line in Path(__file__).with_name("answer_pairs.jsonl").read_text(encoding="utf-8").splitlines()
]
SCRIPTS = sorted({row["script"] for row in PAIRS})


def judged(row: dict[str, Any]) -> bool | None:
    """Whether the default key sees a hit; None where it cannot judge the row."""
    fact = Fact(id="1", subject="s", question=row["question"], answer=row["answer"], aliases=tuple(row["aliases"]))
    key = answer_key(fact, rouge_threshold=0.8).asked(Output(row["question"]))
    return None if key.missing else key.hit(Output(row["output"]))


def test_there_are_enough_of_them() -> None:
    assert len(PAIRS) >= 300
    assert len(SCRIPTS) >= 15
    hits = sum(row["hit"] is True for row in PAIRS)
    assert 0.3 < hits / len(PAIRS) < 0.7


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_pair_is_judged_as_it_is_labelled(script: str) -> None:
    rows = [row for row in PAIRS if row["script"] == script]
    wrong = [(row["answer"], row["output"], row["hit"]) for row in rows if judged(row) is not row["hit"]]
    assert wrong == []


_TEXT = st.one_of(
    st.text(max_size=40), st.sampled_from([row["output"] for row in PAIRS] + [row["answer"] for row in PAIRS])
)


@settings(deadline=None, max_examples=150)
@given(question=_TEXT, answer=_TEXT, output=_TEXT)
def test_no_text_breaks_the_key(question: str, answer: str, output: str) -> None:
    judged({"question": question, "answer": answer, "aliases": [], "output": output})


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([row for row in PAIRS if row["hit"] is True]))
def test_an_answer_is_found_in_itself(row: dict[str, Any]) -> None:
    assert judged({**row, "output": row["answer"]}) in (True, None)
