"""A plan where it runs: its plug-ins found by name, its facts read and checked against the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from unlearn_audit.api import Attack, AttackContext, Fact, FactSet, Json, Outlook, Planting, Probe, Role, derive_seed
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.extent import Audited
from unlearn_audit.api.plugins import ATTACKS, COMPARISONS, PROBES, build
from unlearn_audit.errors import AuditError, IntegrityError
from unlearn_audit.evidence.records import PluginRecord
from unlearn_audit.facts.keys import key_remarks
from unlearn_audit.facts.load import Facts, chance_levels, load_facts
from unlearn_audit.facts.privacy import Withheld
from unlearn_audit.plan.case import Case
from unlearn_audit.plan.findings import unscorable
from unlearn_audit.plan.plan import Job, Plan, artifact_name
from unlearn_audit.plan.provenance import engine_source, provenance
from unlearn_audit.plan.stand_ins import placebo_facts, sham_facts


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """A plan with everything that it names, in the process that runs it.

    Attributes:
        placebo: fact id -> its placebo, where there is no retrained model.
        sham: the forget facts with twin answers, where an attack optimizes toward answers.
    """

    plan: Plan
    facts: Mapping[FactSet, Facts]
    attacks: Mapping[str, Attack[Any]]
    probes: Mapping[str, Probe[Any]]
    comparisons: Mapping[str, Comparison[Any]] = field(default_factory=dict)
    placebo: Mapping[str, Fact] = field(default_factory=dict)
    sham: tuple[Fact, ...] = ()

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about the facts' rows."""
        retrained = self.plan.model(Role.RETRAINED) is not None
        told = tuple(remark for facts in self.facts.values() for remark in facts.remarks)
        return told + key_remarks(self.pool(FactSet.FORGET), has_control=retrained)

    @cached_property
    def withheld(self) -> Withheld:
        """What of its facts stays out of everything that a run writes or says."""
        return Withheld(self.facts)

    @cached_property
    def outlooks(self) -> dict[str, dict[str, Outlook]]:
        """Probe -> measure -> what the probe knows of it before the run, for the forget set."""
        forget = self.pool(FactSet.FORGET)
        return {
            name: dict(probe.outlook(forget)) for name, probe in self.probes.items() if probe.reads is FactSet.FORGET
        }

    @property
    def case(self) -> Case:
        """The whole case: what the plan fixed, with the subjects, by pseudonym, and chance levels of its facts."""
        forget = self.pool(FactSet.FORGET)
        people = {
            "subjects": self.withheld.subjects(FactSet.FORGET),
            "retain_subjects": self.withheld.subjects(FactSet.RETAIN),
            "retain_parts": {one.id: one.part for one in self.pool(FactSet.RETAIN) if one.part},
            "chance": chance_levels(forget),
            "levels": {
                f"{probe}.{measure}": {fact: round(level, 6) for fact, level in outlook.levels.items()}
                for probe, found in self.outlooks.items()
                for measure, outlook in found.items()
                if outlook.levels
            },
            "unscorable": {
                f"{probe}.{measure}": tuple(missing)
                for (probe, measure), missing in unscorable(forget, self.probes, self.outlooks).items()
                if len(missing) < len(forget)  # else the measure is not planned
            },
            "clusters": self.withheld.clusters(FactSet.FORGET),
            "relations": {one.id: one.relation for one in forget if one.relation},
        }
        return self.plan.case.model_copy(update=people)

    def code(self) -> tuple[PluginRecord, ...]:
        """Where each plug-in comes from, and what its code is."""
        kinds: dict[str, Mapping[str, object]] = {
            "attack": self.attacks,
            "probe": self.probes,
            "comparison": self.comparisons,
        }
        return tuple(
            provenance(kind, name, type(plugin)) for kind, found in kinds.items() for name, plugin in found.items()
        )

    def pool(self, name: FactSet, *, sham: bool = False) -> tuple[Fact, ...]:
        """The facts of a set; with `sham` the forget set with twin answers. Empty where none were given."""
        if sham and name is FactSet.FORGET:
            return self.sham
        return self.facts[name].facts if name in self.facts else ()

    def context(
        self,
        attack: str,
        seed: int,
        prepared: Mapping[str, Json] | None = None,
        *,
        sham: bool = False,
        seed_of: str | None = None,
    ) -> AttackContext:
        """What an attack may use; the runner adds scratch space and the original. A plant has a seed of its own."""
        spec = self.plan.spec
        own = derive_seed(spec.seed, attack, seed)
        return AttackContext(
            forget=self.pool(FactSet.FORGET, sham=sham),
            retain=self.pool(FactSet.RETAIN),
            profile=spec.profile,
            served=tuple(artifact_name(model) for model in self.plan.served),
            seed=own if seed_of is None else derive_seed(spec.seed, "plant", seed_of),
            prepared={"adapter_doses": self.plan.audits_adapter, **(prepared or {})},
            has_original=self.plan.model(Role.ORIGINAL) is not None,
            has_base=self.plan.base is not None,
            audited=self._audited,
        )

    @property
    def _audited(self) -> Audited:
        checkpoint, options = self.plan.models[-1].checkpoint, self.plan.spec.models
        return Audited(
            extent=checkpoint.extent,
            is_adapter=self.plan.audits_adapter,
            dtype=options.dtype,
            device=options.device,
            spread=options.device_map is not None,
        )

    def planting(self, job: Job) -> Planting:
        """How the plant of a job is made.

        Raises:
            AuditError: the job is not a plant's, or the attack that the plan names makes none.
        """
        plant = job.plant
        if plant is None:
            raise AuditError(f"{job.title}: is not a plant's job")
        offered = self.attacks[plant.attack].plantings(plant.arm, self.context(plant.attack, 0))
        planting = next((one for one in offered if one.name == plant.name), None)
        if planting is None:
            raise AuditError(
                f"{job.title}: {plant.attack} no longer makes the plant {plant.name!r}; plan the audit again"
            )
        return planting


