"""Spec -> plan: the cells, the findings that they will support, and what is left out, before any model is loaded."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import unlearn_audit
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    FactSet,
    Json,
    Probe,
    Role,
    ScoreKind,
    derive_seed,
)
from unlearn_audit.digests import sha256_json
from unlearn_audit.facts import Facts, chance_levels, check_disjoint, load_facts
from unlearn_audit.plugins import ATTACKS, PROBES, build
from unlearn_audit.references import Checkpoint, Storage, resolve
from unlearn_audit.result import Case, LeftOut, PlannedFinding
from unlearn_audit.spec import AuditSpec, SpecError

VERSIONED = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "gptqmodel", "numpy", "rouge-score")


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """One model of the audit, found on disk and not yet loaded."""

    role: Role
    name: str
    checkpoint: Checkpoint


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The unit of caching, retry and resume: one arm of one attack on one model, with one seed."""

    key: str
    attack: str
    arm: Arm
    model: PlannedModel
    seed: int
    probes: tuple[str, ...]

    @property
    def title(self) -> str:
        """For people: `relearning (lora lr0 fold1) on retrained-1`."""
        arm = "" if self.arm.name == self.attack else f" ({self.arm.name})"
        return f"{self.attack}{arm} on {self.model.name}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that will run, and everything that will not, with the reason."""

    spec: AuditSpec
    models: tuple[PlannedModel, ...]
    facts: Mapping[FactSet, Facts]
    attacks: Mapping[str, Attack[Any]]
    probes: Mapping[str, Probe[Any]]
    cells: tuple[Cell, ...]
    case: Case
    prepared_keys: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def model(self, role: Role) -> PlannedModel | None:
        """The first model of a role."""
        return next((model for model in self.models if model.role is role), None)

    def context(self, attack: str, seed: int, prepared: Mapping[str, Json] | None = None) -> AttackContext:
        """What an attack may use; the runner adds scratch space and the original."""
        return AttackContext(
            forget=self.facts[FactSet.FORGET].facts,
            retain=self.facts[FactSet.RETAIN].facts if FactSet.RETAIN in self.facts else (),
            profile=self.spec.profile,
            seed=derive_seed(self.spec.seed, attack, seed),
            prepared={"adapter_doses": self.audits_adapter, **(prepared or {})},
        )

    def as_json(self) -> dict[str, Json]:
        """The plan for `plan.json`: cells and findings as they were fixed before any evidence."""
        return {
            "cells": [
                {
                    "key": cell.key,
                    "attack": cell.attack,
                    "arm": cell.arm.name,
                    "model": cell.model.name,
                    "seed": cell.seed,
                    "probes": list(cell.probes),
                }
                for cell in self.cells
            ],
            "findings": [{"id": finding.id, "gates": finding.gates} for finding in self.case.planned],
            "left_out": [item.model_dump() for item in self.case.left_out],
        }

    @property
    def audits_adapter(self) -> bool:
        """Whether the checkpoint is an adapter, quantised both under and with its base."""
        model = self.model(Role.UNLEARNED)
        return model is not None and model.checkpoint.storage is Storage.ADAPTER


def make_plan(spec: AuditSpec) -> Plan:
    """Finds every file, refuses what cannot be audited, and lays out the cells.

    Raises:
        SpecError: the request cannot be carried out as it stands.
        AuditError: a file is unreadable or damaged.
    """
    facts = _facts(spec)
    models = _models(spec)
    attacks = build(ATTACKS, Attack, _with_baseline(spec), "attacks")  # type: ignore[type-abstract]
    probes = build(PROBES, Probe, spec.probes, "probes")  # type: ignore[type-abstract]
    draft = Plan(
        spec=spec,
        models=models,
        facts=facts,
        attacks=attacks,
        probes=probes,
        cells=(),
        case=Case(release=spec.release, subjects={}, has_original=False, planned=()),
        versions=versions(),
    )
    return _Planner(draft).finished()


