"""What was audited and what came out, as an in-toto statement about the model, signed in a DSSE envelope.

The subject is the model by the digest that model signing (OpenSSF, model-signing 1.x, `method: files`) gives it, so
that a publisher's signature and this attestation speak of the same thing: SHA-256 over the raw SHA-256 digests of all
files, in the order of their paths; git's own files at the root and the signature `model.sig` are not included. The
files' digests are in the predicate, from which anyone can recompute the subject's digest. Symbolic links are
followed (as `--allow-symlinks` does there).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from unlearn_audit.api.terms import Status
from unlearn_audit.api.user_files import LARGEST_SETTINGS, parse_json, read_bytes
from unlearn_audit.errors import AuditError, IntegrityError, MissingExtraError
from unlearn_audit.evidence.digests import sha256_file
from unlearn_audit.evidence.files import read_json
from unlearn_audit.evidence.seal import STATEMENT_TYPE
from unlearn_audit.verdict.policy.sealed import departures
from unlearn_audit.verdict.result import Outcome, Result

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key

PREDICATE_TYPE = "urn:unlearn-audit:attestation:1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PASSWORD = "UNLEARN_AUDIT_KEY_PASSWORD"  # noqa: S105 - the name of a variable of the environment
_IGNORED = frozenset({".git", ".gitattributes", ".github", ".gitignore", "model.sig"})


def model_files(path: Path) -> dict[str, str]:
    """Path inside the model -> SHA-256, in the order in which model signing takes them. A single file is `.`."""
    if path.is_file():
        return {".": sha256_file(path)}
    files = [PurePosixPath(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file()]
    kept = sorted(file for file in files if file.parts[0] not in _IGNORED)
    return {str(file): sha256_file(path / file) for file in kept}


def model_digest(files: Mapping[str, str]) -> str:
    """The root digest of model signing over such digests."""
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in files.values())).hexdigest()


def statement(result: Result, digests: Mapping[str, str], model: Path) -> dict[str, Any]:
    """The in-toto statement (v1) of a result about its checkpoint.

    Args:
        result: what came out.
        digests: `result` and `manifest`: SHA-256 of the files of the run.
        model: where the checkpoint lies; only the last part of its path is named.
    """
    files = model_files(model)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": model.resolve().name, "digest": {"sha256": model_digest(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            **claims(result, digests),
            "model": {
                "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": True},
                "resources": [
                    {"name": name, "algorithm": "sha256", "digest": digest} for name, digest in files.items()
                ],
            },
        },
    }


def claims(result: Result, digests: Mapping[str, str]) -> dict[str, Any]:
    """What is stated about the model: outcome, bound, and the digests of everything behind them."""
    deciding = [finding for finding in result.verdict.findings if finding.gates]
    passed = [one.at_most for one in deciding if one.status is Status.PASSED and one.at_most is not None]
    return {
        "outcome": result.outcome.value,
        "exitCode": result.exit_code,
        "sentence": result.verdict.sentence,
        "bound": {
            "margin": result.policy.margin,
            "alpha": result.policy.alpha,
            "atMost": max(passed, default=None) if result.outcome is Outcome.PASS else None,
        },
        "waived": sorted(one.id for one in deciding if one.waiver is not None),
        "releaseTier": result.case.release.value,
        "checkpoint": {"sha256": result.case.checkpoint},
        "policy": {"sha256": result.policy_digest},
        "evidence": {"sha256": result.evidence_digest},
        "spec": {"sha256": result.spec_digest},
        **{name: {"sha256": digest} for name, digest in digests.items()},
        **_sealed(result),
        "audited": result.started,
        "tool": {"name": "unlearn-audit", "version": result.tool_version},
    }


def _sealed(result: Result) -> dict[str, Any]:
    """The plan's seal, where there was one, and whether the run kept to it."""
    seal = result.case.seal
    if seal is None:
        return {}
    return {"plan": {"sha256": seal.digest, "sealed": seal.made, "kept": not departures(result.case, result.policy)}}


def sign(content: Mapping[str, Any], key: Path) -> dict[str, Any]:
    """The content in a DSSE envelope, signed with a private key (PEM: Ed25519, ECDSA or RSA).

    Raises:
        AuditError: the extra `sign` is not installed, or the key cannot be used.
    """
    signer = _signer(key)
    from securesystemslib.dsse import Envelope

    payload = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    envelope = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures={})
    envelope.sign(signer)
    return dict(envelope.to_dict())


def verified(path: Path, key: Path, predicate: str = PREDICATE_TYPE) -> dict[str, Any]:
    """The statement in an envelope that the public key has signed.

    Args:
        path: the envelope.
        key: the public key, PEM.
        predicate: type of the predicate that the statement must have.

    Raises:
        IntegrityError: it has not, or what is signed is another kind of statement.
        AuditError: the extra `sign` is not installed, or the key cannot be read.
    """
    public = _public(key)
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = Envelope.from_dict(read_json(path))
        envelope.verify([public], threshold=1)
        content = parse_json(envelope.payload.decode(), str(path))
    except VerificationError as error:
        raise IntegrityError(f"{path}: is not signed by {key}") from error
    except (AuditError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path}: expected a signed statement ({error})") from error
    kinds = (envelope.payload_type, content.get("_type"), content.get("predicateType"))
    if kinds != (PAYLOAD_TYPE, STATEMENT_TYPE, predicate):
        raise IntegrityError(f"{path}: expected a statement of this tool, got another kind ({kinds[2]})")
    return dict(content)


def _signer(key: Path) -> CryptoSigner:
    content = _key_bytes(key)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner
    except ImportError as error:
        raise _not_installed() from error
    password = os.environ.get(PASSWORD)
    try:
        return CryptoSigner(load_pem_private_key(content, password.encode() if password else None))
    except (ValueError, TypeError) as error:
        raise AuditError(
            f"{key}: cannot be used to sign ({error}); expected a private key in PEM (Ed25519, ECDSA or RSA), its "
            f"password, if it has one, in {PASSWORD}"
        ) from error


def _public(key: Path) -> Key:
    content = _key_bytes(key)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey
    except ImportError as error:
        raise _not_installed() from error
    try:
        return SSlibKey.from_crypto(load_pem_public_key(content))
    except (ValueError, TypeError) as error:
        raise AuditError(f"{key}: expected a public key in PEM ({error})") from error


def _key_bytes(key: Path) -> bytes:
    return read_bytes(key, LARGEST_SETTINGS)


def _not_installed() -> AuditError:
    return MissingExtraError("a signature", "securesystemslib[crypto]", "sign")
