"""Spec -> plan: the jobs, the findings that they will support, and what is skipped, before any model is loaded."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import unlearn_audit
from unlearn_audit.api import Attack, FactSet, Probe, Profile, Role
from unlearn_audit.api.comparison import Comparison
from unlearn_audit.api.plugins import ATTACKS, COMPARISONS, PROBES, build
from unlearn_audit.errors import SpecError
from unlearn_audit.evidence.old_names import current
from unlearn_audit.facts.load import Facts, check_disjoint, load_facts
from unlearn_audit.models.references import Checkpoint, resolve, same_model, template_digest
from unlearn_audit.plan.asking import asked_alike
from unlearn_audit.plan.case import SERVED, Case
from unlearn_audit.plan.layout import lay_out
from unlearn_audit.plan.live import LivePlan, with_stand_ins
from unlearn_audit.plan.output_judge import planned_judge
from unlearn_audit.plan.plan import Plan, PlannedFacts, PlannedModel, served_as
from unlearn_audit.plan.provenance import engine_source
from unlearn_audit.spec.spec import AuditSpec

VERSIONED = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "bitsandbytes",
    "gguf",
    "gptqmodel",
    "hqq",
    "torchao",
    "numpy",
    "scipy",
    "scikit-learn",
    "networkx",
    "safetensors",
    "accelerate",
    "jinja2",
    "rouge-score",
    "rapidfuzz",
    "anyascii",
    "babel",
    "icu4py",
    "num2words",
    "opencc",
    "regex",
)


COMPOSED = {
    Profile.STANDARD: ("relearning+quantization",),
    Profile.DEEP: ("relearning+quantization", "relearning+prefill", "ablation+relearning"),
}
"""Attacks one after the other; others run where they are named, since each costs what training does."""


def make_plan(spec: AuditSpec) -> LivePlan:
    """Finds every file, refuses what cannot be audited, and lays out the jobs.

    The plan itself is `LivePlan.plan`, which can be written and run elsewhere (`plan.live.open_plan`).

    Raises:
        SpecError: the request cannot be carried out as it stands.
        AuditError: a file is unreadable or damaged.
    """
    facts = _facts(spec)
    models, served = _models(spec), _served(spec)
    spec, notes = asked_alike((*models, *served), spec, texts_of(facts.values()))
    draft = with_stand_ins(
        LivePlan(
            plan=Plan(
                spec=spec,
                models=models,
                served=served,
                facts=tuple(
                    PlannedFacts(name=name, source=one.source, digest=one.digest()) for name, one in facts.items()
                ),
                attacks={},
                probes={},
                judge=planned_judge(spec, models),
                generator=_generator(spec),
                base=_base(spec, models[-1].checkpoint),
                template=template_digest(spec.models.chat_template),
                case=Case(release=spec.release, subjects={}, has_original=False, planned=()),
                versions=versions(),
                notes=notes,
                engine=engine_source(),
            ),
            facts=facts,
            attacks=_attacks(spec),
            probes=build(PROBES, Probe, spec.probes, "probes"),  # type: ignore[type-abstract]
            comparisons=build(COMPARISONS, Comparison, spec.comparisons, "comparisons"),  # type: ignore[type-abstract]
        )
    )
    return replace(draft, plan=lay_out(draft))


def _attacks(spec: AuditSpec) -> dict[str, Attack[Any]]:
    """The attacks that were asked for, with the baseline; that on artefacts where and only where there are some."""
    wanted = spec.attacks
    if wanted is not None:
        own: dict[str, dict[str, Any]] = {SERVED: {}} if spec.served else {}
        wanted = {"as-is": {}, **own, **{current(name): settings for name, settings in wanted.items()}}
    built = build(ATTACKS, Attack, wanted, "attacks")  # type: ignore[type-abstract]
    if wanted is None:
        composed = COMPOSED.get(spec.profile, ())
        built |= build(ATTACKS, Attack, {name: {} for name in composed}, "attacks")  # type: ignore[type-abstract]
    return {name: attack for name, attack in built.items() if spec.served or not attack.of_artifacts}


def _facts(spec: AuditSpec) -> dict[FactSet, Facts]:
    sources = {FactSet.FORGET: spec.forget, FactSet.RETAIN: spec.retain, FactSet.HOLDOUT: spec.holdout}
    given = {name: source for name, source in sources.items() if source is not None}
    facts = {name: load_facts(source, name, spec.reading(name)) for name, source in given.items()}
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
    models = tuple(
        PlannedModel(role=role, name=name, checkpoint=_found(reference, spec)) for role, name, reference in named
    )
    _refuse_equal_controls(models)
    return models


def _found(reference: str, spec: AuditSpec) -> Checkpoint:
    options = spec.models
    return resolve(reference, base=options.base, download=options.download, allow_pickle=options.allow_pickle)


def _served(spec: AuditSpec) -> tuple[PlannedModel, ...]:
    """The artefacts, each under the name of its file.

    Raises:
        SpecError: two have one name, by which doses and the policy would tell them.
    """
    names = [Path(reference).name for reference in spec.served]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise SpecError(f"--served: two files are named {double}; rename one, since the report tells them by name")
    return tuple(
        PlannedModel(role=Role.UNLEARNED, name=served_as(name), checkpoint=_found(reference, spec))
        for name, reference in zip(names, spec.served, strict=True)
    )


def _generator(spec: AuditSpec) -> Checkpoint | None:
    """The model that writes prompts, found like any other; an adapter takes the base that it names itself."""
    if spec.generator is None:
        return None
    return resolve(spec.generator, download=spec.models.download, allow_pickle=spec.models.allow_pickle)


def _base(spec: AuditSpec, audited: Checkpoint) -> Checkpoint | None:
    """The public base: the one that was given, else that of an adapter."""
    options = spec.models
    if options.base is None:
        return audited.base
    return resolve(options.base, download=options.download, allow_pickle=options.allow_pickle)


def _refuse_equal_controls(models: Sequence[PlannedModel]) -> None:
    for control in models:
        if control.role is not Role.RETRAINED:
            continue
        for other in models:
            if other is not control and same_model(control.checkpoint, other.checkpoint):
                raise SpecError(
                    f"{control.checkpoint.reference}: the control {control.name} has the same weights as the "
                    f"{other.name} model ({other.checkpoint.reference}); give a model that was trained without the "
                    "forget set"
                )


MOST_TEXTS, MOST_LETTERS = 5_000, 1_000_000
"""Questions and answers that are read by every tokenizer before an audit, the forget set's first."""


def texts_of(facts: Iterable[Facts]) -> list[str]:
    """What models are asked and what they may say, without doubles, up to a limit."""
    texts = (
        text
        for one in facts
        for fact in one.facts
        for text in (fact.question, fact.answer, fact.text, *fact.paraphrases)
        if text
    )
    found, room = [], MOST_LETTERS
    for text in islice(dict.fromkeys(texts), MOST_TEXTS):
        if len(text) <= room:  # a book leaves no room for itself, and takes none from the questions
            found.append(text)
            room -= len(text)
    return found


def versions() -> dict[str, str]:
    """Versions that the evidence can depend on, read from package metadata (nothing is imported)."""
    found = {"unlearn-audit": unlearn_audit.__version__, "python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
