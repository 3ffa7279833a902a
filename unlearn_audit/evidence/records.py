"""What a run leaves on record besides the observations: models, data, jobs, comparisons, the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from unlearn_audit.api import Access, GroupReading
from unlearn_audit.api.judge import JudgeKind
from unlearn_audit.api.terms import CheckpointReference, Status
from unlearn_audit.evidence.costs import CostRecord


class Record(BaseModel):
    """Base of everything stored: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupRecord(GroupReading):
    """One number over models, with what it means besides its null.

    Attributes:
        status: `failed` where the number is proven further from its null than the margin, `passed` where it is proven
            within; `inconclusive` else, and `error` where there is none. None for a number without a null, and for
            one that is not of the checkpoint.
    """

    status: Status | None = None


class ComparisonRecord(Record):
    """What one comparison found, and by which features.

    Attributes:
        features: model -> digest of what was taken from it.
        error: why there is nothing, or not all.
    """

    name: str
    access: Access
    paper: str
    gates: bool = False
    readings: tuple[GroupRecord, ...] = ()
    features: dict[str, str] = Field({})
    seconds: float = 0.0
    error: str | None = None


class AgreementRecord(Record):
    """How far the judge and `match` agree on the same outputs of one probe, over all models, attacks and doses.

    Attributes:
        both: outputs that both call a hit; `judge_alone`, `match_alone`, `neither` likewise.
        equal: share of equal verdicts.
        kappa: Cohen's; None where both always say the same one thing.
    """

    probe: str
    both: int
    judge_alone: int
    match_alone: int
    neither: int
    equal: float
    kappa: float | None


class JudgeRecord(Record):
    """Who said whether outputs hold answers.

    Attributes:
        digest: of the model that judged, if one did.
        twins: most twins of an output that it judged.
    """

    kind: JudgeKind = JudgeKind.MATCH
    reference: CheckpointReference | None = None
    digest: str | None = None
    twins: int | None = None
    agreement: tuple[AgreementRecord, ...] = ()


class PluginRecord(Record):
    """Code that made evidence: which, of whom, and what it was when it ran.

    Attributes:
        distribution: that it was installed with; empty for a module that belongs to none.
        source: digest over its modules.
        libraries: distribution -> version, of what else it imports.
    """

    kind: str
    name: str
    distribution: str
    version: str
    source: str
    libraries: dict[str, str] = Field({})


class ModelRecord(Record):
    """One model of the audit, as it was loaded.

    Attributes:
        notes: what loading did that a reader must know (codes turned back into weights, settings not followed).
    """

    role: str
    name: str
    reference: CheckpointReference
    digest: str
    dtype: str
    device: str
    parameters: int
    chat_template: str
    architecture: str
    notes: tuple[str, ...] = ()


class DataRecord(Record):
    """One fact set, by digest."""

    set: str
    digest: str
    facts: int
    subjects: int


class JobRecord(Record):
    """One job that ran: its time, its evidence, and the proof that the attack happened.

    Attributes:
        cost: what it took, wherever it was run; None of a job that failed, or is of an older version.
    """

    key: str
    attack: str
    arm: str
    role: str
    model: str
    seed: int
    sham: bool = False
    status: str
    seconds: float
    observations: int
    digest: str
    events: tuple[str, ...] = ()
    proof: dict[str, dict[str, object]] = Field({})
    cost: CostRecord | None = None


class ShortOfPlateau(Record):
    """A job that trained, and whose last dose says that it did not go as far as it had to (`api.Dose.proof`).

    Attributes:
        model: its name; `doses` are the names of those of its doses that were not far enough.
        why: in a sentence.
    """

    attack: str
    arm: str
    model: str
    seed: int
    doses: tuple[str, ...]
    why: str


PLATEAU = "plateau"
"""Key of a dose's proof."""


def short_of_plateau(jobs: Sequence[JobRecord]) -> tuple[ShortOfPlateau, ...]:
    """The jobs of which no dose was at its plateau, though their attack says of each whether it was."""
    found = []
    for job in jobs:
        told = {dose: proof for dose, proof in job.proof.items() if isinstance(proof.get(PLATEAU), bool)}
        if told and not any(proof[PLATEAU] for proof in told.values()):
            last = max(told.values(), key=_steps)
            found.append(
                ShortOfPlateau(
                    attack=job.attack, arm=job.arm, model=job.model, seed=job.seed, doses=tuple(told), why=_why(last)
                )
            )
    return tuple(found)


def _steps(proof: Mapping[str, object]) -> float:
    steps = proof.get("steps")
    return float(steps) if isinstance(steps, int | float) else 0.0


def _why(last: Mapping[str, object]) -> str:
    if broken := last.get("broke_down"):
        return str(broken)
    share, since = last.get("own_lessons_answered"), last.get("answered_since_step")
    answers = f"answers {share:.0%} of its own lessons" if isinstance(share, float) else "is not at its plateau"
    known = "" if since is None else f", nine tenths of them only since step {since}"
    return f"after {_steps(last):g} steps the training {answers}{known}"
