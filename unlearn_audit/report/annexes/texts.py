"""The annexes by name, and what an audit has for each."""

from __future__ import annotations

from collections.abc import Sequence

from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import SpecError
from unlearn_audit.report.annexes import ai_act, gdpr, nist
from unlearn_audit.report.annexes.asked import Text
from unlearn_audit.verdict.result import AnnexRecord, AnnexRow, Result

TEXTS: dict[str, Text] = {"gdpr": gdpr.TEXT, "ai-act": ai_act.TEXT, "nist": nist.TEXT}


def annexes(result: Result, names: Sequence[str]) -> tuple[AnnexRecord, ...]:
    """The annexes of these names, each once, in the order asked for.

    Raises:
        SpecError: there is none of a name.
    """
    for name in names:
        if name not in TEXTS:
            raise SpecError(f"--annex: no annex named {name!r}{did_you_mean(name, list(TEXTS))}")
    return tuple(_of(name, TEXTS[name], result) for name in dict.fromkeys(names))


def _of(name: str, text: Text, result: Result) -> AnnexRecord:
    rows = (
        AnnexRow(source=one.source, asks=one.asks, evidence=one.evidence(result), sections=one.sections)
        for one in text.asked
    )
    return AnnexRecord(id=name, title=text.title, sources=text.sources, rows=tuple(rows))
