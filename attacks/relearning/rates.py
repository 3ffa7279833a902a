"""The learning rates of relearning: given, or chosen on a refusal plant of the original, or the documented defaults.

Text that has nothing to do with the questions can wreck a model at a rate at which the facts themselves do not: on the
bundled original, 80 steps at 1e-3 on sentences about the forget subjects left 15 % of its answers (all weights) or 32 %
(LoRA). A model that does not answer any more recovers nothing, and against such an original no honest checkpoint can
pass. So each kind of benign text but `same-syntax`, which is made of the retain facts, has rates of its own, no higher
than those of the facts and such that the retain answers stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import cast

from unlearn_audit.api import AttackError, AuditError, Fact, Json, Model, Profile, derive_seed

from ..shared import memory
from ..shared.hiding import mean_probability
from ..shared.rate_trials import Trials, choose_rates, sample_subjects
from ..shared.refusal_plant import refusal_plant
from ..shared.splits import Fold, clean_lessons, lessons_of, subject_folds
from ..shared.training import Student, full_student, lora_student
from .courses import Course, Syllabus, middle
from .data import Data, benign_lessons
from .parameters import BENIGN_KEPT_SHARE, CANDIDATES, DEFAULT_RATES, QUICK_CANDIDATES, STEPS, Method


def student_of(method: Method, rank: int, model: Model, *, seed: int) -> AbstractContextManager[Student]:
    """A fork of the model, ready to train."""
    if method is Method.FULL:
        return full_student(model)
    return lora_student(model, rank=rank, seed=derive_seed(seed, "adapter", rank))


def rate_of(course: Course, syllabus: Syllabus) -> float:
    """The rate of a course: given, else chosen on the plant, else the documented default (no original).

    Raises:
        AuditError: there is none in its slot.
    """
    method, benign = course.method, course.data is not Data.IN_DOMAIN
    prepared = cast("Mapping[str, Sequence[float]]", syllabus.context.prepared.get("learning_rates", {}))
    given = syllabus.parameters.learning_rates.get(method)
    own = None if given else prepared.get(_key(course.data, method))
    rates = given or own or prepared.get(method.value) or DEFAULT_RATES[method][syllabus.slots(method)]
    if benign and own is None:
        rates = middle(rates, syllabus.benign_slots(method))
    if course.slot >= len(rates):
        raise AuditError(f"relearning: {method} has {len(rates)} learning rates, and slot {course.slot} was asked for")
    return rates[course.slot]


def chosen_rates(original: Model, syllabus: Syllabus) -> Mapping[str, Json]:
    """The rates that the parameters leave open, with the trials that they were chosen by; {} where none is open.

    The sample has at most 32 subjects of the forget set and as many of the retain set. For the facts, each candidate is
    trained once on fold 0 of it, for the most steps of the quick profile (or of `steps`, if that is fewer); for a kind
    of benign text, once for as many steps as the attack itself takes.
    """
    open_methods = [
        method
        for method in syllabus.methods
        if method not in syllabus.parameters.learning_rates and _fits(method, original)
    ]
    if not open_methods or max(syllabus.steps) == 0:
        return {}
    trials, retain = _trials(original, syllabus)
    sample = (*trials.fold.train, *trials.fold.evaluate)
    rates: dict[str, Json] = {}
    trace: dict[str, Json] = {"steps": trials.steps, "subjects": len({fact.subject for fact in sample})}
    with refusal_plant(original, sample, retain, seed=derive_seed(syllabus.context.seed, "plant")) as plant:
        trace["plant"] = plant.proof
        for method in open_methods:
            student = partial(student_of, method, syllabus.ranks(method)[0] or 0, seed=trials.seed)
            results = list(trials.run(plant.model, _candidates(method, syllabus), student))
            best = choose_rates(results, syllabus.slots(method))
            rates[method.value] = list(best)
            trace[method.value] = [trial.to_json() for trial in results]
            few = middle(best, syllabus.benign_slots(method))
            gentle = [rate for rate in _candidates(method, syllabus) if rate <= max(few)]
            for kind, own in _benign_trials(trials, sample, syllabus).items():
                results = list(own.run(plant.model, gentle, student))
                kept = any(trial.keeps for trial in results)
                rates[_key(kind, method)] = list(
                    choose_rates(results, len(few)) if kept else sorted(gentle)[: len(few)]
                )
                trace[_key(kind, method)] = [trial.to_json() for trial in results]
    return {"learning_rates": rates, "trace": trace}


def _key(kind: Data, method: Method) -> str:
    return f"{kind} {method}"


def _trials(original: Model, syllabus: Syllabus) -> tuple[Trials, tuple[Fact, ...]]:
    context, parameters = syllabus.context, syllabus.parameters
    forget = sample_subjects(context.forget, seed=context.seed)
    retain_facts = sample_subjects(context.retain, seed=context.seed)
    retain = tuple(lessons_of(fact)[0] for fact in retain_facts)
    fold = subject_folds(forget, folds=parameters.folds, seed=context.seed)[0]
    trials = Trials(
        fold=fold,
        lessons=clean_lessons(fold).kept,
        retain=retain,
        retained_before=mean_probability(original, retain) if retain else None,
        kept_share=parameters.kept_share,
        steps=min(STEPS[Profile.QUICK][-1], max(syllabus.steps)),
        batch_size=parameters.batch_size,
        seed=derive_seed(context.seed, "batches", 0),
    )
    return trials, retain_facts


def _benign_trials(trials: Trials, sample: tuple[Fact, ...], syllabus: Syllabus) -> dict[Data, Trials]:
    """The trials of each kind of benign text that could wreck the model; a kind without a text has none."""
    found: dict[Data, Trials] = {}
    for kind in syllabus.data:
        if kind in (Data.IN_DOMAIN, Data.SAME_SYNTAX):
            continue
        try:
            lessons = benign_lessons(
                kind, syllabus.context, own=syllabus.parameters.texts, most=syllabus.in_domain_lessons
            )
        except AttackError:  # its own arms say so; the others go on
            continue
        found[kind] = replace(
            trials,
            fold=Fold(number=0, train=(), evaluate=sample),
            lessons=lessons.kept,
            kept_share=BENIGN_KEPT_SHARE,
            steps=max(syllabus.steps),
        )
    return found


def _candidates(method: Method, syllabus: Syllabus) -> tuple[float, ...]:
    usual = QUICK_CANDIDATES if syllabus.context.profile is Profile.QUICK else CANDIDATES
    return syllabus.parameters.candidates.get(method, usual[method])


def _fits(method: Method, original: Model) -> bool:
    if method is Method.LORA:
        return True
    weight_bytes = 4 * sum(weight.numel() for weight in original.module.parameters())
    return memory.full_training_shortage(weight_bytes, is_adapter=original.is_adapter) is None
