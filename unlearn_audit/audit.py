"""One audit from its spec to its result: plan, run, judge, write. The only place that knows all five hops."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import unlearn_audit
from unlearn_audit.agreement import judge_record
from unlearn_audit.api import FactSet
from unlearn_audit.evidence import EvidenceStore, evidence_digest, write_json, write_text
from unlearn_audit.judging import RESULT
from unlearn_audit.kept_text import KeptText
from unlearn_audit.manifest import write_manifest
from unlearn_audit.outputs import Outputs
from unlearn_audit.planned import Plan
from unlearn_audit.records import cell_records
from unlearn_audit.report import write as write_reports
from unlearn_audit.result import Result
from unlearn_audit.runner import Progress, run
from unlearn_audit.spec import AuditSpec, SpecError, read_yaml
from unlearn_audit.verdict import judge
from unlearn_audit.waivers import Waiving

REPORTS = ("json", "md", "html")


def audit(
    plan: Plan,
    out: Path,
    progress: Progress,
    *,
    cells: Path | None = None,
    command: str = "",
    formats: Sequence[str] = REPORTS,
    text: KeptText = KeptText.NONE,
    waivers: Waiving | None = None,
) -> Result:
    """Runs what is not done yet, judges all of it, and writes the reports into `out`.

    `text` says how much of what models answer is kept, in a file of its own beside the reports.

    Raises:
        SpecError: `out` holds another audit.
    """
    begun, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    _claim(out, plan.spec)
    store = EvidenceStore(out, cells)
    write_text(out / "spec.yaml", plan.spec.as_yaml())
    write_json(out / "plan.json", plan.as_json())
    gathered = run(plan, store, progress, Outputs(out, text, plan.facts[FactSet.FORGET].facts))
    case = plan.case.model_copy(update={"faults": tuple(gathered.faults)})
    records = cell_records(plan, store, gathered.faults)
    observations = store.gather(records)
    policy = plan.spec.policy
    verdict = judge(observations, case.under(policy), policy, gathered.comparisons, waivers)
    result = Result(
        tool_version=unlearn_audit.__version__,
        outcome=verdict.outcome,
        exit_code=verdict.outcome.exit_code,
        verdict=verdict,
        policy=policy,
        policy_digest=policy.digest(),
        spec_digest=plan.spec.digest(),
        evidence_digest=evidence_digest(observations),
        case=case,
        models=tuple(gathered.models),
        data=tuple(facts.record() for facts in plan.facts.values()),
        cells=tuple(records),
        judge=judge_record(plan.judge, records),
        versions=dict(plan.versions),
        profile=plan.spec.profile,
        seed=plan.spec.seed,
        started=started,
        seconds=round(time.monotonic() - begun, 3),
        command=command,
    )
    write_reports(result, out, formats)
    write_manifest(out)
    return result


def _claim(out: Path, spec: AuditSpec) -> None:
    """Refuses a directory that holds something else: an audit of other files, or no audit at all."""
    if not out.exists():
        return
    if not out.is_dir():
        raise SpecError(f"{out}: is a file; --out names a directory")
    kept = out / "spec.yaml"
    if not kept.is_file():
        if any(out.iterdir()):
            raise SpecError(f"{out}: not empty, and no run of this tool; give another --out")
        return
    if read_yaml(kept).get("checkpoint") != spec.checkpoint:
        raise SpecError(f"{out}: holds the audit of another checkpoint ({RESULT} there); give another --out")
