"""What the run skipped because the model cannot take it: neither an error, nor something that it withstood.

An attack learns only from the loaded model whether it can exist for it (`NotApplicableError`). An arm is skipped if no
audited model can have it. Where only some cannot, that is a fault: what one model can do to be spared, a checkpoint
might do. A finding of which nothing is left is no longer planned, and the report names it with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unlearn_audit.api import Role
from unlearn_audit.api.kit.printable import listed
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.plan.case import Case, FaultyJob, LeftOut, PlannedFinding

SKIPPED = "skipped"
_NAMED = 3
"""So many arms are named in a line; of more, only their number."""


def jobs_without_skipped(jobs: Sequence[JobRecord], case: Case) -> tuple[JobRecord, ...]:
    """The jobs; those of a skipped arm give no evidence, and those that another model could have are faults."""
    arms = {(one.attack, one.arm) for one in case.model_skips}

    def status(job: JobRecord) -> str:
        if (job.attack, job.arm) in arms:
            return SKIPPED if job.status == "done" else job.status
        spared = job.status == SKIPPED and job.model not in case.plant_names
        return "error" if spared else job.status

    return tuple(job.model_copy(update={"status": status(job)}) for job in jobs)


def case_without_skipped(case: Case, jobs: Sequence[JobRecord], observations: pd.DataFrame) -> Case:
    """The case with what was skipped under `left_out`, without the findings and served arms that went with it.

    Args:
        case: what the plan fixed, with the faults of the run.
        jobs: of the run, in every role.
        observations: the evidence that is left.
    """
    if not case.model_skips:
        return case
    rows = observations[observations["role"] == str(Role.UNLEARNED)]
    seen = set(zip(rows["attack"], rows["probe"], rows["measure"], strict=True))
    gone = {(one.attack, one.arm) for one in case.model_skips}
    arms = {name: tuple(arm for arm in own if (name, arm) not in gone) for name, own in case.served_arms.items()}
    return case.model_copy(
        update={
            "planned": tuple(one for one in case.planned if not _is_gone(one, case, seen)),
            "served_arms": {name: own for name, own in arms.items() if own},
            "left_out": tuple(dict.fromkeys((*case.left_out, *_lines(case.model_skips, jobs)))),
        }
    )


def _is_gone(planned: PlannedFinding, case: Case, seen: set[tuple[str, str, str]]) -> bool:
    if (planned.attack, planned.probe, planned.measure) in seen or any(map(planned.hit_by, case.model_faults)):
        return False
    return any(map(planned.hit_by, case.model_skips))


def _lines(skips: Sequence[FaultyJob], jobs: Sequence[JobRecord]) -> list[LeftOut]:
    """A line for each attack and reason; the whole attack where no arm of it is left."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in skips:
        found.setdefault((one.attack, one.message), []).append(one.arm)
    lines = []
    for (attack, why), several in found.items():
        own = list(dict.fromkeys(several))
        whole = {job.arm for job in jobs if job.attack == attack and job.role != Role.PLANT} <= set(own)
        what = attack if whole else f"{attack}: {listed(own, _NAMED)}"
        lines.append(LeftOut(what=what, why=why))
    return lines
