"""`plan --seal`: writes a plan down, and signs it, before there is any result; and what `verify` finds of it later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import unlearn_audit
from unlearn_audit.errors import IntegrityError, SpecError
from unlearn_audit.evidence.digests import sha256_file
from unlearn_audit.evidence.files import read_json, refuse_special, write_json
from unlearn_audit.evidence.manifest import PLAN, SEAL
from unlearn_audit.evidence.seal import BEFORE, PREDICATE_TYPE, Seal, deviations, parts_of, read_seal, statement
from unlearn_audit.finished.attestation import sign, verified
from unlearn_audit.plan.plan import Plan
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.policy.sealed import departures
from unlearn_audit.verdict.result import Result

_SHOWN = 16


def check_seal(path: Path | None, key: Path | None, spec: AuditSpec) -> None:
    """Whether a plan can be sealed there, before it is made.

    Raises:
        SpecError: the file exists, the request has a budget, or there is a key and no seal.
    """
    if path is None:
        if key is not None:
            raise SpecError("--key: signs a seal, and none was asked for; give --seal FILE as well")
        return
    if path.exists() or path.is_symlink():
        raise SpecError(f"--seal {path}: exists; a plan is sealed once, so give another file")
    if not path.parent.is_dir():
        raise SpecError(f"--seal {path}: {path.parent} is not a directory; create it first")
    refuse_special(path)
    if spec.budget is not None:
        raise SpecError("--seal: a budget is measured anew on each machine; name the attacks with --attacks instead")


def write_seal(plan: Plan, path: Path, key: Path | None) -> str:
    """Writes the seal of a plan, signed where there is a key; gives the file's SHA-256.

    Raises:
        AuditError: the extra `sign` is not installed, or the key cannot be used.
    """
    policy = plan.spec.policy
    content = statement(
        plan.as_json(),
        policy.model_dump(mode="json"),
        digest=policy.digest(),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=unlearn_audit.__version__,
    )
    write_json(path, content if key is None else sign(content, key))
    return sha256_file(path)


def seal_lines(run: Path, result: Result, key: Path | None) -> Iterator[tuple[bool | None, str]]:
    """What there is to say of a run's seal: whether each holds (None: not checked), and the line.

    Raises:
        AuditError: the seal or the plan cannot be read, or the key.
    """
    seal = result.case.seal
    if seal is None:
        stray = (run / SEAL).is_file()
        if stray or key is not None:
            said = f"{run / SEAL}: lies here, but" if stray else "a key for its seal was given, but"
            yield False, f"{said} the result knows of no sealed plan"
        return
    _refuse_changed(run, seal, result.policy)
    found = departures(result.case, result.policy)
    yield (
        not found,
        (
            f"plan: sealed at {seal.made}, sha256:{seal.digest[:_SHOWN]}, and "
            + (f"NOT KEPT: {'; '.join(found)}" if found else "kept")
        ),
    )
    if key is not None:
        verified(run / SEAL, key, PREDICATE_TYPE)
        yield True, f"seal: {SEAL} is signed by {key}"
    else:
        signed = f"names the keys {', '.join(one[:_SHOWN] for one in seal.keys)}, not checked; give --seal-key"
        yield None, f"seal: {signed if seal.keys else 'is not signed. Anyone could have written it, at any time'}"


def _refuse_changed(run: Path, seal: Seal, policy: Policy) -> None:
    """Holds the seal and the plan in a run against what its result says of them."""
    if not (run / SEAL).is_file():
        raise IntegrityError(f"{run / SEAL}: is missing, and the result names it")
    there, parts = read_seal(run / SEAL)
    if there != seal.model_copy(update={"deviations": ()}):
        raise IntegrityError(f"{run / SEAL}: is not the seal that the result names")
    said = tuple(line for line in seal.deviations if not line.startswith(BEFORE))
    if said != deviations(parts, parts_of(read_json(run / PLAN), policy.digest())):
        raise IntegrityError(f"{run / PLAN}: deviates from its seal in other ways than the result says")