class _Planner:
    """Lays out the cells of a draft, noting what it leaves out."""

    def __init__(self, draft: Plan) -> None:
        self._draft = draft
        self._left_out: list[LeftOut] = []
        self._prepared_keys: dict[str, str] = {}

    def finished(self) -> Plan:
        draft = self._draft
        attacks = {name: attack for name, attack in draft.attacks.items() if self._runs(name, attack)}
        probes = {name: probe for name, probe in draft.probes.items() if self._probes(name, probe)}
        cells = [cell for name, attack in attacks.items() for cell in self._cells(name, attack, probes)]
        order = {model.name: place for place, model in enumerate(draft.models)}
        cells.sort(key=lambda cell: order[cell.model.name])
        return Plan(
            spec=draft.spec,
            models=draft.models,
            facts=draft.facts,
            attacks=attacks,
            probes=probes,
            cells=tuple(cells),
            case=self._case(attacks, probes),
            prepared_keys=self._prepared_keys,
            versions=draft.versions,
        )

    def _runs(self, name: str, attack: Attack[Any]) -> bool:
        spec = self._draft.spec
        if spec.attacks is not None or spec.release.reaches(attack.access, served=attack.served):
            return True
        self._left_out.append(
            LeftOut(what=name, why=f"needs {attack.access}, which nobody has at release tier {spec.release}")
        )
        return False

    def _probes(self, name: str, probe: Probe[Any]) -> bool:
        if probe.reads in self._draft.facts:
            return True
        self._left_out.append(LeftOut(what=name, why=f"no {probe.reads} facts were given"))
        return False

    def _cells(self, name: str, attack: Attack[Any], probes: Mapping[str, Probe[Any]]) -> list[Cell]:
        draft = self._draft
        arms = self._arms(name, attack)
        original = draft.model(Role.ORIGINAL)
        if type(attack).prepare is not Attack.prepare and original is not None:
            self._prepared_keys[name] = self._key("prepare", name, original, ())
        cells = []
        for model in draft.models:
            for place, arm in enumerate(arms):
                wanted = _battery(attack, place, model.role, probes)
                for seed in range(draft.spec.seeds):
                    key = self._key(arm.name, name, model, wanted, arm=arm, seed=seed)
                    cells.append(Cell(key=key, attack=name, arm=arm, model=model, seed=seed, probes=wanted))
        return cells

    def _arms(self, name: str, attack: Attack[Any]) -> list[Arm]:
        draft = self._draft
        context = draft.context(name, 0)
        audited = draft.models[-1].checkpoint
        refused = attack.out_of_reach(
            context, weight_bytes=4 * audited.parameters, is_adapter=audited.storage is Storage.ADAPTER
        )
        self._left_out.extend(LeftOut(what=f"{name}: {item.what}", why=item.why) for item in refused)
        return [arm for arm in attack.arms(context) if not any(arm.name.startswith(item.what) for item in refused)]

    def _key(
        self,
        title: str,
        name: str,
        model: PlannedModel,
        probes: Sequence[str],
        *,
        arm: Arm | None = None,
        seed: int = 0,
    ) -> str:
        """Digest of all that the cell's evidence depends on."""
        draft = self._draft
        options = draft.spec.models.model_dump(mode="json", exclude={"base", "download", "allow_pickle"})
        content = {
            "model": model.checkpoint.digest,
            "attack": [name, draft.attacks[name].parameters.model_dump(mode="json")],
            "arm": [title, dict(arm.settings) if arm else None],
            "probes": {probe: draft.probes[probe].parameters.model_dump(mode="json") for probe in probes},
            "facts": {kind: facts.digest() for kind, facts in draft.facts.items()},
            "seed": [draft.spec.seed, seed],
            "profile": draft.spec.profile,
            "prepared": self._prepared_keys.get(name),
            "adapter": draft.audits_adapter,
            "options": options,
            "versions": dict(draft.versions),
        }
        return sha256_json(content)[:32]

    def _case(self, attacks: Mapping[str, Attack[Any]], probes: Mapping[str, Probe[Any]]) -> Case:
        draft = self._draft
        forget, retain = draft.facts[FactSet.FORGET], draft.facts.get(FactSet.RETAIN)
        planned = tuple(
            finding
            for name, attack in attacks.items()
            for probe_name, probe in probes.items()
            if probe.reads is FactSet.FORGET and (attack.baseline or attack.served or probe.under_attacks)
            for finding in self._findings(name, attack, probe_name, probe)
        )
        return Case(
            release=draft.spec.release,
            subjects=forget.subjects,
            retain_subjects=retain.subjects if retain else {},
            chance=chance_levels(forget.facts),
            has_original=draft.model(Role.ORIGINAL) is not None,
            controls=tuple(model.name for model in draft.models if model.role is Role.RETRAINED),
            planned=planned,
            left_out=tuple(self._left_out),
        )

    def _findings(
        self, attack_name: str, attack: Attack[Any], probe_name: str, probe: Probe[Any]
    ) -> list[PlannedFinding]:
        release = self._draft.spec.release
        reached = release.reaches(attack.access, served=attack.served) and release.reaches(probe.access)
        facts = self._draft.facts[FactSet.FORGET].facts
        rephrased = any(fact.paraphrases for fact in facts)
        passages = any(fact.question is None for fact in facts)
        found = []
        for measure in probe.measures:
            if measure.passages and not passages:
                continue
            exposures = (False, True) if attack.baseline and rephrased and measure.kind is ScoreKind.HIT else (False,)
            found += [
                PlannedFinding(
                    attack=attack_name,
                    probe=probe_name,
                    measure=measure.name,
                    kind=measure.kind,
                    access=max(attack.access, probe.access, key=list(Access).index),
                    gates=reached and measure.gates,
                    any_of=any_of,
                    refusal_proof=probe.refusal_proof,
                )
                for any_of in exposures
                if not any_of or not probe.refusal_proof
            ]
        return found


