"""A finished run directory without any model behind it: made-up evidence, decided, reported and sealed."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.verdict.test_verdict import POLICY, Audit
from unlearn_audit.evidence.files import write_json, write_text
from unlearn_audit.evidence.manifest import write_manifest
from unlearn_audit.evidence.observations import COLUMNS
from unlearn_audit.evidence.records import DataRecord, JobRecord, ModelRecord
from unlearn_audit.evidence.store import EvidenceStore, JobEvidence
from unlearn_audit.models.references import resolve
from unlearn_audit.report import write
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.verdict.conclude import ShardRecord, concluded
from unlearn_audit.verdict.result import Result

_KEPT = tempfile.TemporaryDirectory(prefix="finished-runs-")
_RESULTS: dict[str, Result] = {}


def small(subjects: int = 60) -> Audit:
    """An audit in which all is well, of one fact a subject and one control."""
    return Audit(subjects=subjects, facts=1, controls=1)


def checkpoint(path: Path, *, value: float = 1.0) -> Path:
    """The least that is a checkpoint on disk."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_file({"weight": np.full((2, 2), value, dtype=np.float32)}, path / "model.safetensors")
    return path


def finished_run(
    run: Path, audit: Audit, policy: Policy = POLICY, waivers: Waiving | None = None, *, model: Path | None = None
) -> Result:
    """Writes the run of an audit, and gives its result; the same audit of no model in particular is made once."""
    if model is not None:
        return _made(run, audit, policy, waivers, model)
    asked = (audit.frame, audit.case.model_dump_json(), policy.model_dump_json(), waivers)
    key = hashlib.sha256(pickle.dumps(asked)).hexdigest()
    home = Path(_KEPT.name) / key
    if key not in _RESULTS:
        _RESULTS[key] = _made(home / "run", audit, policy, waivers, checkpoint(home / "model"))
    shutil.copytree(home / "run", run, dirs_exist_ok=True)
    return _RESULTS[key]


def _made(run: Path, audit: Audit, policy: Policy, waivers: Waiving | None, model: Path) -> Result:
    digest = resolve(str(model)).digest
    store = EvidenceStore(run)
    spec = AuditSpec(checkpoint=str(model), forget="forget.jsonl", policy=policy)
    write_text(run / "spec.yaml", spec.as_yaml())
    write_json(run / "plan.json", {"jobs": []})
    record = ShardRecord(
        tool_version="0.1.0",
        policy=policy,
        spec_digest=spec.digest(),
        case=audit.case.model_copy(update={"checkpoint": digest}),
        comparisons=(),
        models=(_model(str(model), digest),),
        data=(DataRecord(set="forget", digest="f" * 64, facts=120, subjects=60),),
        jobs=tuple(_jobs(audit, store)),
        prepared=(),
        versions={},
        profile="quick",
        seed=0,
        started="2026-01-15T09:30:00Z",
        seconds=1.0,
        command="unlearn-audit run",
    )
    result = concluded(record, store, waivers)
    write(result, run, ("json", "md"))
    write_manifest(run)
    return result


def _model(reference: str, digest: str) -> ModelRecord:
    return ModelRecord(
        role="unlearned",
        name="unlearned",
        reference=reference,
        digest=digest,
        dtype="float32",
        device="cpu",
        parameters=4,
        chat_template="none",
        architecture="llama",
    )


def _jobs(audit: Audit, store: EvidenceStore) -> list[JobRecord]:
    records = []
    frame = audit.frame.assign(role=audit.frame["role"].astype(str))
    for (role, model, attack), rows in frame.groupby(["role", "model", "attack"], sort=True):
        key = f"{attack}-{model}"
        store.put(key, JobEvidence(rows=rows[[*COLUMNS]].to_dict("records"), proof={}))
        about = store.about(key)
        records.append(
            JobRecord(
                key=key,
                attack=attack,
                arm=attack,
                role=role,
                model=model,
                seed=0,
                status="done",
                seconds=0.0,
                observations=about["observations"],
                digest=about["digest"],
            )
        )
    return records
