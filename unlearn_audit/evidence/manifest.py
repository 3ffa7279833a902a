"""`manifest.json`: the digest of every file that a run left behind, written last.

It reveals later changes, accidental or by someone unaware of it. Anyone who can write to the directory
can also write the manifest: the signature (`attest`) over the manifest's digest protects against that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.digests import sha256_file
from unlearn_audit.evidence.files import EVENTS, SAVES, read_json, write_json

MANIFEST = "manifest.json"
ATTESTATION = "attestation.json"
SPEC, PLAN, SEAL = "spec.yaml", "plan.json", "seal.json"
RESULT, SHARD, ERRORS = "result.json", "shard.json", "errors.log"
_VERSION = 1


def write_manifest(run: Path) -> None:
    """Writes the manifest of a finished run, as it lies there."""
    files = {path.relative_to(run).as_posix(): sha256_file(path) for path in sorted(_files(run))}
    write_json(run / MANIFEST, {"manifest_version": _VERSION, "files": files})


def manifest_problems(run: Path) -> tuple[int, list[str]]:
    """How many files the manifest has, and a line for each that is no longer as it says. Others do not matter."""
    path = run / MANIFEST
    if not path.is_file():
        return 0, [f"{path}: is missing, so the run's files cannot be checked"]
    try:
        content = read_json(path)
    except AuditError as error:
        return 0, [str(error)]
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or RESULT not in files:
        return 0, [f"{path}: is not the manifest of a run"]
    return len(files), [problem for name, digest in files.items() if (problem := _problem(run, str(name), digest))]


def _problem(run: Path, name: str, digest: object) -> str | None:
    path = run / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        return f"{run / MANIFEST}: names a file outside the run"
    if not path.is_file():
        return f"{path}: is missing"
    return None if sha256_file(path) == digest else f"{path}: was changed after the run"


def _files(run: Path) -> Iterator[Path]:
    for path in run.rglob("*"):
        names = path.relative_to(run).parts
        apart = names[0] in (MANIFEST, ATTESTATION, SAVES, EVENTS) or any(one.startswith(".") for one in names)
        if path.is_file() and not apart:
            yield path
