"""A finished audit in Python: what is on disk as tables, figures and reports, without torch."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pandas as pd
import pytest

import unlearn_audit as ua
from tests.finished.finished_run import finished_run, small
from tests.golden import sample
from unlearn_audit.errors import IntegrityError
from unlearn_audit.report.formats import figure, notebook
from unlearn_audit.testing.documents import HOSTILE, sample_material


@pytest.fixture(scope="module")
def audit(tmp_path_factory) -> ua.Audit:
    run = tmp_path_factory.mktemp("handle") / "run"
    first = next(iter(small().case.subjects))
    finished_run(run, small().but(relations={first: "born_in"}))
    return ua.load(run)


def test_findings_and_cells_say_what_the_result_says(audit):
    findings = audit.verdict.findings
    assert list(audit.findings["finding"]) == [one.id for one in findings]
    assert list(audit.findings["status"]) == [one.status.value for one in findings]
    for one, row in zip(findings, audit.findings.itertuples(), strict=True):
        assert row.bound == pytest.approx(one.bound) if one.bound is not None else pd.isna(row.bound)
        if one.worst is not None:
            assert (row.checkpoint, row.excess) == (one.worst.unlearned, one.worst.excess.estimate)
            assert row.control == pytest.approx(sum(one.worst.controls.values()) / len(one.worst.controls))
    assert len(audit.cells) == sum(len(one.cells) for one in findings)


def test_an_observation_says_whom_it_is_about_here_and_in_the_exports(audit, tmp_path):
    table, case = audit.observations, audit.result.case
    forget = table[table["probe"] != "utility"]
    assert forget["subject"].equals(forget["fact_id"].map(case.subjects))
    assert set(forget["relation"].dropna()) == {"born_in"}
    retain = table[table["probe"] == "utility"]
    assert retain["subject"].equals(retain["fact_id"].map(case.retain_subjects)) and retain["relation"].isna().all()
    exported = pd.read_parquet(audit.report(tmp_path / "o.parquet"))
    pd.testing.assert_frame_equal(exported, table, check_dtype=False)
    assert list(pd.read_csv(audit.report(tmp_path / "o.csv"))["subject"]) == list(table["subject"])


def test_a_report_is_named_by_its_ending_or_by_its_format(audit, tmp_path):
    assert audit.report(tmp_path / "r.md").read_text().startswith("# Unlearning audit of")
    assert audit.report(tmp_path, "junit") == tmp_path / "junit.xml"
    with pytest.raises(ua.AuditError, match="format='model-card'"):
        audit.report(tmp_path / "r.docx")
    with pytest.raises(ua.AuditError, match="nowhere is not a directory; create it first"):
        audit.report(tmp_path / "nowhere" / "r.md")


def test_the_evidence_is_decided_again_by_another_policy_and_disk_stays_as_it_is(audit):
    before = (audit.run / "result.json").read_bytes()
    again = audit.gate(audit.result.policy.model_copy(update={"margin": 0.5}))
    assert again.result.policy.margin == 0.5
    assert again.result.policy_digest != audit.result.policy_digest
    assert audit.gate({"margin": 0.5}).result.policy == audit.gate(ua.Policy(margin=0.5)).result.policy
    with pytest.raises(ua.AuditError, match="did you mean 'margin'"):
        audit.gate({"margins": 0.5})
    assert (audit.run / "result.json").read_bytes() == before


def test_changed_evidence_is_refused(tmp_path):
    finished_run(tmp_path, small())
    victim = sorted(tmp_path.glob("jobs/*/observations.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-10])
    with pytest.raises(IntegrityError):
        _ = ua.load(tmp_path).observations


def test_what_cannot_be_loaded_says_what_to_do(audit, tmp_path):
    with pytest.raises(ua.AuditError, match="there is none; check the path"):
        ua.load(tmp_path / "nowhere")
    with pytest.raises(ua.AuditError, match=r"has no result.json; check the path"):
        ua.load(tmp_path)
    with pytest.raises(ua.AuditError, match="load one of its folders: run"):
        ua.load(audit.run.parent)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(ua.AuditError, match="has not ended; call the same"):
        ua.load(tmp_path)


def test_an_audit_says_in_one_line_what_it_is(audit):
    assert repr(audit).startswith(f"<Audit {audit.run}: {audit.outcome}. ") and len(repr(audit)) < 300


def test_a_figure_is_a_file_of_its_own(tmp_path):
    drawn = figure.one_figure(sample.failed(), "forest")
    text = drawn.save(tmp_path / "forest.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and "var(--" not in text  # every color is said
    assert "#b91c2b" in text and drawn.caption in drawn._repr_html_() and "<svg" not in repr(drawn)
    with pytest.raises(ua.AuditError, match=r"a figure is an SVG file; name it forest\.svg"):
        drawn.save(tmp_path / "forest.png")
    with pytest.raises(ua.AuditError, match="create it first"):
        drawn.save(tmp_path / "nowhere" / "forest.svg")
    panels = figure.one_figure(sample.failed(), "doses")
    assert len(ElementTree.fromstring(panels.svg).findall("{http://www.w3.org/2000/svg}svg")) >= 1
    with pytest.raises(ua.AuditError, match="did you mean 'forest'"):
        figure.one_figure(sample.failed(), "forst")
    with pytest.raises(ua.AuditError, match="nothing to draw"):
        figure.one_figure(sample.failed(), "roc")


def test_a_notebook_shows_the_verdict_and_runs_nothing_that_a_text_holds():
    shown = notebook.render(sample.failed())
    deciding = [one for one in sample.failed().verdict.findings if one.gates]
    assert "FAIL" in shown and shown.count("<tr>") == len(deciding) + 1
    ElementTree.fromstring(shown)
    assert HOSTILE in sample_material().result.verdict.sentence
    hostile = notebook.render(sample_material().result)
    assert "<script" not in hostile and "\x1b" not in hostile and "&lt;script&gt;" in hostile


def test_the_import_loads_nothing_and_a_finished_run_needs_no_torch(audit):
    code = f"""
import sys
class Block:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "transformers", "datasets", "accelerate"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import unlearn_audit as ua
assert not {{"pandas", "numpy", "pydantic", "rich", "yaml"}} & set(sys.modules), sorted(sys.modules)
audit = ua.load({str(audit.run)!r})
import unlearn_audit.plan.case
assert callable(ua.plan) and callable(ua.load)  # a room that is loaded does not take a function's place
print(audit.outcome, len(audit.findings), len(audit._repr_html_()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(audit.outcome.value)
