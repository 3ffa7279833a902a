"""One job: the doses of one arm on one model, each measured by the job's probes, as rows of evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

from unlearn_audit.api import AttackContext, Dose, Fact, FactSet, Json, Reading, derive_seed
from unlearn_audit.api.kit.screen import Screen, Screening
from unlearn_audit.errors import AttackError, AuditError
from unlearn_audit.evidence.agreement import AGREEMENT, counted
from unlearn_audit.models.engine import Engine
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job
from unlearn_audit.plan.stand_ins import PLACEBO
from unlearn_audit.run.isolation import as_engine, own_randomness, refused_when_changed
from unlearn_audit.run.jobs.saves import Part, Saves, answers_of, counts, learn
from unlearn_audit.run.transcripts import Outputs

Rows = list[dict[str, Any]]
Proof = dict[str, dict[str, Json]]


class Following(Protocol):
    """Who follows a job while it runs."""

    def began(self, dose: str, probe: str) -> None:
        """A probe begins to measure a dose."""

    def ended(self, dose: str, probe: str, means: Mapping[str, float]) -> None:
        """It has, or an earlier run had: the mean score by `probe.measure`."""

    def dose(self, dose: str, means: Mapping[str, float]) -> None:
        """All probes have."""


def observe(
    live: LivePlan,
    job: Job,
    engine: Engine,
    remembering: Engine,
    context: AttackContext,
    *,
    screens: Screens,
    outputs: Outputs,
    saves: Saves,
    following: Following,
) -> tuple[Rows, Proof]:
    """The observations of a job, and the proof that each dose gave.

    Args:
        live: the plan, with its facts and plug-ins.
        job: which arm, model and probes.
        engine: the model.
        remembering: the same, with the answers of earlier jobs.
        context: what the attack may use.
        screens: what was found in texts of earlier jobs.
        outputs: hears what the model answers.
        saves: what an earlier run measured of this job, and where each probe's part is kept.
        following: is told of every probe and dose.

    Raises:
        AttackError: no dose, one that was shown what it is scored on, or a probe that changed the model.
        IntegrityError: something that the job depends on has changed since the audit was planned.
    """
    attack = live.attacks[job.attack]
    rows: Rows = []
    proof: Proof = {}
    with closing(_as_generator(attack.doses(engine, job.arm, context))) as doses:
        for number, dose in enumerate(doses):
            model = remembering if dose.model is engine else as_engine(dose.model, f"dose {dose.label!r}").remembering()
            hygiene = screens.check(dose, context.forget)
            measuring = _Measuring(live, job, number, dose, model, outputs, saves, context.seed)
            parts = {}
            for probe in job.probes:
                following.began(dose.label, probe)
                parts[probe] = measuring.part(probe)
                following.ended(dose.label, probe, means_of(parts[probe].rows))
            found = [row for part in parts.values() for row in part.rows]
            agreement: dict[str, Json] = {name: one.agreement for name, one in parts.items() if one.agreement}
            rows += found
            proof[dose.label] = {**proof.get(dose.label, {}), **dose.proof, **hygiene}
            if agreement:
                proof[dose.label][AGREEMENT] = agreement
            following.dose(dose.label, means_of(found))
    if not rows:
        raise AttackError(f"{job.title}: expected at least one dose, got none")
    return rows, proof


@dataclass(frozen=True)
class _Measuring:
    """What the probes of a job measure at one dose, or measured in an earlier run."""

    live: LivePlan
    job: Job
    number: int
    dose: Dose
    model: Engine
    outputs: Outputs
    saves: Saves
    seed: int

    @cached_property
    def _check(self) -> Callable[[str], None]:
        return refused_when_changed(self.model, self.dose.label)

    def part(self, probe: str) -> Part:
        """What a probe measures, which is kept."""
        place = (self.number, self.dose.label, probe)
        part = self.saves.part(place)
        if part is not None:
            self.outputs.hear_again(part.heard)
            learn(self.model.memory, part.remembered)
            return part
        check = self._check  # looks at the model before the first of them
        part = self._measured(probe)
        check(probe)
        self.saves.keep(place, part)
        return part

    def _measured(self, probe: str) -> Part:
        """Global randomness is the probe's own: nothing differs after it where an earlier run measured it."""
        memory, label = self.model.memory, self.dose.label
        heard, known = len(self.outputs.heard()), counts(memory)
        listened = self.model.heard_by(partial(self.outputs.hear, self.job, label, probe))
        with own_randomness(derive_seed(self.seed, "probe", label, probe)):
            rows, agreement = _readings(self.live, self.job, probe, listened, self.dose)
        return Part(
            rows=rows, agreement=agreement, heard=self.outputs.heard(heard), remembered=answers_of(memory, known)
        )


