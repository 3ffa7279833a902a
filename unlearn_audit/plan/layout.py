"""Lays out an audit: which arm of which attack runs on which model, with which probes, and what is skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from unlearn_audit.api import Arm, Attack, AttackContext, FactSet, Json, OutOfReach, Probe, Profile, Role
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.errors import SpecError
from unlearn_audit.models.references import Storage
from unlearn_audit.plan.case import Case, LeftOut
from unlearn_audit.plan.findings import (
    HAS_QUESTION,
    NO_QUESTION,
    blind_measures,
    has_passages,
    meets_all,
    meets_all_as_served,
    meets_attacks,
    planned_findings,
    unscorable,
)
from unlearn_audit.plan.keys import JobKeys
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Extraction, Job, Plan, PlannedModel, PlannedPlant, Settings


def lay_out(draft: LivePlan) -> Plan:
    """The plan with its jobs and its case.

    Args:
        draft: plug-ins and facts, with a plan that has no jobs yet.

    Raises:
        SpecError: plants were requested, but there is no original to make them from.
    """
    return _Layout(draft).finished()


class _Layout:
    """Lays out the jobs of a draft plan, noting what it skips."""

    def __init__(self, draft: LivePlan) -> None:
        self._draft = draft
        self._left_out: list[LeftOut] = []
        self._keys = JobKeys(draft)

    def finished(self) -> Plan:
        """The plan with its jobs and its case."""
        draft = self._draft
        attacks = {
            name: attack
            for name, attack in draft.attacks.items()
            if self._runs(name, attack) and self._applies(name, attack)
        }
        probes = {name: probe for name, probe in draft.probes.items() if self._probes(name, probe)}
        self._keys.add_preparations(probes)
        if draft.plan.generator is not None and not self._keys.written:
            self._left_out.append(LeftOut(what="generator", why="no probe in this audit uses a generator"))
        jobs = [job for name, attack in attacks.items() for job in self._jobs(name, attack, probes)]
        order = {model.name: place for place, model in enumerate(draft.plan.loaded)}
        jobs.sort(key=lambda job: order[job.model.name])
        plants = self._plant_jobs(attacks, probes) if draft.plan.spec.plant else None
        extractions = tuple(self._extractions())
        return draft.plan.model_copy(
            update={
                "plugins": draft.code(),
                "attacks": _settings(attacks),
                "probes": _settings(probes),
                "comparisons": _settings(draft.comparisons),
                "jobs": (*jobs, *(plants or ())),
                "extractions": extractions,
                "case": self._case(attacks, probes, plants),
                "prepared_keys": self._keys.prepared,
                "written_keys": self._keys.written,
                "probe_keys": self._keys.made_by_probes,
            }
        )

    def _runs(self, name: str, attack: Attack[Any]) -> bool:
        spec = self._draft.plan.spec
        if name in spec.too_dear:
            self._left_out.append(
                LeftOut(what=name, why=f"it does not fit into the budget of {spec.budget} (--budget)")
            )
            return False
        if attack.toward_answers and not self._draft.sham:
            why = "it optimizes toward answers, and no fact has a twin answer (another answer to the same relation)"
            self._left_out.append(LeftOut(what=name, why=f"{why} to subtract what it can make a model say"))
            return False
        if spec.attacks is not None:
            return True
        if spec.profile not in attack.profiles and not spec.policy.names(name):
            self._left_out.append(LeftOut(what=name, why=_elsewhere(spec.profile, attack.profiles, "attacks")))
            return False
        if spec.release.reaches(attack.access, served=attack.served):
            return True
        self._left_out.append(
            LeftOut(what=name, why=f"it needs {attack.access} access, which no one has at release tier {spec.release}")
        )
        return False

    def _applies(self, name: str, attack: Attack[Any]) -> bool:
        """Whether there is anything in this checkpoint for the attack to work on."""
        context = self._draft.context(name, 0)
        refused = self._refused(attack, context)
        if self._runnable(attack, context) or any(item.applies for item in refused):
            return True
        self._left_out.extend(LeftOut(what=name, why=item.why) for item in refused)
        return not refused

    def _probes(self, name: str, probe: Probe[Any]) -> bool:
        spec = self._draft.plan.spec
        if spec.probes is None and spec.profile not in probe.profiles and not spec.policy.names(name):
            self._left_out.append(LeftOut(what=name, why=_elsewhere(spec.profile, probe.profiles, "probes")))
            return False
        if probe.reads in self._draft.facts:
            return True
        self._left_out.append(LeftOut(what=name, why=f"it needs {probe.reads} facts; none were given"))
        return False

    def _parted(self, probes: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Probes for one job, and a job of its own for each probe for which something is made."""
        own = [name for name in probes if self._keys.has_made(name)]
        shared = tuple(name for name in probes if name not in own)
        return [*([shared] if shared or not own else []), *((name,) for name in own)]

    def _extractions(self) -> Iterator[Extraction]:
        """What each comparison takes from each model, for comparisons that have all that they need."""
        draft = self._draft
        roles = {model.role for model in draft.plan.models}
        spec = draft.plan.spec
        for name, comparison in draft.comparisons.items():
            if spec.comparisons is None and spec.profile not in comparison.profiles and not spec.policy.names(name):
                why = _elsewhere(spec.profile, comparison.profiles, "comparisons")
                self._left_out.append(LeftOut(what=name, why=why))
                continue
            absent = [f"{part} facts" for part in comparison.reads if part not in draft.facts]
            absent += [f"{role} model" for role in comparison.roles if role not in roles]
            if absent:
                self._left_out.append(LeftOut(what=name, why=f"it needs {', '.join(absent)}, which was not given"))
                continue
            if spec.comparisons is None and not spec.release.reaches(comparison.access):
                self._left_out.append(
                    LeftOut(what=name, why=f"needs {comparison.access}, which no one has at {spec.release}")
                )
                continue
            for model in draft.plan.models:
                yield Extraction(key=self._keys.of_features(name, comparison, model), comparison=name, model=model)

    def _jobs(self, name: str, attack: Attack[Any], probes: Mapping[str, Probe[Any]]) -> list[Job]:
        draft = self._draft
        arms = self._arms(name, attack)
        original = draft.plan.model(Role.ORIGINAL)
        if type(attack).prepare is not Attack.prepare and original is not None:
            self._keys.prepared[name] = self._keys.of_job("prepare", name, original, ())
        return [
            self._job(name, arm, self._met(attack, place, model), seed, part, sham=sham)
            for model in draft.plan.models
            for place, arm in enumerate(arms)
            for part in self._parted(self._battery(attack, place, model.role, probes))
            for seed in self._seeds(attack, arm)
            for sham in _shams(attack)
        ]

    def _seeds(self, attack: Attack[Any], arm: Arm) -> range:
        """The seeds of an arm: one where nothing is drawn, and where nobody asks to repeat it."""
        spec = self._draft.plan.spec
        repeated = attack.seeded and (arm.repeated or spec.seeds is not None)
        return range(spec.repeats if repeated else 1)

    def _met(self, attack: Attack[Any], place: int, model: PlannedModel) -> PlannedModel:
        """The model that an arm runs on: in the checkpoint's role, an arm of artefacts has the artefact."""
        in_place = attack.of_artifacts and model.role is Role.UNLEARNED
        return self._draft.plan.served[place] if in_place else model

    def _job(
        self,
        attack: str,
        arm: Arm,
        model: PlannedModel,
        seed: int,
        probes: tuple[str, ...],
        *,
        sham: bool = False,
        plant: PlannedPlant | None = None,
    ) -> Job:
        if sham:  # what must stay has no twin answers
            probes = tuple(name for name in probes if self._draft.probes[name].reads is FactSet.FORGET)
        made = {"sham": sham, "plant": None if plant is None else self._maker(plant)}
        key = self._keys.of_job(arm.name, attack, model, probes, arm=arm, seed=seed, made=made)
        own = next(filter(self._keys.has_made, probes), None)
        return Job(
            key=key,
            attack=attack,
            arm=arm,
            model=model,
            seed=seed,
            probes=probes,
            sham=sham,
            plant=plant,
            own_probe=own,
        )

    def _maker(self, plant: PlannedPlant) -> Json:
        """Whose parameters are part of what a plant is: the attack's that names it first."""
        parameters = self._draft.attacks[plant.attack].parameters.model_dump(mode="json")
        return [plant.name, plant.attack, parameters]

    def _plant_jobs(self, attacks: Mapping[str, Attack[Any]], probes: Mapping[str, Probe[Any]]) -> list[Job]:
        """Each plant under the arms that are to undo it and under the baseline, plant by plant (design 6.2)."""
        draft = self._draft
        original = draft.plan.model(Role.ORIGINAL)
        if original is None:
            raise SpecError("--plant makes positive controls from the original; give --original")
        plants: dict[str, PlannedPlant] = {}
        jobs: list[Job] = []
        for name, attack in attacks.items():
            context = draft.context(name, 0)
            for place, arm in enumerate(self._runnable(attack, context)):
                probed = self._battery(attack, place, Role.PLANT, probes)
                for planting in attack.plantings(arm, context):
                    made = PlannedPlant(name=planting.name, kind=planting.kind, attack=name, arm=arm)
                    plant = plants.setdefault(planting.name, made)
                    jobs += self._planted(name, attack, arm, plant, original, probed)
        baseline = next(name for name, attack in attacks.items() if attack.baseline)
        asked = self._battery(attacks[baseline], 0, Role.PLANT, probes)
        (arm,) = attacks[baseline].arms(draft.context(baseline, 0))
        for plant in plants.values():
            jobs += self._planted(baseline, attacks[baseline], arm, plant, original, asked)
        return sorted(jobs, key=lambda job: job.model.name)

    def _battery(
        self, attack: Attack[Any], place: int, role: Role, probes: Mapping[str, Probe[Any]]
    ) -> tuple[str, ...]:
        """The probes of a job: the whole battery where an arm meets it, else those for attacks."""
        whole = meets_all(attack, place, as_served=meets_all_as_served(self._draft.plan.spec))
        passages = has_passages(self._draft.facts[FactSet.FORGET].facts)
        chosen = []
        for name, probe in probes.items():
            if probe.reads is not FactSet.FORGET:
                # What must stay is compared between checkpoint and original, un-attacked.
                if attack.baseline and role in (Role.ORIGINAL, Role.UNLEARNED):
                    chosen.append(name)
            elif whole or meets_attacks(probe, passages=passages):
                chosen.append(name)
        return tuple(chosen)

    def _planted(
        self,
        name: str,
        attack: Attack[Any],
        arm: Arm,
        plant: PlannedPlant,
        original: PlannedModel,
        probes: tuple[str, ...],
    ) -> list[Job]:
        model = PlannedModel(role=Role.PLANT, name=f"{plant.name} plant", checkpoint=original.checkpoint)
        return [
            self._job(name, arm, model, seed, part, sham=sham, plant=plant)
            for part in self._parted(probes)
            for seed in self._seeds(attack, arm)
            for sham in _shams(attack)
        ]

    def _arms(self, name: str, attack: Attack[Any]) -> list[Arm]:
        context = self._draft.context(name, 0)
        refused = self._refused(attack, context)
        self._left_out.extend(LeftOut(what=f"{name}: {item.what}", why=item.why) for item in refused)
        return self._runnable(attack, context)

    def _runnable(self, attack: Attack[Any], context: AttackContext) -> list[Arm]:
        refused = self._refused(attack, context)
        return [arm for arm in attack.arms(context) if not any(item.names(arm) for item in refused)]

    def _refused(self, attack: Attack[Any], context: AttackContext) -> Sequence[OutOfReach]:
        audited = self._draft.plan.models[-1].checkpoint
        is_adapter = audited.storage is Storage.ADAPTER
        return attack.out_of_reach(context, weight_bytes=4 * audited.extent.weights, is_adapter=is_adapter)

    def _case(
        self, attacks: Mapping[str, Attack[Any]], probes: Mapping[str, Probe[Any]], plants: Sequence[Job] | None
    ) -> Case:
        draft = self._draft
        forget = draft.facts[FactSet.FORGET]
        blind = blind_measures(forget.facts, unscorable(forget.facts, probes, draft.outlooks))
        deciding = {(name, one.name) for name, probe in probes.items() for one in probe.measures if one.gates}
        for (name, measure), why in blind.items():
            if (name, measure) in deciding and why not in (HAS_QUESTION, NO_QUESTION):
                self._left_out.append(LeftOut(what=f"{name}.{measure}", why=f"it can score no fact ({why})"))
        return Case(
            release=draft.plan.spec.release,
            subjects={},  # `LivePlan.case` adds what follows from the facts: a plan names nobody
            checkpoint=draft.plan.models[-1].checkpoint.digest,
            plants=None if plants is None else {name: _plants_of(name, plants) for name in attacks},
            plant_kinds={job.model.name: job.plant.kind for job in plants or () if job.plant is not None},
            plant_arms=_plant_arms(plants or (), attacks),
            has_original=draft.plan.model(Role.ORIGINAL) is not None,
            controls=tuple(model.name for model in draft.plan.models if model.role is Role.RETRAINED),
            planned=planned_findings(
                draft.plan.spec.release,
                forget.facts,
                attacks,
                probes,
                blind.keys(),
                as_served=meets_all_as_served(draft.plan.spec),
            ),
            served_arms={
                name: tuple(arm.name for arm in self._runnable(attack, draft.context(name, 0)))
                for name, attack in attacks.items()
                if attack.served
            },
            left_out=tuple(self._left_out),
        )


def _elsewhere(profile: Profile, profiles: Collection[Profile], key: str) -> str:
    others = " and ".join(each for each in Profile if each in profiles)
    return f"it is not in the profile {profile}, only in {others}; name it under `{key}` to run it"


def _shams(attack: Attack[Any]) -> tuple[bool, ...]:
    return (False, True) if attack.toward_answers else (False,)


def _plants_of(attack: str, jobs: Sequence[Job]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(job.model.name for job in jobs if job.attack == attack))


def _plant_arms(jobs: Sequence[Job], attacks: Mapping[str, Attack[Any]]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Attack -> plant -> the arms that are to undo it."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for job in jobs:
        if not attacks[job.attack].baseline:
            found.setdefault(job.attack, {}).setdefault(job.model.name, {})[job.arm.name] = None
    return {attack: {plant: tuple(arms) for plant, arms in plants.items()} for attack, plants in found.items()}


def _settings(plugins: Mapping[str, Attack[Any] | Probe[Any] | Comparison[Any]]) -> dict[str, Settings]:
    """The parameters of plug-ins, as they are built again from where the plan runs."""
    return {name: plugin.parameters.model_dump(mode="json") for name, plugin in plugins.items()}
