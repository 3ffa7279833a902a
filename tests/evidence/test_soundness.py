"""Damaged jobs: never used, never a crash; set aside in the run, replaced in a shared store."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from tests.evidence.test_store import evidence, row
from unlearn_audit.errors import Notice, SpecError
from unlearn_audit.evidence.observations import observation_frame
from unlearn_audit.evidence.store import EvidenceStore


def _edited(job):
    about = job / "job.json"
    about.write_text(about.read_text().replace('"layers": 3', '"layers": 4'))


def _pipe(job):
    (job / "job.json").unlink()
    os.mkfifo(job / "job.json")


def _file(job):
    shutil.rmtree(job)
    job.write_text("not a job")


DAMAGE = {
    "job.json cut": lambda job: (job / "job.json").write_bytes((job / "job.json").read_bytes()[:-9]),
    "job.json edited": _edited,
    "job.json empty": lambda job: (job / "job.json").write_text(""),
    "job.json of another kind": lambda job: (job / "job.json").write_text("[]"),
    "job.json nested": lambda job: (job / "job.json").write_text("[" * 100_000),
    "job.json binary": lambda job: (job / "job.json").write_bytes(b"\xff\xfe\x00"),
    "job.json gone": lambda job: (job / "job.json").unlink(),
    "job.json a pipe": _pipe,
    "table cut": lambda job: (job / "observations.parquet").write_bytes(b"PAR1"),
    "table of other scores": lambda job: observation_frame([row(score=0.9)]).to_parquet(job / "observations.parquet"),
    "table of other columns": lambda job: observation_frame([row()])[["score"]].to_parquet(
        job / "observations.parquet"
    ),
    "table gone": lambda job: (job / "observations.parquet").unlink(),
    "a file": _file,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_job_is_set_aside_with_a_notice_and_can_be_run_again(tmp_path, how):
    EvidenceStore(tmp_path / "run").put("k", evidence(row()))
    DAMAGE[how](tmp_path / "run" / "jobs" / "k")
    store = EvidenceStore(tmp_path / "run")
    with pytest.warns(Notice, match=r"jobs/k: is damaged \(.*\); it was moved to .*damaged/k and runs again") as said:
        assert not store.has("k")
    assert len(said) == 1
    assert (tmp_path / "run" / "damaged" / "k").exists()
    store.put("k", evidence(row()))
    assert EvidenceStore(tmp_path / "run").has("k")


def test_jobs_that_are_damaged_twice_are_all_kept(tmp_path):
    for _ in range(3):
        EvidenceStore(tmp_path / "run").put("k", evidence(row()))
        DAMAGE["table cut"](tmp_path / "run" / "jobs" / "k")
        with pytest.warns(Notice):
            assert not EvidenceStore(tmp_path / "run").has("k")
    assert sorted(path.name for path in (tmp_path / "run" / "damaged").iterdir()) == ["k", "k.1", "k.2"]


def test_a_job_under_the_name_of_another_is_damaged(tmp_path):
    EvidenceStore(tmp_path / "run").put("k", evidence(row()))
    (tmp_path / "run" / "jobs" / "k").rename(tmp_path / "run" / "jobs" / "renamed")
    with pytest.warns(Notice, match="not what was written"):
        assert not EvidenceStore(tmp_path / "run").has("renamed")


@pytest.mark.parametrize("how", ["edited", "features cut", "features gone"])
def test_damaged_notes_and_features_are_set_aside_as_well(tmp_path, how):
    store = EvidenceStore(tmp_path / "run")
    store.put_note("note", {"rate": 1.5})
    store.put_arrays("features", {"x": np.arange(3)}, {"seconds": 0.0})
    assert (store.note("note"), store.about("features")["seconds"]) == ({"rate": 1.5}, 0.0)
    jobs = tmp_path / "run" / "jobs"
    if how == "edited":
        (jobs / "note" / "job.json").write_text((jobs / "note" / "job.json").read_text().replace("1.5", "2.5"))
    elif how == "features cut":
        (jobs / "features" / "features.npz").write_bytes(b"PK")
    else:
        (jobs / "features" / "features.npz").unlink()
    again = EvidenceStore(tmp_path / "run")
    with pytest.warns(Notice):
        assert [again.has("note"), again.has("features")] == [how != "edited", how == "edited"]
    assert (again.note("note") is None) == (how == "edited")


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_job_of_the_shared_store_is_not_used_and_replaced(tmp_path, how):
    EvidenceStore(tmp_path / "one", tmp_path / "shared").put("k", evidence(row()))
    DAMAGE[how](tmp_path / "shared" / "k")
    store = EvidenceStore(tmp_path / "two", tmp_path / "shared")
    with pytest.warns(Notice, match=r"shared/k: is damaged \(.*\); it is not used"):
        assert [store.has("k"), store.has("k")] == [False, False]
    assert not (tmp_path / "two" / "jobs" / "k").exists()
    store.put("k", evidence(row()))
    third = EvidenceStore(tmp_path / "three", tmp_path / "shared")
    assert third.has("k")
    assert third.observations("k").equals(store.observations("k"))


def test_modes_of_a_shared_job_are_not_copied(tmp_path):
    EvidenceStore(tmp_path / "one", tmp_path / "shared").put("k", evidence(row()))
    (tmp_path / "shared" / "k" / "job.json").chmod(0o644)
    former = os.umask(0o077)
    try:
        assert EvidenceStore(tmp_path / "two", tmp_path / "shared").has("k")
    finally:
        os.umask(former)
    assert (tmp_path / "two" / "jobs" / "k" / "job.json").stat().st_mode & 0o077 == 0


def test_what_a_killed_run_left_in_a_shared_store_is_removed_once_it_is_old(tmp_path):
    old, young = (tmp_path / "shared" / f".writing-{name}" for name in ("old", "young"))
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (1, 1))
    EvidenceStore(tmp_path / "run", tmp_path / "shared")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_store_that_is_a_file_is_a_wrong_request(tmp_path):
    (tmp_path / "shared").touch()
    with pytest.raises(SpecError, match="shared: expected a directory"):
        EvidenceStore(tmp_path / "run", tmp_path / "shared")
