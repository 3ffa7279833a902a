"""A run that version 0.1.0 wrote (`old_run`), and specs that use old names: read as ever, with a notice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from unlearn_audit.errors import Notice
from unlearn_audit.evidence.old_names import OldName, asked_as, current, renamed
from unlearn_audit.finished.redecide import redecide
from unlearn_audit.plan.make import make_plan
from unlearn_audit.report.formats import json as as_json
from unlearn_audit.spec.policy import Policy, Population
from unlearn_audit.spec.selectors import covers
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Outcome

OLD = Path(__file__).with_name("old_run")


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_a_run_of_an_older_version_is_decided_again_with_the_same_numbers(old_run):
    written = json.loads((old_run / "result.json").read_text())
    assert "cells" in written
    with pytest.warns(Notice) as told:
        result = redecide(old_run)
    assert any("an older version of the rules decided this run" in str(one.message) for one in told)
    assert any("an older version wrote this run" in str(one.message) for one in told)
    assert result.outcome is Outcome(written["outcome"])
    assert result.evidence_digest == written["evidence_digest"]
    assert result.policy_digest == written["policy_digest"]
    with pytest.warns(Notice):  # the same rule as then
        result = redecide(old_run, result.policy.model_copy(update={"population": Population.SAMPLE}))
    old, new = written["verdict"]["findings"], result.verdict.findings
    assert [one["id"].replace("none/", "as-is/") for one in old] == [one.id for one in new]
    assert [one["status"] for one in old] == [one.status for one in new]
    assert [one["bound"] for one in old] == [pytest.approx(one.bound) if one.bound is not None else None for one in new]
    assert {job.attack for job in result.jobs} == {"as-is"}


def test_a_run_of_an_older_version_that_was_edited_is_refused(old_run):
    path = old_run / "cells"
    victim = sorted(path.glob("*/observations.parquet"))[0]
    victim.write_bytes(sorted(path.glob("*/observations.parquet"))[1].read_bytes())
    with pytest.raises(Exception, match=r"observations\.parquet"), pytest.warns(OldName):
        redecide(old_run, sealed=False)


@pytest.mark.parametrize(
    ("old", "new"),
    [("none", "as-is"), ("none/recall", "as-is/recall"), ("none.recall.hit", "as-is.recall.hit"), ("none*", "none*")],
)
def test_an_old_name_is_read_as_the_new_one(old, new):
    if old == new:
        assert current(old) == new
        return
    with pytest.warns(OldName, match="'none' is now called 'as-is'"):
        assert current(old) == new


def test_a_policy_and_a_selector_may_use_the_old_name(old_run):
    with pytest.warns(Notice):
        finding = redecide(old_run).verdict.findings[0]
    with pytest.warns(OldName):
        assert covers("none/recall", finding)
    policy = Policy.model_validate({"must_have_power": {"open-weights": ["none/recall"]}})
    with pytest.warns(OldName):
        result = redecide(old_run, policy)
    assert not any("which is not planned" in reason for reason in result.verdict.reasons)


def test_a_spec_with_the_old_name_plans_the_same_jobs(spec_of_demo):
    with pytest.warns(OldName):
        old = make_plan(spec_of_demo({"none": {}}))
    new = make_plan(spec_of_demo({"as-is": {}}))
    assert [job.key for job in old.plan.jobs] == [job.key for job in new.plan.jobs]
    assert {job.attack for job in old.plan.jobs} == {"as-is"}


@pytest.fixture
def spec_of_demo():
    from unlearn_audit.demo import organism_spec

    def made(attacks) -> AuditSpec:
        return organism_spec("npo").model_copy(update={"attacks": attacks})

    return made


def test_a_result_is_written_under_the_names_that_its_spec_used_and_read_back(old_run, tmp_path):
    with pytest.warns(Notice):
        result = redecide(old_run)
    asked = result.model_copy(update={"asked_as": asked_as({"none": {}})})
    text = as_json.render(asked)
    assert '"id": "none/recall.hit"' in text
    assert "as-is/recall" not in json.dumps(json.loads(text)["verdict"])
    (tmp_path / "result.json").write_text(text)
    assert as_json.load_result(tmp_path / "result.json") == asked
    assert '"id": "as-is/recall.hit"' in as_json.render(result)


def test_renaming_touches_names_of_attacks_alone():
    value = {
        "attack": "none",
        "why": "none of it; see none/recall.hit and /none/x",
        "policy": {"must_have_power": ["none/recall"]},
        "plants": {"none": ["a"], "other": []},
        "none": ["none"],
    }
    assert renamed(value, {"none": "as-is"}) == {
        "attack": "as-is",
        "why": "none of it; see as-is/recall.hit and /none/x",
        "policy": {"must_have_power": ["none/recall"]},
        "plants": {"as-is": ["a"], "other": []},
        "none": ["none"],
    }
