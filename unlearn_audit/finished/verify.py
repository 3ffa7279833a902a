"""`verify`: is a run directory unchanged, does it agree with its evidence, and is the model still the same?

Every check is one line: it holds, it does not hold, or it was skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unlearn_audit.errors import AuditError, IntegrityError, MissingExtraError, SpecError
from unlearn_audit.evidence.digests import sha256_file
from unlearn_audit.evidence.manifest import ATTESTATION, MANIFEST, RESULT, SPEC, manifest_problems
from unlearn_audit.evidence.records import ModelRecord
from unlearn_audit.finished.attestation import claims, model_digest, model_files, verified
from unlearn_audit.finished.redecide import agrees, finished, observations_of, verdict_of
from unlearn_audit.finished.sealing import seal_lines
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import AuditSpec, validate
from unlearn_audit.spec.yaml_files import read_yaml
from unlearn_audit.verdict.result import Result

_SHOWN = 16


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        holds: None where it was not made.
    """

    holds: bool | None
    line: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to check besides the run itself.

    Attributes:
        key: a public key, for the signature; `seal_key` for that of the plan's seal.
        checkpoint: where the audited model lies now; None: where the run found it.
        with_models: read the models' files.
    """

    run: Path
    key: Path | None = None
    seal_key: Path | None = None
    checkpoint: Path | None = None
    with_models: bool = True


def verify(request: Request) -> Iterator[Check]:
    """All checks, one after the other.

    Raises:
        AuditError: there is no finished run.
    """
    run = request.run
    if not (run / RESULT).is_file():
        raise AuditError(f"{run}: expected a finished run, found no {RESULT}; check the path, or finish it")
    number, problems = manifest_problems(run)
    yield from (Check(holds=False, line=problem) for problem in problems)
    if not problems:
        yield Check(holds=True, line=f"{MANIFEST}: {number} files are unchanged since the run")
    try:
        result = finished(run, sealed=False)
    except AuditError as error:
        yield Check(holds=False, line=str(error))
        return
    yield Check(holds=True, line=f"policy: sha256:{result.policy_digest[:_SHOWN]}")
    yield _checked(lambda: _spec(run, result))
    yield _checked(lambda: _evidence(run, result))
    yield from _seal(request, result)
    yield from _models(request, result)
    yield _signature(request, result)


def _checked(check: Callable[[], str]) -> Check:
    try:
        return Check(holds=True, line=check())
    except AuditError as error:
        return Check(holds=False, line=str(error))


def _spec(run: Path, result: Result) -> str:
    path = run / SPEC
    if validate(AuditSpec, read_yaml(path), path).digest() != result.spec_digest:
        raise IntegrityError(f"{path}: is not the specification that {RESULT} names")
    return f"specification: sha256:{result.spec_digest[:_SHOWN]}"


def _evidence(run: Path, result: Result) -> str:
    observations = observations_of(run, result)
    decided = verdict_of(observations, result)
    done = sum(job.status == "done" for job in result.jobs)
    line = f"evidence: {done} jobs, sha256:{result.evidence_digest[:_SHOWN]}; "
    if result.verdict.rules != decided.rules:
        return line + f"an older version of the rules decided it; by today's it is {decided.outcome}"
    if not agrees(result, decided):
        raise IntegrityError(f"{run / RESULT}: contradicts its evidence")
    return line + "decided again, the verdict is the same"


def _seal(request: Request, result: Result) -> Iterator[Check]:
    try:
        yield from (Check(holds=holds, line=line) for holds, line in seal_lines(request.run, result, request.seal_key))
    except (IntegrityError, SpecError) as error:
        yield Check(holds=False, line=str(error))


def _models(request: Request, result: Result) -> Iterator[Check]:
    if not request.with_models:
        yield Check(holds=None, line="models: not checked (--no-checkpoint)")
        return
    try:
        options = validate(AuditSpec, read_yaml(request.run / SPEC), None).models
    except SpecError:
        yield Check(holds=None, line="models: not checked, because the specification cannot be read")
        return
    for model in result.models:
        where = _where(request, model)
        if not Path(where).expanduser().exists():
            yield Check(holds=None, line=f"{model.name}: not checked: {where} is not here")
            continue
        try:
            found = resolve(where, base=options.base, allow_pickle=options.allow_pickle).digest
        except MissingExtraError as error:
            yield Check(holds=None, line=f"{model.name}: not checked: {error}")
            continue
        except AuditError as error:
            yield Check(holds=False, line=f"{model.name}: {error}")
            continue
        same = found == model.digest and (model.role != "unlearned" or found == result.case.checkpoint)
        what = f"{where} is sha256:{found[:_SHOWN]}"
        line = f"{model.name}: {what}" + ("" if same else f", but the audit was of sha256:{model.digest[:_SHOWN]}")
        yield Check(holds=same, line=line)


def _where(request: Request, model: ModelRecord) -> str:
    given = request.checkpoint if model.role == "unlearned" else None
    return model.reference if given is None else str(given)


def checkpoint_of(request: Request, result: Result) -> Path:
    """Where the audited model lies."""
    (audited,) = (model for model in result.models if model.role == "unlearned")
    return Path(_where(request, audited)).expanduser()


def run_digests(run: Path) -> dict[str, str]:
    """What an attestation says of the files of a run."""
    return {"result": sha256_file(run / RESULT), "manifest": sha256_file(run / MANIFEST)}


def _signature(request: Request, result: Result) -> Check:
    path = request.run / ATTESTATION
    if request.key is None:
        there = "present, but not checked; give --key" if path.is_file() else "none"
        return Check(holds=None, line=f"signature: {there}. Anyone who can write here could have changed everything")
    if not path.is_file():
        return Check(holds=False, line=f"{path}: a key was given, but this file is missing")
    key = request.key
    try:
        content = verified(path, key)
    except IntegrityError as error:  # a key that cannot be read is a wrong request, and goes on
        return Check(holds=False, line=str(error))
    predicate, digests = dict(content["predicate"]), run_digests(request.run)
    model = predicate.pop("model", None)
    wrong = [name for name, said in claims(result, digests).items() if predicate.get(name) != said]
    checkpoint = checkpoint_of(request, result)
    if request.with_models and checkpoint.exists():
        files = model_files(checkpoint)
        signed = {one["name"]: one["digest"] for one in (model or {}).get("resources", ())}
        changed = sorted(name for name in files.keys() | signed.keys() if files.get(name) != signed.get(name))
        if model_digest(files) != content["subject"][0]["digest"]["sha256"]:
            wrong.append(f"the model ({', '.join(changed[:3]) or 'its digest'})")
    if wrong:
        return Check(holds=False, line=f"{path}: was signed for something else: {', '.join(wrong)}")
    return Check(holds=True, line=f"signature: {path.name} is signed by {key} and agrees with the run")