class Screens:
    """Screens what doses were shown, once in a run for equal texts and facts: every role is shown the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, ...], frozenset[str] | None, tuple[Fact, ...]], Screening] = {}

    def check(self, dose: Dose, facts: tuple[Fact, ...]) -> dict[str, Json]:
        """What hygiene found, for the proof; nothing where the dose was shown no text.

        Raises:
            AttackError: a text gives away what is scored.
        """
        if not dose.shown and not dose.dropped:
            return {}
        key = (dose.shown, dose.fact_ids, facts)
        if key not in self._known:
            scored = [fact for fact in facts if dose.fact_ids is None or fact.id in dose.fact_ids]
            self._known[key] = Screen(scored, among=facts)(dose.shown)
        found = self._known[key]
        if found.dropped:
            raise AttackError(
                f"dose {dose.label!r}: {found.dropped} of the {len(dose.shown)} texts shown to the model give away a "
                "fact that it is scored on; the attack must drop them (api.Screen finds them)"
            )
        return {"hygiene": {"texts": len(dose.shown), "dropped": dose.dropped, "sharing_a_value": found.share_a_value}}


def _readings(live: LivePlan, job: Job, name: str, model: Engine, dose: Dose) -> tuple[Rows, dict[str, Json] | None]:
    """Rows of one probe at one dose, a placebo's score beside its fact's own; how often the judge and `match` agreed.

    The latter is None where no other judge was chosen.
    """
    probe = live.probes[name]
    pool = live.pool(probe.reads, sham=job.sham)
    chosen: Sequence[Fact] = pool
    placebo: Mapping[str, Fact] = {}
    if probe.reads is FactSet.FORGET:
        chosen = [fact for fact in pool if dose.fact_ids is None or fact.id in dose.fact_ids]
        placebo = {} if job.sham else live.placebo
    if not chosen:
        raise AttackError(f"dose {dose.label!r} leaves no fact to score")
    asked = [*chosen, *(placebo[fact.id] for fact in chosen if fact.id in placebo)]
    readings = _distinct(probe.observe(model, asked, pool), name, dose)
    unread = {fact.id for fact in asked} - {fact_id for fact_id, _, _ in readings}
    if unread:
        raise AuditError(f"probe {name}: gave no reading of {sorted(unread)[0]!r}; a missing score needs a reason")
    pairs = [(one.score == 1.0, one.matched) for one in readings.values() if one.matched is not None]
    rows = [
        _row(name, dose, reading, readings.get((PLACEBO + fact_id, measure, variant)))
        for (fact_id, measure, variant), reading in readings.items()
        if not fact_id.startswith(PLACEBO)
    ]
    return rows, counted(pairs) if pairs else None


def _row(probe: str, dose: Dose, reading: Reading, stand_in: Reading | None) -> dict[str, Any]:
    return {
        "dose": dose.label,
        "dose_value": dose.value,
        "probe": probe,
        "measure": reading.measure,
        "variant": reading.variant,
        "fact_id": reading.fact_id,
        "score": reading.score,
        "twin_score": reading.twin_score,
        "placebo_score": stand_in.score if stand_in else None,
        "missing": reading.missing,
    }


def _distinct(readings: Iterator[Reading], probe: str, dose: Dose) -> dict[tuple[str, str, str], Reading]:
    found: dict[tuple[str, str, str], Reading] = {}
    for reading in readings:
        place = (reading.fact_id, reading.measure, reading.variant)
        if place in found:
            raise AuditError(f"probe {probe}: {place} was read twice at dose {dose.label!r}")
        found[place] = reading
    return found


def means_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean score by `probe.measure`, of those facts that have one."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] is not None:
            sums.setdefault(f"{row['probe']}.{row['measure']}", []).append(row["score"])
    return {name: sum(scores) / len(scores) for name, scores in sums.items()}


def _as_generator(doses: Iterator[Dose]) -> Any:
    if not hasattr(doses, "close"):
        raise AttackError("doses() must be a generator, so that the attack can undo itself")
    return doses
