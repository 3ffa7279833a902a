"""The machine formats with hostile texts in every place: the same structure as with harmless ones, and nothing acts."""

from __future__ import annotations

import csv
import io
import json
import re
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

from tests.golden import sample
from tests.report.test_report_hostile import HARMLESS, HOSTILE, poisoned, tokens, visible
from unlearn_audit.api.plugins import WRITERS, names
from unlearn_audit.api.writer import Needs
from unlearn_audit.evidence.observations import observation_frame
from unlearn_audit.report import Material, render, writer_named

KINDS = sorted(HOSTILE)
TEXTS = ("junit", "sarif", "every-eval-ever", "inspect", "model-card", "csv")  # the others are tested with the reports
FORMULA = re.compile(r"^[\s'\"]*$|^[^=+\-@\t\r＝＋－＠]")


@cache
def material(text: str) -> Material:
    """Everything of an audit, with the text in all its places."""
    row = {"dose_value": None, "score": 0.5, "twin_score": None, "placebo_score": None}
    named = dict.fromkeys(("dose", "probe", "measure", "variant", "fact_id", "missing"), text)
    frame = observation_frame([{**row, **named}, {**row, **named}])
    placed = frame.assign(role="unlearned", model=text, attack=text, seed=0, sham=False, subject=text, relation=text)
    return Material(result=poisoned(text), observations=lambda: placed)


@cache
def written(text: str, name: str) -> str | bytes:
    """The document, made once for all tests of it."""
    return render(material(text), name)


def shape(value: Any) -> Any:
    """What JSON is made of, without its texts."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXTS)
def test_no_text_format_holds_what_a_terminal_would_obey(name: str, kind: str) -> None:
    document = written(HOSTILE[kind], name)
    assert isinstance(document, str) and visible(document)


def test_every_format_is_tested_for_hostile_texts() -> None:
    figures = {"open-unlearning", "lm-eval", "eval-results"}  # they hold numbers and names of ours, in ASCII
    assert set(names(WRITERS)) == {*TEXTS, *figures, "json", "md", "html", "pdf", "parquet"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["sarif", "every-eval-ever", "inspect"])
def test_json_has_the_same_shape_and_is_ascii(name: str, kind: str) -> None:
    document = written(HOSTILE[kind], name)
    assert document.isascii()
    assert shape(json.loads(document)) == shape(json.loads(written(HARMLESS, name)))


@pytest.mark.parametrize("kind", KINDS)
def test_junit_has_the_same_elements(kind: str) -> None:
    def elements(text: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(each.tag, tuple(each.attrib)) for each in ElementTree.fromstring(text).iter()]

    document = written(HOSTILE[kind], "junit")
    assert document.isascii() and "<!" not in document
    assert elements(document) == elements(written(HARMLESS, "junit"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_card_has_one_head_and_the_same_structure(kind: str) -> None:
    def halves(text: str) -> tuple[Any, str]:
        _, head, body = re.split(r"(?m)^---\n", text, maxsplit=2)
        return yaml.safe_load(head), body

    head, body = halves(written(HOSTILE[kind], "model-card"))
    harmless_head, harmless_body = halves(written(HARMLESS, "model-card"))
    assert shape(head) == shape(harmless_head)
    assert not {"html_inline", "html_block", "link_open", "image", "fence", "hr"} & set(tokens(body))
    if HOSTILE[kind].strip():
        assert tokens(body) == tokens(harmless_body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_of_the_csv_is_a_formula(kind: str, separator: str) -> None:
    document = written(HOSTILE[kind], "csv")
    rows = list(csv.reader(io.StringIO(document), delimiter=separator))
    assert all(FORMULA.match(cell) for row in rows for cell in row)
    if separator == ",":
        assert [len(row) for row in rows] == [17, 17, 17]
        assert rows[1][rows[0].index("score")] == "0.5"


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_keeps_every_text_as_it_is(kind: str) -> None:
    kept = pd.read_parquet(io.BytesIO(written(HOSTILE[kind], "parquet")))
    assert list(kept["fact_id"]) == [HOSTILE[kind]] * 2


def test_a_subject_is_in_no_report_but_the_result_itself() -> None:
    # The result names facts and subjects by what the user called them; reports print neither.
    for name in names(WRITERS):
        writer = writer_named(name)
        if name != "json" and writer.needs is Needs.RESULT:
            assert "subject-07" not in str(writer.render(Material(result=sample.failed())))
