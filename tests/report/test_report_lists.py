"""Reports of lists in every format: with and without a control, passed by count and failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.finished.finished_run import finished_run, small
from tests.verdict.test_verdict import LEAK, Audit, subjects
from unlearn_audit.report import write
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.result import Outcome

LISTED = Policy(draws=10_000)
FROM_A_RESULT = ("json", "md", "html", "junit", "sarif")


@pytest.mark.parametrize(
    ("audit", "outcome", "says"),
    [
        (lambda: small(), Outcome.PASS, "Of 60 listed facts about 60 people"),
        (lambda: Audit(subjects=5, facts=20, controls=0), Outcome.PASS, "there was no control"),
        (lambda: Audit(subjects=5, facts=20).score(1.0, **LEAK), Outcome.FAIL, "100 of 100 facts, where 10 may come"),
        (
            lambda: small().score(1.0, **LEAK, fact_id=subjects(0, 7, 1)),
            Outcome.INCONCLUSIVE,
            "all attacks together show 7 of the 60 facts",
        ),
    ],
)
def test_every_format_bears_a_list(tmp_path: Path, audit, outcome: Outcome, says: str) -> None:
    result = finished_run(tmp_path / "run", audit(), LISTED)
    assert result.outcome is outcome
    write(result, tmp_path / "all", FROM_A_RESULT)
    for name in ("report.md", "report.html"):
        assert says in (tmp_path / "all" / name).read_text(encoding="utf-8").replace("\n", " ")