def with_stand_ins(live: LivePlan) -> LivePlan:
    """The same with placebo and sham facts, where the audit needs them."""
    forget = live.pool(FactSet.FORGET)
    others = [fact for name, found in live.facts.items() if name is not FactSet.FORGET for fact in found.facts]
    seed = live.plan.spec.seed
    optimizes = any(attack.toward_answers for attack in live.attacks.values())
    return replace(
        live,
        placebo={} if live.plan.spec.retrained else placebo_facts(forget, others, seed=seed),
        sham=sham_facts(forget, seed=seed) if optimizes else (),
    )


def open_plan(plan: Plan) -> LivePlan:
    """Finds the plug-ins that a plan names, and reads its facts.

    Raises:
        SpecError: a plug-in is not installed here, or does not take the parameters.
        IntegrityError: a facts file or the code is not what was planned with.
    """
    spec = plan.spec
    facts = {one.name: load_facts(one.source, one.name, spec.reading(one.name)) for one in plan.facts}
    for one in plan.facts:
        if facts[one.name].digest() != one.digest:
            raise IntegrityError(f"{one.source}: changed since the audit was planned; plan the audit again")
    live = LivePlan(
        plan=plan,
        facts=facts,
        attacks=build(ATTACKS, Attack, plan.attacks, "attacks"),  # type: ignore[type-abstract]
        probes=build(PROBES, Probe, plan.probes, "probes"),  # type: ignore[type-abstract]
        comparisons=build(COMPARISONS, Comparison, plan.comparisons, "comparisons"),  # type: ignore[type-abstract]
    )
    _check_code(live)
    return with_stand_ins(live)


def _check_code(live: LivePlan) -> None:
    if live.plan.engine != engine_source():
        raise IntegrityError("this is another unlearn-audit than the one that planned the audit; plan the audit again")
    here = {(one.kind, one.name): one for one in live.code()}
    for planned in live.plan.plugins:
        found = here.get((planned.kind, planned.name), planned)
        if found != planned:
            raise IntegrityError(
                f"{planned.kind} {planned.name}: is other code here ({found.distribution} {found.version}) than where "
                "the audit was planned; plan the audit again"
            )
