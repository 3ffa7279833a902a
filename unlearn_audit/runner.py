"""Plan -> evidence: each model is loaded once, its cells run one after the other, each stored when it is whole."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch

from unlearn_audit.api import AttackContext, AttackError, AuditError, Dose, Fact, FactSet, Json, Role
from unlearn_audit.engine import Engine
from unlearn_audit.evidence import CellEvidence, EvidenceStore
from unlearn_audit.models import load_weights, loaded, record
from unlearn_audit.plan import Cell, Plan, PlannedModel
from unlearn_audit.result import CellRecord, FaultyCell, ModelRecord


class Progress(Protocol):
    """Who is told how far the run is."""

    def begin(self, cells: Sequence[Cell], done: Sequence[Cell]) -> None:
        """All cells of the plan, and those that earlier runs finished."""

    def loading(self, model: PlannedModel) -> None:
        """A model is being loaded."""

    def preparing(self, attack: str) -> None:
        """An attack makes its choices on the original."""

    def started(self, cell: Cell) -> None:
        """A cell has begun."""

    def dose(self, cell: Cell, label: str, hits: Mapping[str, float]) -> None:
        """A dose was measured; mean score by `probe.measure`."""

    def finished(self, cell: Cell, seconds: float, fault: str | None) -> None:
        """A cell has ended, well or not."""


@dataclass(kw_only=True)
class Gathered:
    """What a run left behind, beside the evidence on disk."""

    models: list[ModelRecord] = field(default_factory=list)
    faults: list[FaultyCell] = field(default_factory=list)


def run(plan: Plan, store: EvidenceStore, progress: Progress) -> Gathered:
    """Runs every cell that is not done yet. A cell that fails becomes a fault; an interrupt loses the running one."""
    gathered = Gathered()
    done = [cell for cell in plan.cells if store.has(cell.key)]
    progress.begin(plan.cells, done)
    original = _original_weights(plan)
    for model in plan.models:
        pending = [cell for cell in plan.cells if cell.model is model and not store.has(cell.key)]
        # Two roles with the same weights share their cells: the second finds them done.
        if pending:
            _run_model(_Work(plan, store, progress, gathered, original), model, pending)
        gathered.models.append(_model_record(store, model))
    return gathered


@dataclass(frozen=True)
class _Work:
    plan: Plan
    store: EvidenceStore
    progress: Progress
    gathered: Gathered
    original: Any


def _run_model(work: _Work, model: PlannedModel, pending: Sequence[Cell]) -> None:
    work.progress.loading(model)
    left = list(pending)
    try:
        with loaded(model.checkpoint, work.plan.spec.models) as engine:
            about = record(model.role, model.name, model.checkpoint, engine)
            work.store.put_note(_record_key(model), about.model_dump(mode="json"))
            if model.role is Role.ORIGINAL:
                _prepare(work, engine, {cell.attack for cell in work.plan.cells})
            remembering = engine.remembering()
            while left:
                _run_cell(work, engine, remembering, left[0])
                left.pop(0)
    except AuditError as error:
        for cell in left:
            _fault(work, cell, str(error), 0.0)


def _prepare(work: _Work, engine: Engine, attacks: set[str]) -> None:
    """Lets attacks make their choices on the original, unless an earlier run did."""
    for name, key in work.plan.prepared_keys.items():
        if name not in attacks or work.store.note(key) is not None:
            continue
        attack = work.plan.attacks[name]
        work.progress.preparing(name)
        with _context(work, name, 0, None) as context, _own_randomness(context.seed):
            work.store.put_note(key, dict(attack.prepare(engine, context)))


def _run_cell(work: _Work, engine: Engine, remembering: Engine, cell: Cell) -> None:
    work.progress.started(cell)
    begun = time.monotonic()
    before, events = fingerprint(engine.module), len(engine.budget.events)
    fault = None
    try:
        rows, proof = _observe(work, engine, remembering, cell)
    except Exception as error:  # a plug-in's failure is evidence: an ERROR, never a pass
        _log_traceback(work.store.run, cell)
        fault = _message(error)
    seconds = time.monotonic() - begun
    # Before anything is stored: a cell that is kept is never run, and so never found out, again.
    if fingerprint(engine.module) != before:
        raise AttackError(f"{cell.title}: left the model changed behind it; nothing of it or after it counts")
    if fault is not None:
        _fault(work, cell, fault, seconds)
        return
    evidence = CellEvidence(
        rows=rows,
        proof=proof,
        events=engine.budget.events[events:],
        seconds=seconds,
        about={"attack": cell.attack, "arm": cell.arm.name},
    )
    work.store.put(cell.key, evidence)
    work.progress.finished(cell, seconds, None)


def _observe(
    work: _Work, engine: Engine, remembering: Engine, cell: Cell
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Json]]]:
    """The observations of a cell, as rows, and the proof that each dose gave."""
    attack = work.plan.attacks[cell.attack]
    rows: list[dict[str, Any]] = []
    proof: dict[str, dict[str, Json]] = {}
    with (
        _context(work, cell.attack, cell.seed, cell.model) as context,
        _own_randomness(context.seed),
        closing(_as_generator(attack.doses(engine, cell.arm, context))) as doses,
    ):
        for dose in doses:
            model = remembering if dose.model is engine else _engine(dose).remembering()
            found = [row for probe in cell.probes for row in _readings(work.plan, probe, model, dose)]
            rows += found
            proof[dose.label] = {**proof.get(dose.label, {}), **dose.proof}
            work.progress.dose(cell, dose.label, _means(found))
    if not rows:
        raise AttackError(f"{cell.title}: gave no dose to measure")
    return rows, proof


def _readings(plan: Plan, name: str, model: Engine, dose: Dose) -> Iterator[dict[str, Any]]:
    probe = plan.probes[name]
    pool = plan.facts[probe.reads].facts
    chosen: Sequence[Fact] = pool
    if dose.fact_ids is not None and probe.reads is FactSet.FORGET:
        chosen = [fact for fact in pool if fact.id in dose.fact_ids]
    if not chosen:
        raise AttackError(f"dose {dose.label!r} leaves no fact to score")
    seen: set[tuple[str, str, str]] = set()
    for reading in probe.observe(model, chosen, pool):
        place = (reading.fact_id, reading.measure, reading.variant)
        if place in seen:
            raise AuditError(f"probe {name}: {place} was read twice at dose {dose.label!r}")
        seen.add(place)
        yield {
            "dose": dose.label,
            "dose_value": dose.value,
            "probe": name,
            "measure": reading.measure,
            "variant": reading.variant,
            "fact_id": reading.fact_id,
            "score": reading.score,
            "twin_score": reading.twin_score,
            "missing": reading.missing,
        }
    unread = {fact.id for fact in chosen} - {fact_id for fact_id, _, _ in seen}
    if unread:
        raise AuditError(f"probe {name}: gave no reading of {sorted(unread)[0]!r}; a missing score needs a reason")


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        if row["score"] is not None:
            sums.setdefault(f"{row['probe']}.{row['measure']}", []).append(row["score"])
    return {name: sum(scores) / len(scores) for name, scores in sums.items()}


@contextmanager
def _context(work: _Work, attack: str, seed: int, model: PlannedModel | None) -> Iterator[AttackContext]:
    """The attack's context with scratch space that is removed, and the original for diagnostics of other roles."""
    key = work.plan.prepared_keys.get(attack)
    prepared = work.store.note(key) if key and model is not None else None
    with tempfile.TemporaryDirectory(prefix="unlearn-audit-") as scratch:
        context = work.plan.context(attack, seed, prepared)
        compares = model is not None and model.role is not Role.ORIGINAL
        yield replace(context, scratch=Path(scratch), original=work.original if compares else lambda: None)


