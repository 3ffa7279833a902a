"""One directory holds one request: another is refused by its keys, unless it may replace the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.run.test_runner import planned
from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.audit.hops import audit, audit_shard
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import IntegrityError, Notice, SpecError
from unlearn_audit.run.claim import refuse_foreign
from unlearn_audit.run.executors.shard import Shard
from unlearn_audit.run.text_policy import KeptText

QUIET = Quiet(Console(stderr=True))
FORMATS = ("json",)


def ran(spec, out: Path, **how):
    return audit(planned(spec), out, QUIET, formats=FORMATS, **how)


def test_the_same_request_resumes_and_another_is_refused_with_its_keys(tmp_path, spec) -> None:
    out = tmp_path / "run"
    first = ran(spec, out)
    before = (out / "result.json").read_bytes()
    assert ran(spec, out).evidence_digest == first.evidence_digest
    policy = spec.policy.model_copy(update={"margin": 0.2})
    for other, keys in (
        ({"policy": policy}, "policy.margin"),
        ({"policy": policy, "seed": 1}, "seed, policy.margin"),
        ({"models": spec.models.model_copy(update={"dtype": "float32"})}, "models.dtype"),
        ({"attacks": {"as-is": {}, "noise": {}}}, "attacks.noise"),
    ):
        with pytest.raises(SpecError, match=rf"differs in {keys}; give another --out, or --overwrite"):
            ran(spec.model_copy(update=other), out)
    assert json.loads((out / "result.json").read_text())["policy_digest"] == json.loads(before)["policy_digest"]
    download = spec.models.model_copy(update={"download": True})
    assert ran(spec.model_copy(update={"models": download}), out).evidence_digest == first.evidence_digest


def test_overwrite_replaces_the_result_and_keeps_valid_jobs(tmp_path, spec) -> None:
    out = tmp_path / "run"
    ran(spec, out, text=KeptText.NONE)
    (out / "attestation.json").write_text("{}")
    stricter = spec.model_copy(update={"policy": spec.policy.model_copy(update={"margin": 0.05})})
    with pytest.warns(Notice, match=r"the former result is replaced; 2 of 2 jobs are still valid and kept"):
        result = ran(stricter, out, overwrite=True)
    assert result.policy.margin == 0.05
    assert not (out / "attestation.json").exists()
    with pytest.warns(Notice, match=r"0 of 2 jobs are still valid"):
        ran(spec.model_copy(update={"seed": 7}), out, overwrite=True)


def test_facts_that_changed_under_the_same_name_are_an_integrity_error(tmp_path, spec) -> None:
    out, facts = tmp_path / "run", Path(spec.forget)
    ran(spec, out)
    facts.write_text(facts.read_text().replace("N1", "N2"))
    with pytest.raises(IntegrityError, match="forget changed on disk since this run was planned"):
        ran(spec, out)
    with pytest.warns(Notice, match="0 of 2 jobs"):
        ran(spec, out, overwrite=True)


def test_a_part_is_not_another_part_nor_the_whole(tmp_path, spec) -> None:
    out = tmp_path / "run"
    one, two = (Shard(number=number, count=2) for number in (1, 2))
    audit_shard(planned(spec), out, QUIET, one)
    audit_shard(planned(spec), out, QUIET, one)
    with pytest.raises(SpecError, match="differs in shard"):
        audit_shard(planned(spec), out, QUIET, two)
    with pytest.raises(SpecError, match="differs in shard"):
        ran(spec, out)
    with pytest.raises(SpecError, match=r"differs in seed, shard"):
        audit_shard(planned(spec.model_copy(update={"seed": 1})), out, QUIET, two)
    with pytest.warns(Notice, match="1 of 2 jobs are still valid"):
        ran(spec, out, overwrite=True)


def test_a_request_that_cannot_be_read_is_refused(tmp_path, spec) -> None:
    out = tmp_path / "run"
    ran(spec, out)
    (out / "spec.yaml").write_text("checkpoint: [")
    with pytest.raises(SpecError, match="holds an audit whose request cannot be read"):
        ran(spec, out)


@pytest.mark.parametrize("left", [(".lock",), (".lock", "jobs/"), (".lock", "jobs/", ".writing-x", ".scratch/")])
def test_a_run_that_was_killed_before_it_wrote_its_request_is_begun_again(tmp_path, left) -> None:
    for name in left:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    refuse_foreign(tmp_path)
    (tmp_path / "jobs").mkdir(exist_ok=True)
    (tmp_path / "jobs" / "mine.txt").touch()
    with pytest.raises(SpecError, match="is not a run of this tool"):
        refuse_foreign(tmp_path)


def test_what_is_no_run_is_refused_before_anything_is_touched(tmp_path, spec) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "mine" / "thesis.tex").touch()
    for overwrite in (False, True):
        with pytest.raises(SpecError, match="is not a run of this tool"):
            ran(spec, tmp_path / "mine", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
