"""`run` with several checkpoints: all planned first, each in its folder, one failure stops no other, then a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from tests.finished.finished_run import checkpoint, finished_run, small
from tests.verdict.test_verdict import LEAK
from unlearn_audit.cli.commands import run_several
from unlearn_audit.cli.commands.run_several import audit_each
from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.plan import budget

AUDITS = {"clean": small, "leaks": lambda: small().score(1.0, **LEAK)}


@pytest.fixture
def audits(tmp_path, monkeypatch):
    """Runs audits that were made up; gives the stores that they were handed, and stands for the exit code."""
    stores: list[Path] = []
    planned: list[str] = []
    monkeypatch.setattr(budget, "plan_within", lambda spec, out: planned.append(out.name) or spec)

    def audit(live, out: Path, store: Path):
        assert len(planned) == len(names)  # all are planned before the first runs
        stores.append(store)
        if out.name == "lost":
            raise AuditError("the model cannot be loaded")
        if out.name == "changed":
            raise IntegrityError("a file changed")
        return finished_run(out, AUDITS[out.name](), model=checkpoint(tmp_path / "models" / out.name))

    names: list[str] = []

    def call(*asked: str, store: Path | None = None, json: bool = False) -> int:
        names[:] = asked
        planned.clear()
        with pytest.raises(typer.Exit) as left:
            audit_each(dict.fromkeys(asked), tmp_path / "out", store, audit, json=json)  # type: ignore[arg-type]
        return left.value.exit_code

    call.stores = stores  # type: ignore[attr-defined]
    return call


def test_one_that_cannot_be_audited_stops_no_other_and_the_most_severe_outcome_counts(audits, tmp_path, capsys):
    assert audits("lost", "leaks", "clean") == 1
    out, err = capsys.readouterr()
    assert "error: lost: the model cannot be loaded" in err and "checkpoint 3 of 3: clean" in err
    assert "1 of 2 checkpoints passed." in out
    assert set(audits.stores) == {tmp_path / "out" / "store"}
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    table = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [(row["name"], row["outcome"]) for row in table["rows"]] == [("leaks", "FAIL"), ("clean", "PASS")]
    assert all((tmp_path / "out" / f"compare.{name}").is_file() for name in ("html", "md", "csv"))


@pytest.mark.slow
def test_the_exit_code_is_that_of_the_most_severe_outcome(audits):
    assert (audits("clean"), audits("lost", "clean"), audits("changed", "leaks")) == (0, 4, 5)


def test_json_is_the_table_and_nothing_else(audits, tmp_path, capsys):
    assert audits("clean", store=tmp_path / "mine", json=True) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["clean"]
    assert audits.stores == [tmp_path / "mine"]


def test_a_run_is_no_folder_of_runs(tmp_path):
    finished_run(tmp_path / "run", small())
    with pytest.raises(SpecError, match="holds one audit"):
        audit_each({"a": None}, tmp_path / "run", None, lambda *_: None, json=False)  # type: ignore[arg-type,dict-item,return-value]
    assert run_several.STORE == "store"
