"""May this plan run in this directory? One directory holds one request; another one replaces it only on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unlearn_audit.api import Role
from unlearn_audit.api.kit.printable import listed
from unlearn_audit.api.user_files import LARGEST_SETTINGS, read_bytes
from unlearn_audit.errors import AuditError, IntegrityError, SpecError
from unlearn_audit.evidence.directory import is_unbegun
from unlearn_audit.evidence.files import EVENTS, read_json, write_bytes, write_text
from unlearn_audit.evidence.manifest import ATTESTATION, ERRORS, MANIFEST, PLAN, RESULT, SEAL, SHARD, SPEC
from unlearn_audit.evidence.seal import BEFORE, deviations, parts_of, read_seal
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.plan.plan import Plan
from unlearn_audit.run.jobs.saves import drop_saves
from unlearn_audit.run.transcripts import OUTPUTS
from unlearn_audit.spec.spec import AuditSpec, validate
from unlearn_audit.spec.yaml_files import read_yaml

_OF_A_RESULT = (RESULT, "report.md", "report.html", MANIFEST, ATTESTATION, SHARD, ERRORS, EVENTS)
_NO_SAY = {"models.download"}
"""Keys on which no result depends."""

_MOST_NAMED = 8


def refuse_foreign(out: Path) -> None:
    """Refuses what is no run directory and not empty either, before anything in it is touched.

    Raises:
        SpecError: naming it.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise SpecError(f"{out}: expected a directory, got a file; give another --out")
    if not (out / SPEC).is_file() and not is_unbegun(out):
        raise SpecError(f"{out}: is not empty and is not a run of this tool; give another --out")


def claim(plan: Plan, out: Path, *, shard: str = "", overwrite: bool = False) -> bool:
    """Holds a plan against the run that lies in a directory. With `overwrite`, its result goes; jobs stay.

    Args:
        plan: what is to run.
        out: the run directory, locked.
        shard: which part of the jobs; empty for all.
        overwrite: replace the result of another request.

    Returns:
        Whether something was replaced.

    Raises:
        SpecError: it holds the audit of another request.
        IntegrityError: the request is the same, and files that it names have changed since.
    """
    if not (out / SPEC).is_file():
        return False
    if overwrite:
        _remove_result(plan, out)
        return True
    differing = _differing(out, plan.spec, shard)
    if differing:
        raise SpecError(
            f"{out}: holds the audit of another request, which differs in {listed(differing, _MOST_NAMED)}; give "
            "another --out, or --overwrite to replace its result (jobs that are still valid are kept)"
        )
    changed = sorted(_changed(out, plan))
    if changed:
        raise IntegrityError(
            f"{out}: {listed(changed, _MOST_NAMED)} changed on disk since this run was planned; restore what was "
            "planned, give another --out, or --overwrite to replace its result (jobs that are still valid are kept)"
        )
    return False


def sealed(plan: Plan, out: Path, given: Path | None, store: EvidenceStore, *, overwrite: bool = False) -> Plan:
    """The plan with the seal that this run is held to: the one given, or the one that lies in its directory.

    Args:
        plan: what is to run, with all its jobs.
        out: the run directory, claimed; the seal is copied there.
        given: a file that `plan --seal` wrote.
        store: whose results there are already.
        overwrite: replace another seal.

    Raises:
        SpecError: the file is not a seal, or the run lies under another one.
    """
    kept = out / SEAL
    if given is None:
        if overwrite:
            kept.unlink(missing_ok=True)
        if not kept.is_file():
            return plan
    seal, parts = read_seal(given or kept)
    fresh = not kept.is_file() or read_seal(kept)[0].digest != seal.digest
    if fresh and kept.is_file() and not overwrite:
        raise SpecError(f"{out}: holds a run under another seal; give another --out, or --overwrite")
    own = [job for job in plan.jobs if job.model.role is Role.UNLEARNED]
    done = sum(store.has(job.key) for job in own) if fresh else 0
    before: tuple[str, ...] = (
        (f"{BEFORE}: {done} of {len(own)} jobs on the checkpoint were done before this seal came",) if done else ()
    )
    lines = deviations(parts, parts_of(plan.as_json(), plan.spec.policy.digest()))
    if fresh and given is not None:
        write_bytes(kept, read_bytes(given, LARGEST_SETTINGS))
    elif not fresh:
        before = _said_before(out)
    held = seal.model_copy(update={"deviations": (*before, *lines)})
    return plan.model_copy(update={"case": plan.case.model_copy(update={"seal": held})})


def _said_before(out: Path) -> tuple[str, ...]:
    """What the run has on record of results that were there before its seal."""
    with suppress(AuditError, KeyError, TypeError):
        lines = read_json(out / PLAN)["case"]["seal"]["deviations"]
        return tuple(str(line) for line in lines if str(line).startswith(BEFORE))
    return ()


def _differing(out: Path, asked: AuditSpec, shard: str) -> list[str]:
    """The keys in which the request of a run differs from another one."""
    try:
        kept = validate(AuditSpec, read_yaml(out / SPEC), out / SPEC)
    except SpecError as error:
        raise SpecError(
            f"{out}: holds an audit whose request cannot be read ({error}); give another --out, or --overwrite"
        ) from error
    then, now = (dict(_flat(spec.model_dump(mode="json"))) for spec in (kept, asked))
    keys = [key for key in {**then, **now} if then.get(key) != now.get(key) and key not in _NO_SAY]
    part = _part_of(out)
    return keys if part is None or part == shard else [*keys, "shard"]


def _part_of(out: Path) -> str | None:
    """Which part of the jobs a finished run was; empty for all, None where none has finished."""
    with suppress(AuditError, TypeError, KeyError):
        if (out / SHARD).is_file():
            return str(read_json(out / SHARD)["shard"])
    return "" if (out / RESULT).is_file() else None


def _flat(value: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """`policy.margin` and the like, with their values."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{head}{key}.")
        else:
            yield f"{head}{key}", item


def _changed(out: Path, plan: Plan) -> Iterator[str]:
    """What the same request names and is not the same on disk; nothing where another version planned it."""
    with suppress(AuditError, KeyError, TypeError, AttributeError, ValueError):
        kept = read_json(out / PLAN)
        now = plan.as_json()
        if kept["versions"] == now["versions"]:
            then, digests = _digests(kept), _digests(now)
            yield from (name for name, digest in digests.items() if then.get(name, digest) != digest)


def _digests(plan: Mapping[str, Any]) -> dict[str, str]:
    """Names of models and fact sets, with their digests."""
    found = {model["name"]: model["checkpoint"]["digest"] for model in plan["models"]}
    found |= {facts["name"]: facts["digest"] for facts in plan["facts"]}
    beside = {"the judge": (plan.get("judge") or {}).get("checkpoint"), "the generator": plan.get("generator")}
    return found | {name: checkpoint["digest"] for name, checkpoint in beside.items() if checkpoint}


def _remove_result(plan: Plan, out: Path) -> None:
    """Removes what belongs to a former result. Of the answers, those stay whose jobs the plan has as well."""
    for name in _OF_A_RESULT:
        (out / name).unlink(missing_ok=True)
    valid = {job.key for job in plan.jobs}
    drop_saves(out, lambda key: key not in valid)
    if (out / OUTPUTS).is_file():
        lines = (out / OUTPUTS).read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(out / OUTPUTS, "".join(line for line in lines if _job_of(line) in valid))


def _job_of(line: str) -> str | None:
    with suppress(ValueError, AttributeError):
        found = json.loads(line).get("job")
        return found if isinstance(found, str) else None
    return None
