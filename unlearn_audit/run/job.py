"""One job: the doses of one arm on one model, each measured by the job's probes, as rows of evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from unlearn_audit.api import AttackContext, Dose, Fact, FactSet, Generation, Json, Prompt, Reading
from unlearn_audit.api.kit.screen import Screen, Screening
from unlearn_audit.errors import AttackError, AuditError
from unlearn_audit.evidence.agreement import AGREEMENT, counted
from unlearn_audit.models.engine import Engine
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job
from unlearn_audit.plan.stand_ins import PLACEBO
from unlearn_audit.run.isolation import as_engine

Rows = list[dict[str, Any]]
Proof = dict[str, dict[str, Json]]
Telling = Callable[[str, Mapping[str, float]], None]
Hearing = Callable[[str, str, Sequence[Prompt], Sequence[Generation]], None]


def observe(
    live: LivePlan,
    job: Job,
    engine: Engine,
    remembering: Engine,
    context: AttackContext,
    *,
    screens: Screens,
    tell: Telling,
    hear: Hearing,
) -> tuple[Rows, Proof]:
    """The observations of a job, and the proof that each dose gave.

    Args:
        live: the plan, with its facts and plug-ins.
        job: which arm, model and probes.
        engine: the model.
        remembering: the same, with the answers of earlier jobs.
        context: what the attack may use.
        screens: what was found in texts of earlier jobs.
        tell: is called after every dose with its label and the mean score by `probe.measure`.
        hear: is called with dose, probe, prompts and answers whenever a probe has the model write.

    Raises:
        AttackError: no dose, or one that was shown what it is scored on.
    """
    attack = live.attacks[job.attack]
    rows: Rows = []
    proof: Proof = {}
    with closing(_as_generator(attack.doses(engine, job.arm, context))) as doses:
        for dose in doses:
            model = remembering if dose.model is engine else as_engine(dose.model, f"dose {dose.label!r}").remembering()
            hygiene = screens.check(dose, context.forget)
            agreement: dict[str, Json] = {}
            found = [
                row
                for probe in job.probes
                for row in _readings(
                    live, job, probe, model.heard_by(partial(hear, dose.label, probe)), dose, agreement
                )
            ]
            rows += found
            proof[dose.label] = {**proof.get(dose.label, {}), **dose.proof, **hygiene}
            if agreement:
                proof[dose.label][AGREEMENT] = agreement
            tell(dose.label, _means(found))
    if not rows:
        raise AttackError(f"{job.title}: expected at least one dose, got none")
    return rows, proof


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


def _readings(
    live: LivePlan, job: Job, name: str, model: Engine, dose: Dose, agreement: dict[str, Json]
) -> Iterator[dict[str, Any]]:
    """Rows of one probe at one dose; a placebo's score goes with its fact's own.

    How often the judge and `match` agreed is noted in `agreement`, where another judge was chosen.
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
    if pairs:
        agreement[name] = counted(pairs)
    for (fact_id, measure, variant), reading in readings.items():
        if fact_id.startswith(PLACEBO):
            continue
        stand_in = readings.get((PLACEBO + fact_id, measure, variant))
        yield {
            "dose": dose.label,
            "dose_value": dose.value,
            "probe": name,
            "measure": measure,
            "variant": variant,
            "fact_id": fact_id,
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


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] is not None:
            sums.setdefault(f"{row['probe']}.{row['measure']}", []).append(row["score"])
    return {name: sum(scores) / len(scores) for name, scores in sums.items()}


def _as_generator(doses: Iterator[Dose]) -> Any:
    if not hasattr(doses, "close"):
        raise AttackError("doses() must be a generator, so that the attack can undo itself")
    return doses
