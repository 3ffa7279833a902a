"""Parts of one plan, run in several places and joined: `run --shard 1/3`, then `merge`. Loads no model.

A part is a series of consecutive jobs of the plan, which is sorted by model, so that each place loads few models. A
part decides nothing. Parts of different specifications, versions or data are refused; so are two
parts with different evidence on the same job, or that prepared an attack differently.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.directory import is_untouched
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.manifest import ERRORS, PLAN, SEAL, SHARD, SPEC
from unlearn_audit.evidence.records import (
    JobRecord,
    ModelRecord,
    short_of_plateau,
)
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.verdict.conclude import ShardRecord

_NOT_LOADED = "not loaded"
_SAME = (
    "policy",
    "spec_digest",
    "data",
    "versions",
    "notes",
    "engine",
    "plugins",
    "profile",
    "seed",
    "tool_version",
    "prepared",
    "judge",
)


def merged(parts: Sequence[Path], out: Path) -> tuple[ShardRecord, EvidenceStore]:
    """Joins parts into a new run directory.

    Raises:
        AuditError: they are not parts of one plan, jobs are missing, or `out` is not empty.
        IntegrityError: two parts contradict each other, or a job was changed.
    """
    refuse_taken(out)
    records = [_read(part) for part in parts]
    first, plan = records[0], read_json(parts[0] / "plan.json")
    for part, record in zip(parts[1:], records[1:], strict=True):
        differing = [name for name in _SAME if getattr(record, name) != getattr(first, name)]
        if differing or read_json(part / "plan.json") != plan:
            raise AuditError(f"{part} and {parts[0]}: not parts of one plan ({', '.join(differing) or 'plan.json'})")
    keys = [job["key"] for job in plan["jobs"]]
    jobs = _joined(parts, records)
    lacking = sum((Counter(keys) - Counter({key: len(several) for key, several in jobs.items()})).values())
    if lacking:
        ran = ", ".join(sorted(record.shard for record in records))
        raise IncompleteError(f"{lacking} of {len(keys)} jobs did not run in these parts ({ran}); nothing is decided")
    store = EvidenceStore(out)
    _copy(parts, out, first.prepared)
    return _whole(records, keys, jobs), store


def refuse_taken(out: Path) -> None:
    """Refuses a place that holds anything.

    Raises:
        AuditError: naming it.
    """
    if out.exists() and (not out.is_dir() or not is_untouched(out)):
        raise AuditError(f"{out}: already exists; merge into a new directory")


class IncompleteError(AuditError):
    """Not all jobs ran: exit code 3."""


def _read(part: Path) -> ShardRecord:
    if not (part / SHARD).is_file():
        raise AuditError(f"{part}: expected {SHARD} here; `run --shard 1/3 --out {part}` makes it")
    try:
        return ShardRecord.model_validate(read_json(part / SHARD))
    except ValidationError as error:
        raise IntegrityError(f"{part / SHARD}: expected what `run --shard` wrote; rerun that part") from error


def _joined(parts: Sequence[Path], records: Sequence[ShardRecord]) -> dict[str, list[JobRecord]]:
    """Key -> records of the job (two roles with the same weights share one), a done one before one that faulted."""
    found: dict[str, list[JobRecord]] = {}
    for part, record in zip(parts, records, strict=True):
        for job in record.jobs:
            others = [one for one in found.setdefault(job.key, []) if _place(one) == _place(job)]
            if any(one.status == job.status == "done" and one.digest != job.digest for one in others):
                raise IntegrityError(f"{part}: has different evidence on {job.attack} on {job.model} from another part")
            if not others:
                found[job.key].append(job)
            elif job.status == "done":
                found[job.key] = [job if _place(one) == _place(job) else one for one in found[job.key]]
    return found


def _place(job: JobRecord) -> tuple[str, str, str, int, bool]:
    return job.attack, job.arm, job.model, job.seed, job.sham


def _copy(parts: Sequence[Path], out: Path, prepared: Sequence[str]) -> None:
    """The jobs of all parts, and notes; equal ones once."""
    for part in parts:
        for job in sorted((part / "jobs").iterdir()):
            target = out / "jobs" / job.name
            if not target.exists():
                shutil.copytree(job, target, copy_function=shutil.copyfile)
                target.chmod(0o700)
            elif job.name in prepared and read_json(job / "job.json") != read_json(target / "job.json"):
                raise IntegrityError(f"{job}: an attack was prepared differently there from another part")
    for name in (SPEC, PLAN, SEAL):
        if name != SEAL or (parts[0] / SEAL).is_file():
            shutil.copyfile(parts[0] / name, out / name)
    logs = [part / ERRORS for part in parts if (part / ERRORS).is_file()]
    if logs:
        (out / ERRORS).write_bytes(b"".join(log.read_bytes() for log in logs))


def _whole(records: Sequence[ShardRecord], keys: Sequence[str], jobs: dict[str, list[JobRecord]]) -> ShardRecord:
    ordered = tuple(job for key in dict.fromkeys(keys) for job in jobs[key])
    faulty = {(job.attack, job.arm, job.model) for job in ordered if job.status != "done"}
    faults = [fault for record in records for fault in record.case.faults]
    kept = tuple(dict.fromkeys(fault for fault in faults if (fault.attack, fault.arm, fault.model) in faulty))
    return records[0].model_copy(
        update={
            "shard": "",
            "case": records[0].case.model_copy(update={"faults": kept, "short_of_plateau": short_of_plateau(ordered)}),
            "comparisons": next((record.comparisons for record in records if record.comparisons), ()),
            "models": tuple(_loaded(records)),
            "jobs": ordered,
            "started": min(record.started for record in records),
            "seconds": round(sum(record.seconds for record in records), 3),
            "command": "; ".join(record.command for record in records),
        }
    )


def _loaded(records: Sequence[ShardRecord]) -> Iterator[ModelRecord]:
    """Each model as some part loaded it."""
    for place, model in enumerate(records[0].models):
        several = [record.models[place] for record in records]
        yield next((one for one in several if one.dtype != _NOT_LOADED), model)