def _original_weights(plan: Plan) -> Any:
    """Loads the original's bare weights when first asked, once a run."""
    model = plan.model(Role.ORIGINAL)

    @cache
    def weights() -> torch.nn.Module | None:
        return None if model is None else load_weights(model.checkpoint, plan.spec.models)

    return weights


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Global randomness that plug-ins may use by accident is seeded, and the caller's restored."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


def fingerprint(module: torch.nn.Module) -> tuple[float, ...]:
    """Sums over every floating-point weight: differs if an attack wrote into the model it was given."""
    sums = [parameter.detach().double().sum() for parameter in module.parameters() if parameter.is_floating_point()]
    return tuple(float(total) for total in sums)


def _engine(dose: Dose) -> Engine:
    if not isinstance(dose.model, Engine):
        raise AttackError(f"dose {dose.label!r}: its model must come from fork() or with_module()")
    return dose.model


def _as_generator(doses: Iterator[Dose]) -> Any:
    if not hasattr(doses, "close"):
        raise AttackError("doses() must be a generator, so that the attack can undo itself")
    return doses


def _fault(work: _Work, cell: Cell, message: str, seconds: float) -> None:
    work.gathered.faults.append(
        FaultyCell(attack=cell.attack, arm=cell.arm.name, model=cell.model.name, message=message)
    )
    work.progress.finished(cell, seconds, message)


def _message(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, AuditError) else f"{type(error).__name__}: {text}"


def _log_traceback(run: Path, cell: Cell) -> None:
    with (run / "errors.log").open("a", encoding="utf-8") as log:
        log.write(f"{cell.title}\n{traceback.format_exc()}\n")


def _record_key(model: PlannedModel) -> str:
    return f"model-{model.checkpoint.digest[:32]}"


def _model_record(store: EvidenceStore, model: PlannedModel) -> ModelRecord:
    """How the model was loaded, now or in the run that gave its cells."""
    unloaded = dict.fromkeys(("dtype", "device", "chat_template", "architecture"), "not loaded")
    about = store.note(_record_key(model)) or {**unloaded, "parameters": model.checkpoint.parameters}
    named = {"role": model.role, "name": model.name, "reference": model.checkpoint.reference}
    return ModelRecord.model_validate({**about, **named, "digest": model.checkpoint.digest})


def cell_records(plan: Plan, store: EvidenceStore, faults: Sequence[FaultyCell]) -> list[CellRecord]:
    """One record a cell, done or faulty, for the result."""
    faulty = {(fault.attack, fault.arm, fault.model) for fault in faults}
    records = []
    for cell in plan.cells:
        shared = {
            "key": cell.key,
            "attack": cell.attack,
            "arm": cell.arm.name,
            "role": cell.model.role,
            "model": cell.model.name,
            "seed": cell.seed,
        }
        if (cell.attack, cell.arm.name, cell.model.name) in faulty or not store.has(cell.key):
            records.append(CellRecord(**shared, status="error", seconds=0, observations=0, digest=""))
            continue
        about = store.about(cell.key)
        records.append(
            CellRecord(
                **shared,
                status="done",
                seconds=about["seconds"],
                observations=about["observations"],
                digest=about["digest"],
                events=tuple(about["events"]),
                proof=about["proof"],
            )
        )
    return records
