"""What a plan knows of its measures before the run: who can be scored, and how often a guess is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.audit.outlooks import outlook_lines
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec

PROBES = {"recall": {}, "forced-choice": {}, "perturbed": {}, "extraction-strength": {}}
WORDS = ("harbour", "lantern", "ferry", "island", "winter", "market", "bridge", "orchard", "engine", "letter")


def asked(number: int, **changes: object) -> dict[str, object]:
    name = f"Ada{number} Mann{number}"
    plain = {"id": f"q{number}", "subject": name, "question": f"Where was {name} born?", "answer": f"Town{number}"}
    return plain | changes


def about(spec: AuditSpec, rows: list[dict[str, object]]):
    Path(spec.forget).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return make_plan(spec.model_copy(update={"probes": PROBES, "comparisons": {}}))


def test_facts_without_a_relation_are_told_before_the_run_and_get_options_by_their_question(spec):
    live = about(spec, [asked(number) for number in range(40)])
    lines = outlook_lines(live)
    assert "40 of 40 facts have no `relation`, and 40 of these no `aliases`" in lines[0]
    assert any(
        line.startswith("forced-choice.top1: guessing scores 3.2 %") and "for 40 of 40" in line for line in lines
    )
    assert list(live.case.levels["forced-choice.top1"].values()) == pytest.approx([1 / 31] * 40, abs=1e-6)
    known = about(spec, [asked(number, relation="born", aliases=[f"Town{number}"]) for number in range(5)])
    assert not any("relation" in line for line in outlook_lines(known))
    assert any("guessing scores 20 %" in line and "for 0 of 5" in line for line in outlook_lines(known))


def test_what_can_score_nothing_is_not_planned_and_said(spec):
    alone = [asked(number, question=f"Who won the {number}th of Ada{number}?") for number in range(12)]
    live = about(spec, alone)
    assert {one.measure for one in live.case.planned if one.probe == "forced-choice"} == set()
    assert {one.measure for one in live.case.planned if one.probe == "perturbed"} == {"answer", "answer_top1"}
    (left,) = [one for one in live.case.left_out if one.what.startswith("forced-choice")]
    assert left.what == "forced-choice.probability"
    assert "no other subject is asked the same" in left.why


def test_a_mixed_set_names_by_measure_whom_it_is_not_about(spec):
    books = [{"id": f"b{n}", "text": " ".join(WORDS[(n + at) % 10] for at in range(40))} for n in range(3)]
    live = about(spec, [*(asked(number) for number in range(4)), *books])
    assert live.case.unscorable["recall.hit"] == ("b0", "b1", "b2")
    assert live.case.unscorable["extraction-strength.passage_share"] == ("q0", "q1", "q2", "q3")
    assert set(live.case.levels["perturbed.passage_top1"]) == {"b0", "b1", "b2"}
    assert not any(one.what.startswith("recall") for one in live.case.left_out)
    assert [line for line in outlook_lines(live) if "cannot score" in line] == []
