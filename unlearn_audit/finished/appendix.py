"""What `report` adds to a result: whether an attestation lies with the run, and annexes for regulators."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.api.writer import Material
from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.manifest import ATTESTATION
from unlearn_audit.evidence.seal import opened
from unlearn_audit.finished.attestation import claims
from unlearn_audit.finished.verify import run_digests
from unlearn_audit.report.annexes.texts import annexes
from unlearn_audit.verdict.result import Appendix, Result, SignatureRecord


def appended(material: Material, run: Path, names: Sequence[str]) -> Material:
    """The material of a run with its appendix; unchanged where there is nothing to add.

    Raises:
        SpecError: there is no annex of a name.
    """
    result = material.result
    if not isinstance(result, Result):
        return material
    signature = _signature(run, result)
    signed = result.model_copy(update={"appendix": Appendix(signature=signature)})
    found = annexes(signed, names)
    if signature is None and not found:
        return material
    appendix = Appendix(signature=signature, annexes=found)
    return dataclasses.replace(material, result=result.model_copy(update={"appendix": appendix}))


def _signature(run: Path, result: Result) -> SignatureRecord | None:
    """What the attestation in a run says of itself; nobody's key is checked here."""
    path = run / ATTESTATION
    if not path.is_file():
        return None
    try:
        content, keys = opened(path)
        said = dict(content["predicate"])
        fits = bool(keys) and all(said.get(name) == value for name, value in claims(result, run_digests(run)).items())
    except (AuditError, KeyError, TypeError, ValueError):
        return SignatureRecord(fits=False)
    return SignatureRecord(keys=keys, fits=fits)
