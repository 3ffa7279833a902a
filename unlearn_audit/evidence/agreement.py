"""How far the judge of an audit and `match` agree on the same outputs: counts by job, then shares and kappa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from unlearn_audit.api import Json
from unlearn_audit.evidence.records import AgreementRecord, JobRecord, JudgeRecord
from unlearn_audit.statistics.agreement import kappa

AGREEMENT = "agreement"
"""Under which the counts stand in a dose's proof."""

_OUTCOMES = {
    "both": (True, True),
    "judge_alone": (True, False),
    "match_alone": (False, True),
    "neither": (False, False),
}


def counted(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Json]:
    """How often each pair of verdicts came, the judge's first."""
    found = Counter(pairs)
    return {name: found[pair] for name, pair in _OUTCOMES.items()}


def agreed(judge: JudgeRecord, jobs: Sequence[JobRecord]) -> JudgeRecord:
    """The same with how far `match` agrees, probe by probe."""
    return judge.model_copy(update={"agreement": tuple(_agreements(jobs))})


def _agreements(jobs: Sequence[JobRecord]) -> Iterator[AgreementRecord]:
    by_probe: dict[str, Counter[str]] = {}
    for job in jobs:
        for proof in job.proof.values():
            noted: Any = proof.get(AGREEMENT, {})
            for probe, counts in noted.items():
                by_probe.setdefault(probe, Counter()).update(counts)
    for probe, found in by_probe.items():
        both, judge_alone, match_alone, neither = (found[name] for name in _OUTCOMES)
        yield AgreementRecord(
            probe=probe,
            both=both,
            judge_alone=judge_alone,
            match_alone=match_alone,
            neither=neither,
            equal=(both + neither) / found.total(),
            kappa=kappa([[both, judge_alone], [match_alone, neither]]),
        )
