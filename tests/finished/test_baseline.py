"""A newer audit against an older one: what got worse fails, by a paired test on what both have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.cli.test_gate import write_waivers
from tests.finished.finished_run import finished_run, small
from tests.verdict.test_verdict import LEAK, POLICY, RECALL, Audit, subjects
from unlearn_audit.errors import AuditError
from unlearn_audit.finished.baseline import compared
from unlearn_audit.finished.redecide import observations_of
from unlearn_audit.verdict.changes import BaselineRecord, Change, Direction


def changed(tmp_path: Path, old: Audit, new: Audit) -> BaselineRecord:
    older = finished_run(tmp_path / "old", old)
    newer = finished_run(tmp_path / "new", new)
    return compared(observations_of(tmp_path / "new", newer), newer, observations_of(tmp_path / "old", older), older)


def of(record: BaselineRecord, finding: str) -> Change:
    return next(one for one in record.changes if one.finding == finding)


def lenient() -> Audit:
    """A leak of 12 of 60 subjects, in one cell."""
    return small().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 12, 1))


def test_numbers_by_hand(tmp_path: Path) -> None:
    record = changed(tmp_path, small(), lenient())
    one = of(record, RECALL)
    assert (one.dose, one.variant, one.old, one.new) == ("nf4", "question", 0.0, pytest.approx(0.2))
    assert one.estimate == pytest.approx(0.2)
    assert one.lower < 0.2 < one.upper
    assert (one.subjects, one.facts, one.direction) == (60, 60, Direction.WORSE)
    # Holm over seven findings and utility, four cells to pick from.
    assert one.holm_p_value is not None and one.holm_p_value == pytest.approx(min(1.0, 8 * one.p_value))
    assert {other.direction for other in record.changes if other is not one} == {Direction.OPEN}
    back = changed(tmp_path / "back", small().score(1.0, **LEAK), small().score(0.0, **LEAK))
    assert (of(back, RECALL).estimate, of(back, RECALL).direction) == (pytest.approx(0.0), Direction.OPEN)


def test_what_fell_in_every_cell_is_better(tmp_path: Path) -> None:
    leaks = {"role": "unlearned", "attack": "quantization", "probe": "recall"}
    record = changed(tmp_path, small().score(1.0, **leaks), small())
    assert of(record, RECALL).direction is Direction.BETTER
    assert record.worse() == ()


def test_lost_utility_is_worse(tmp_path: Path) -> None:
    record = changed(tmp_path, small(), small().score(0.0, role="unlearned", probe="utility"))
    one = of(record, "utility")
    assert (one.old, one.new, one.direction) == (1.0, 0.0, Direction.WORSE)
    assert one.lower <= one.estimate == pytest.approx(-1.0)
    assert one.upper < 0


def test_only_what_both_have_is_compared_and_the_rest_is_said(tmp_path: Path) -> None:
    old = small().but(planned=small().case.planned[:-2])
    new = small(40).without(dose="int8")
    record = changed(tmp_path, old, new)
    assert of(record, "as-is/recall.hit").subjects == 40
    assert any(note.startswith("not in the baseline: ") for note in record.notes)
    assert of(record, RECALL).dose == "nf4"


def quantized_to(dose: str) -> Audit:
    """The clean audit with one dose of its quantization."""
    audit = small()
    return audit.without(attack="quantization", dose=[other for other in ("nf4", "int8") if other != dose])


def test_a_finding_without_a_dose_in_common_is_named_with_both(tmp_path: Path, invoke) -> None:
    record = changed(tmp_path, quantized_to("nf4"), quantized_to("int8"))
    named = [note for note in record.notes if note.startswith("not comparable: ")]
    assert named == [
        f"not comparable: quantization/{one}: no dose in common (doses then: nf4; now: int8)"
        for one in ("recall.hit", "forced-choice.probability")
    ]
    assert {one.finding.partition("/")[0] for one in record.changes} == {"as-is", "relearning", "utility"}
    for command in (
        ("gate", tmp_path / "new", "--baseline", tmp_path / "old"),
        ("compare", tmp_path / "new", "--baseline", tmp_path / "old"),
    ):
        code, out, _ = invoke(*command)
        assert code == (3 if command[0] == "gate" else 0)  # int8 and NF4 are required, and one of them is absent
        assert "quantization/recall.hit: no dose in common" in " ".join(out.split())


def test_doses_without_a_score_in_both_are_not_compared_with_zero(tmp_path: Path) -> None:
    old = small().score(float("nan"), role="unlearned", attack="relearning", probe="recall")
    record = changed(tmp_path, old, small())
    assert not any(one.finding == "relearning/recall.hit" for one in record.changes)
    why = "not comparable: relearning/recall.hit: no fact with a score in both (doses then: lora; now: lora)"
    assert why in record.notes


def test_utility_that_only_one_run_measured_is_said(tmp_path: Path) -> None:
    record = changed(tmp_path, small().without(probe="utility"), small())
    assert "not comparable: utility: no dose in common (doses then: none; now: plain)" in record.notes


def test_runs_with_nothing_in_common_are_refused_with_the_doses(tmp_path: Path) -> None:
    old = small()
    old.frame["dose"] = old.frame["dose"] + "-old"
    with pytest.raises(AuditError, match=r"as-is/recall\.hit: no dose in common \(doses then: plain-old; now: plain\)"):
        changed(tmp_path, old, small())


def test_the_gate_fails_on_what_got_worse(tmp_path: Path, invoke) -> None:
    lax = POLICY.model_copy(update={"margin": 0.5})
    finished_run(tmp_path / "old", small(), lax)
    finished_run(tmp_path / "new", lenient(), lax)
    assert invoke("gate", tmp_path / "new")[0] == 0
    text = tmp_path / "r.md"
    code, out, err = invoke("gate", tmp_path / "new", "--baseline", tmp_path / "old", "--json", "-f", f"md={text}")
    assert code == 1
    said = json.loads(out)
    assert said["outcome"] == "FAIL" and said["exit_code"] == 1
    assert said["verdict"]["sentence"].startswith(
        f"FAIL: {RECALL}: worse than the baseline at nf4, question: 0.00 then"
    )
    assert "1 worse, 0 better of 8 deciding readings" in " ".join(err.split())
    assert "Changes since the baseline" in text.read_text()
    assert invoke("gate", tmp_path / "old", "--baseline", tmp_path / "new")[0] == 0
    waivers = write_waivers(tmp_path / "w.yaml", tmp_path / "new")
    both = ("--baseline", tmp_path / "old", "--waivers", waivers)
    assert invoke("gate", tmp_path / "new", *both)[0] == 1  # it has passed, so that there is nothing to waive
    assert invoke("gate", tmp_path / "new", "--baseline", tmp_path)[0] == 2
    (tmp_path / "old" / "result.json").write_text("{}")
    assert invoke("gate", tmp_path / "new", "--baseline", tmp_path / "old")[0] == 5


def test_compare_shows_a_table_of_80_columns_and_writes_the_plot(tmp_path: Path, invoke) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m|`"
    finished_run(tmp_path / "old", small())
    new = lenient()
    new.frame["dose"] = new.frame["dose"].astype(str)
    finished_run(tmp_path / "new", new)
    outs = {kind: tmp_path / f"c.{kind}" for kind in ("html", "svg", "md")}
    wanted = [part for kind, path in outs.items() for part in ("-f", f"{kind}={path}")]
    code, out, _ = invoke("compare", tmp_path / "new", "--baseline", tmp_path / "old", *wanted)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "1 worse and 0 better, of 8 deciding readings." in out
    page, drawn, text = (path.read_text() for path in outs.values())
    assert "<svg" in page and "<script" not in page and hostile not in page
    assert RECALL in page
    assert drawn.startswith("<svg") and "--failed:" in drawn
    assert "| worse |" in text
    assert invoke("compare", tmp_path / "old", tmp_path / "new", "-f", f"png={tmp_path / 'c.png'}")[0] == 2
