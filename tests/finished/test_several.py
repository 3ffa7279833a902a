"""Finished runs in one table: the verdicts' own numbers, and every pair tested where the facts are shared."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_gate import FAULT
from tests.cli.test_gate import invoke as invoke  # the fixture
from tests.finished.finished_run import checkpoint, finished_run, small
from tests.golden import several_sample
from tests.report.test_report_hostile import HOSTILE, tokens, visible
from tests.verdict.test_verdict import LEAK, RECALL, subjects
from unlearn_audit.evidence.manifest import write_manifest
from unlearn_audit.finished.several import several
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.several.documents import FORMATS
from unlearn_audit.report.several.terminal import show
from unlearn_audit.verdict.several import Scale, SeveralRecord

AUDITS = {
    "clean": small,
    "leaks": lambda: small().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 30, 1)),
    "crashed": lambda: small().without(attack="quantization").but(faults=(FAULT,)),
}
SOME = ("ansi", "formula", "newline", "pipe", "script")
"""Kinds of hostile text for every day; `make test-all` tries all."""

TAG = re.compile(r"<[^>]+>")
DAMAGED = lambda: small().score(float("nan"), attack="relearning", role="unlearned")  # noqa: E731


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Runs of checkpoints of these names."""
    home = tmp_path_factory.mktemp("several")
    for place, (name, audit) in enumerate(AUDITS.items()):
        finished_run(home / "runs" / name, audit(), model=checkpoint(home / "models" / name, value=place))
    return home / "runs"


@pytest.fixture(scope="module")
def table(folder: Path) -> SeveralRecord:
    return several([folder])


def test_the_numbers_are_those_of_the_verdicts_and_a_folder_is_ranked(folder: Path, table: SeveralRecord) -> None:
    assert (table.ranked, table.scale, table.measure) == (True, Scale.RECOVERED, "recall.hit")
    assert [row.name for row in table.rows] == ["clean", "leaks", "crashed"]
    for row in table.rows:
        result = load_result(folder / row.name / "result.json")
        assert (row.outcome, row.utility) == (result.outcome, result.verdict.utility.unlearned)
        for one, finding in zip(
            sorted(row.measures, key=lambda one: one.finding),
            sorted(result.verdict.findings, key=lambda one: one.id),
            strict=True,
        ):
            assert (one.finding, one.status, one.recovered) == (finding.id, finding.status, finding.recovered)
            assert one.shown == (finding.worst.unlearned if finding.worst else None)
    worst = table.rows[1].worst
    assert worst is not None
    assert (worst.finding, worst.dose, worst.recovered) == (RECALL, "nf4", pytest.approx(0.5))
    assert [row.on_front for row in table.rows] == [True, False, False]
    assert [row.has_gaps for row in table.rows] == [False, False, True]  # on no front, and nobody is driven off by it


def test_an_attack_that_faulted_has_no_number_and_stops_nothing(table: SeveralRecord) -> None:
    crashed = table.rows[2]
    found = crashed.under("quantization", "recall.hit")
    assert found is not None and found.shown is None and crashed.faults == 1
    assert not any("crashed" in (one.leaks, one.other) for one in table.differences if one.finding == RECALL)


def test_pairs_are_tested_both_ways_with_holm_over_all(table: SeveralRecord) -> None:
    # Six ordered pairs by three attacks and utility; quantization of the crashed one is in none of its four.
    assert table.tests == len(table.differences) == 6 * 4 - 4
    proven = [one for one in table.differences if one.proven]
    assert [(one.leaks, one.other, one.finding) for one in proven] == [("leaks", "clean", RECALL)]
    assert proven[0].estimate == pytest.approx(0.5) and proven[0].lower < 0.5 < proven[0].upper
    assert proven[0].holm_p_value == pytest.approx(min(1.0, table.tests * proven[0].p_value))


def test_other_facts_are_not_tested_in_pairs_and_named_runs_keep_their_order(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder / "clean", tmp_path / "other")
    text = (other / "result.json").read_text(encoding="utf-8").replace("f" * 64, "e" * 64)
    (other / "result.json").write_text(text, encoding="utf-8")
    write_manifest(other)
    found = several([folder / "leaks", other])
    assert [row.name for row in found.rows] == ["leaks", "clean"] and not found.ranked
    assert (found.tests, found.differences) == (0, ())
    assert any("other forget sets" in note for note in found.notes)
    twice = several([folder / "clean", shutil.copytree(folder / "clean", tmp_path / "again")])
    assert [row.name for row in twice.rows] == ["clean [clean]", "clean [again]"]
    assert twice.rows[0].on_front and twice.rows[1].on_front  # neither beats the other


