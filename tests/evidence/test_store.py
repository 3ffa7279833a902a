"""Evidence on disk: whole or absent, checked when read, shared between runs, the same in any order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.costs import CostRecord
from unlearn_audit.evidence.observations import evidence_digest, observation_frame
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.evidence.store import EvidenceStore, JobEvidence


def row(fact="f1", score=0.5, **other):
    return {
        "dose": "nf4",
        "dose_value": 4.0,
        "probe": "recall",
        "measure": "hit",
        "variant": "question",
        "fact_id": fact,
        "score": score,
        "twin_score": None,
        "missing": None if score is not None else "no answer",
        **other,
    }


def evidence(*rows):
    return JobEvidence(
        rows=rows, proof={"nf4": {"layers": 3}}, cost=CostRecord(seconds=1.5), about={"attack": "quantization"}
    )


def record(store, key, model="unlearned"):
    return JobRecord(
        key=key,
        attack="quantization",
        arm="nf4",
        role="unlearned",
        model=model,
        seed=0,
        status="done",
        seconds=1,
        observations=2,
        digest=store.about(key)["digest"],
    )


def test_what_is_put_comes_back(tmp_path):
    store = EvidenceStore(tmp_path / "run")
    assert not store.has("k")
    store.put("k", evidence(row("f2", None), row("f1", 0.25)))
    assert store.has("k")
    frame = store.gather([record(store, "k")])
    assert frame.fact_id.tolist() == ["f1", "f2"]
    assert frame.score.tolist()[0] == 0.25
    assert frame.score.isna().tolist() == [False, True]
    assert frame.missing.tolist()[1] == "no answer"
    assert set(frame.role) == {"unlearned"}
    assert store.about("k")["proof"] == {"nf4": {"layers": 3}}


def test_the_digest_sees_scores_and_not_order(tmp_path):
    store = EvidenceStore(tmp_path / "run")
    store.put("a", evidence(row("f1"), row("f2")))
    store.put("b", evidence(row("f2"), row("f1")))
    store.put("c", evidence(row("f2", 0.51), row("f1")))
    digests = [evidence_digest(store.gather([record(store, key)])) for key in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_changed_evidence_is_refused(tmp_path):
    store = EvidenceStore(tmp_path / "run")
    store.put("k", evidence(row()))
    observation_frame([row(score=0.9)]).to_parquet(tmp_path / "run" / "jobs" / "k" / "observations.parquet")
    with pytest.raises(AuditError, match="does not match its digest"):
        store.observations("k")
    (tmp_path / "run" / "jobs" / "k" / "observations.parquet").write_bytes(b"cut")
    with pytest.raises(AuditError, match="cannot be read"):
        store.observations("k")


def test_runs_share_jobs(tmp_path):
    first = EvidenceStore(tmp_path / "one", tmp_path / "shared")
    first.put("k", evidence(row()))
    second = EvidenceStore(tmp_path / "two", tmp_path / "shared")
    assert second.has("k")
    assert second.observations("k").equals(first.observations("k"))
    assert not second.has("other")


def test_a_job_that_another_process_wrote_meanwhile_is_no_error(tmp_path, monkeypatch):
    store = EvidenceStore(tmp_path / "run")
    store.put("k", evidence(row()))
    # The other process is done just after the old one was cleared away.
    monkeypatch.setattr("unlearn_audit.evidence.store.shutil.rmtree", lambda *_, **__: None)
    store.put("k", evidence(row("f1", 0.75)))
    assert store.observations("k")["score"].tolist() == [0.5]


def test_directories_are_their_owners_alone(tmp_path):
    EvidenceStore(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_a_write_that_is_killed_leaves_nothing_that_looks_done(tmp_path):
    """Kill -9 in the middle of writing a job: the job is not there, and the next run can write it."""
    program = f"""
        import os, signal
        import pandas as pd
        from unlearn_audit.evidence.store import JobEvidence, EvidenceStore
        pd.DataFrame.to_parquet = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        EvidenceStore(__import__('pathlib').Path({str(tmp_path / "run")!r})).put('k', JobEvidence(rows=[], proof={{}}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env={**os.environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    store = EvidenceStore(tmp_path / "run")
    assert not store.has("k")
    store.put("k", evidence(row()))
    assert store.has("k")
