"""`attest`: signs a statement on a complete run, about a model that is present."""

from __future__ import annotations

from pathlib import Path

from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.files import write_json
from unlearn_audit.evidence.manifest import ATTESTATION
from unlearn_audit.finished.attestation import sign, statement
from unlearn_audit.finished.redecide import finished
from unlearn_audit.finished.verify import Request, checkpoint_of, run_digests, verify


def attest(run: Path, key: Path, checkpoint: Path | None = None, out: Path | None = None) -> Path:
    """Signs what a run says of its checkpoint, after all that `verify` looks at; the path of the envelope.

    Raises:
        AuditError: no finished run, no model, or no usable key.
        IntegrityError: something is not what it was when the audit ran.
    """
    request = Request(run=run, checkpoint=checkpoint)
    bad = [check.line for check in verify(request) if check.holds is False]
    if bad:
        raise IntegrityError(f"not signed: {bad[0]}")
    result = finished(run)
    model = checkpoint_of(request, result)
    if not model.exists():
        raise AuditError(f"{model}: expected the audited model here, because its digest is signed; give --checkpoint")
    target = out or run / ATTESTATION
    write_json(target, sign(statement(result, run_digests(run), model), key))
    return target