@pytest.mark.slow
def test_scores_that_are_missing_are_no_zero(folder: Path, tmp_path: Path) -> None:
    finished_run(tmp_path / "run", DAMAGED(), model=checkpoint(tmp_path / "damaged", value=7))
    found = several([folder / "clean", tmp_path / "run"])
    assert not any(one.finding.startswith("relearning/") for one in found.differences)


def test_the_command_writes_every_format_with_the_same_numbers(folder: Path, tmp_path: Path, invoke: Callable) -> None:
    wanted = [part for name in FORMATS for part in ("-f", f"{name}={tmp_path / name}")]
    code, out, _ = invoke("compare", folder, *wanted)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    documents = {name: (tmp_path / name).read_text(encoding="utf-8") for name in FORMATS}
    record = SeveralRecord.model_validate_json(documents["json"])
    table = list(csv.DictReader(io.StringIO(documents["csv"])))
    for row in record.rows:
        for one in row.measures:
            (line,) = [each for each in table if (each["checkpoint"], each["finding"]) == (row.name, one.finding)]
            for name in ("shown", "recovered", "lower", "upper"):
                value = getattr(one, name)
                assert line[name] == ("" if value is None else str(value))
        shown = [percent(row.worst.recovered if row.worst else None), percent(row.utility)]
        for name in ("md", "html"):
            text = documents[name].replace("\\", "") if name == "md" else unescape(TAG.sub(" ", documents[name]))
            assert re.search(rf"{row.name}.*?{row.outcome}.*?{shown[0]}.*?{shown[1]}", text, re.DOTALL)
        assert re.search(rf"{row.name} +{row.outcome} +{shown[0]} .* {shown[1]}", out)
    assert documents["svg"].startswith("<svg") and "50%!" in documents["svg"]
    assert 'http-equiv="refresh"' not in documents["html"] and "<script" not in documents["html"]


def test_what_cannot_be_compared_is_refused_with_what_to_do(folder: Path, tmp_path: Path, invoke: Callable) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = invoke("compare", tmp_path / "empty")
    assert code == 2 and "expected a run directory or a folder of finished runs" in err
    code, _, err = invoke("compare", folder, "--measure", "recal.hit")
    assert code == 2 and "did you mean 'recall.hit'" in err
    code, _, err = invoke("compare", folder, "-f", "csv", "-f", "json")
    assert code == 2 and "only one format" in err
    run = shutil.copytree(folder / "clean", tmp_path / "runs" / "one")
    (tmp_path / "runs" / "two").mkdir()
    (tmp_path / "runs" / "two" / "spec.yaml").write_text("checkpoint: x\n")
    code, out, _ = invoke("compare", tmp_path / "runs")
    assert code == 0 and "two:hasnotended" in "".join(out.split())  # wherever a long path makes it wrap
    (run / "result.json").write_text("{}")
    assert invoke("compare", tmp_path / "runs")[0] == 5


class Elements(HTMLParser):
    """Elements of a page with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


@cache
def harmless(name: str) -> str:
    return FORMATS[name](several_sample.record(("one", "two", "three", "four")))


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in SOME else pytest.mark.slow) for kind in sorted(HOSTILE)]
)
def test_a_hostile_name_is_text_in_every_format(kind: str) -> None:
    text = f"a{HOSTILE[kind]}1"
    record = several_sample.record((text, "two", "three", "four"))
    documents = {name: FORMATS[name](record) for name in ("html", "md", "csv", "json")}
    assert all(map(visible, documents.values()))
    assert Elements(documents["html"]).found == Elements(harmless("html")).found
    assert tokens(documents["md"]) == tokens(harmless("md"))
    assert json.loads(documents["json"])["rows"][0]["name"] == text and documents["json"].isascii()
    rows = list(csv.reader(io.StringIO(documents["csv"])))
    assert {len(row) for row in rows} == {len(rows[0])} and len(rows) == harmless("csv").count("\n")
    assert not any(row[1].startswith(("=", "+", "-", "@")) for row in rows)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    show(record, console)
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]