def _battery(attack: Attack[Any], place: int, role: Role, probes: Mapping[str, Probe[Any]]) -> tuple[str, ...]:
    """The probes of a cell: all under the baseline and the first served arm, else those meant for attacks."""
    whole = attack.baseline or (attack.served and place == 0)
    chosen = []
    for name, probe in probes.items():
        if probe.reads is not FactSet.FORGET:
            # What must stay is compared between checkpoint and original, un-attacked.
            if attack.baseline and role is not Role.RETRAINED:
                chosen.append(name)
        elif whole or probe.under_attacks:
            chosen.append(name)
    return tuple(chosen)


def _with_baseline(spec: AuditSpec) -> dict[str, dict[str, Any]] | None:
    if spec.attacks is None:
        return None
    return {"none": {}, **spec.attacks}


def _facts(spec: AuditSpec) -> dict[FactSet, Facts]:
    sources = {FactSet.FORGET: spec.forget, FactSet.RETAIN: spec.retain, FactSet.HOLDOUT: spec.holdout}
    facts = {name: load_facts(source, name, spec.columns) for name, source in sources.items() if source is not None}
    check_disjoint(facts[FactSet.FORGET], [found for name, found in facts.items() if name is not FactSet.FORGET])
    return facts


def _models(spec: AuditSpec) -> tuple[PlannedModel, ...]:
    """Original first (attacks prepare on it), then the controls, the checkpoint last."""
    named: list[tuple[Role, str, str]] = []
    if spec.original is not None:
        named.append((Role.ORIGINAL, "original", spec.original))
    for place, reference in enumerate(spec.retrained, 1):
        name = "retrained" if len(spec.retrained) == 1 else f"retrained-{place}"
        named.append((Role.RETRAINED, name, reference))
    named.append((Role.UNLEARNED, "unlearned", spec.checkpoint))
    options = spec.models
    models = tuple(
        PlannedModel(
            role=role,
            name=name,
            checkpoint=resolve(
                reference, base=options.base, download=options.download, allow_pickle=options.allow_pickle
            ),
        )
        for role, name, reference in named
    )
    _refuse_equal_controls(models)
    return models


def _refuse_equal_controls(models: Sequence[PlannedModel]) -> None:
    for control in models:
        if control.role is not Role.RETRAINED:
            continue
        for other in models:
            if other is not control and other.checkpoint.weights_digest == control.checkpoint.weights_digest:
                raise SpecError(
                    f"{control.checkpoint.reference}: the control {control.name} has the very weights of the "
                    f"{other.name} model ({other.checkpoint.reference}); a control is a model trained without the "
                    "forget set"
                )


def versions() -> dict[str, str]:
    """Versions that the evidence can depend on, read from package metadata (nothing is imported)."""
    found = {"unlearn-audit": unlearn_audit.__version__, "python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
