"""Relearning: fine-tune on one part of the forget set and see whether the rest comes back.

What was only masked returns after a few steps on related facts; what was never learned does not (arXiv 2410.08827,
2406.13356). Departures from the papers: facts are split by subject and rotated, so that every fact is scored once and
never by a model that saw its subject; batches, steps, learning rates and seeds are the same for every role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from typing import ClassVar, cast

from attacks import memory
from attacks.hiding import mean_probability
from attacks.learning_rates import Trials, choose_rates, sample_subjects
from attacks.refusal_plant import refusal_plant, refusal_planting
from attacks.relearning_parameters import (
    CANDIDATES,
    DEFAULT_RATES,
    METHODS,
    QUICK_CANDIDATES,
    RANKS,
    SLOTS,
    STEPS,
    Method,
    RelearningParameters,
)
from attacks.splits import CleanLessons, clean_lessons, lessons_of, subject_folds
from attacks.training import Student, full_student, lesson_batches, lora_student, optimise
from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AuditError,
    Dose,
    Json,
    Model,
    OutOfReach,
    Planting,
    Profile,
)


class Relearning(Attack[RelearningParameters]):
    """Trains on the facts of some subjects, so that those of others can be scored."""

    name: ClassVar[str] = "relearning"
    summary: ClassVar[str] = "Fine-tunes on part of the forget set and scores the rest, subjects disjoint and rotated."
    paper: ClassVar[str] = "2410.08827"
    access: ClassVar[Access] = Access.WEIGHTS
    seeded: ClassVar[bool] = True
    Parameters: ClassVar[type[api.Parameters]] = RelearningParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each method, rank, learning-rate slot and fold; the same before and after `prepare`.

        The plan drops the arms whose name begins with what `out_of_reach` names.
        """
        steps = self._steps(context)
        return [
            Arm(
                name=f"{_prefix(method, rank)} lr{slot} fold{fold}",
                settings={"method": method.value, "rank": rank, "slot": slot, "fold": fold},
                doses=len(steps),
                share=1 / self.parameters.folds,
                training_texts=self.parameters.batch_size * max(steps),
            )
            for method in self._methods(context)
            for rank in self._ranks(method, context)
            for slot in range(self._slots(method, context))
            for fold in range(self.parameters.folds)
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Full fine-tuning where it does not fit the memory, or where the profile leaves it out.

        `what` is the beginning of the names of the arms that cannot run.
        """
        if Method.FULL not in self._methods(context):
            if self.parameters.methods is not None:
                return ()
            return (OutOfReach(what="full", why=f"full fine-tuning is not part of the profile {context.profile}"),)
        why = memory.full_training_shortage(weight_bytes, is_adapter=is_adapter)
        return () if why is None else (OutOfReach(what="full", why=why),)

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """Chooses the learning rates that the parameters leave open, on a refusal plant of the original.

        The sample has at most 32 subjects of the forget set and as many of the retain set; each candidate is trained
        once, on fold 0 of the sample, for the most steps of the quick profile (or of `steps`, if that is fewer).
        """
        open_methods = [
            method
            for method in self._methods(context)
            if method not in self.parameters.learning_rates and _fits(method, original)
        ]
        if not open_methods or max(self._steps(context)) == 0:
            return {}
        trials, retain_facts = self._trials(original, context)
        sample = (*trials.fold.train, *trials.fold.evaluate)
        rates: dict[str, Json] = {}
        trace: dict[str, Json] = {"steps": trials.steps, "subjects": len({fact.subject for fact in sample})}
        seed = api.derive_seed(context.seed, "plant")
        with refusal_plant(original, sample, retain_facts, seed=seed) as plant:
            trace["plant"] = plant.proof
            for method in open_methods:
                student = partial(_student, method, self._ranks(method, context)[0] or 0, seed=trials.seed)
                results = list(trials.run(plant.model, self._candidates(method, context), student))
                rates[method.value] = list(choose_rates(results, self._slots(method, context)))
                trace[method.value] = [trial.to_json() for trial in results]
        return {"learning_rates": rates, "trace": trace}

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The model after each number of steps of one arm; at step 0 it is the very model that came in."""
        method = Method(str(arm.settings["method"]))
        rank, slot, number = (cast("int", arm.settings[key] or 0) for key in ("rank", "slot", "fold"))
        rate = self._rate(method, slot, context)
        fold = subject_folds(context.forget, folds=self.parameters.folds, seed=context.seed)[number]
        lessons = clean_lessons(fold)
        steps = self._steps(context)
        name = f"{_prefix(method, rank or None)} lr {rate_label(rate)}"
        if steps[0] == 0:
            yield Dose(
                label=f"{name} step 0",
                value=0,
                model=model,
                fact_ids=fold.scored_ids,
                proof={"steps": 0, "learning_rate": rate},
            )
        if steps[-1] == 0:
            return
        seed = api.derive_seed(context.seed, "batches", number)
        with _student(method, rank, model, seed=seed) as student:
            batches = lesson_batches(student.model, lessons.kept, size=self.parameters.batch_size, seed=seed)
            training = optimise(student.model, batches, learning_rate=rate, steps=steps[-1])
            losses: list[float] = []
            for step in (step for step in steps if step > 0):
                losses += islice(training, step - len(losses))
                yield Dose(
                    label=f"{name} step {step}",
                    value=step,
                    model=student.model,
                    fact_ids=fold.scored_ids,
                    proof=_proof(losses, rate, lessons, student),
                    shown=tuple(lesson.text for lesson in lessons.kept),
                    dropped=lessons.dropped,
                )

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for every arm."""
        return refusal_planting()

    def _trials(self, original: Model, context: AttackContext) -> tuple[Trials, tuple[api.Fact, ...]]:
        forget = sample_subjects(context.forget, seed=context.seed)
        retain_facts = sample_subjects(context.retain, seed=context.seed)
        retain = tuple(lessons_of(fact)[0] for fact in retain_facts)
        fold = subject_folds(forget, folds=self.parameters.folds, seed=context.seed)[0]
        trials = Trials(
            fold=fold,
            lessons=clean_lessons(fold).kept,
            retain=retain,
            retained_before=mean_probability(original, retain) if retain else None,
            kept_share=self.parameters.kept_share,
            steps=min(STEPS[Profile.QUICK][-1], max(self._steps(context))),
            batch_size=self.parameters.batch_size,
            seed=api.derive_seed(context.seed, "batches", 0),
        )
        return trials, retain_facts

    def _methods(self, context: AttackContext) -> tuple[Method, ...]:
        named = {*self.parameters.learning_rates, *self.parameters.candidates}
        methods = self.parameters.methods or METHODS[context.profile]
        if unused := named - set(methods):
            raise AuditError(
                f"relearning: rates for {sorted(unused)}, which the profile {context.profile} does not run; "
                f"name it in `methods`"
            )
        return methods

    def _steps(self, context: AttackContext) -> tuple[int, ...]:
        return self.parameters.steps or STEPS[context.profile]

    def _ranks(self, method: Method, context: AttackContext) -> tuple[int | None, ...]:
        if method is Method.FULL:
            return (None,)
        return self.parameters.ranks or RANKS[context.profile]

    def _slots(self, method: Method, context: AttackContext) -> int:
        given = self.parameters.learning_rates.get(method)
        return SLOTS[context.profile] if given is None else len(given)

    def _candidates(self, method: Method, context: AttackContext) -> tuple[float, ...]:
        usual = QUICK_CANDIDATES if context.profile is Profile.QUICK else CANDIDATES
        return self.parameters.candidates.get(method, usual[method])

    def _rate(self, method: Method, slot: int, context: AttackContext) -> float:
        """The rate of a slot: given, else chosen on the plant, else the documented default (no original)."""
        given = self.parameters.learning_rates.get(method)
        chosen = cast("Mapping[str, Sequence[float]]", context.prepared.get("learning_rates", {})).get(method.value)
        rates = given or chosen or DEFAULT_RATES[method][self._slots(method, context)]
        if slot >= len(rates):
            raise AuditError(f"relearning: {method} has {len(rates)} learning rates, and slot {slot} was asked for")
        return rates[slot]


def rate_label(rate: float) -> str:
    """A learning rate as it stands in a label: `1e-03`, `2.5e-04`; different rates never look alike."""
    mantissa, exponent = f"{rate:.12e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _prefix(method: Method, rank: int | None) -> str:
    return method.value if rank is None else f"{method.value} r{rank}"


def _fits(method: Method, original: Model) -> bool:
    if method is Method.LORA:
        return True
    weight_bytes = 4 * sum(weight.numel() for weight in original.module.parameters())
    return memory.full_training_shortage(weight_bytes, is_adapter=original.is_adapter) is None


def _student(method: Method, rank: int, model: Model, *, seed: int) -> AbstractContextManager[Student]:
    if method is Method.FULL:
        return full_student(model)
    return lora_student(model, rank=rank, seed=api.derive_seed(seed, "adapter", rank))


def _proof(losses: Sequence[float], rate: float, lessons: CleanLessons, student: Student) -> dict[str, Json]:
    return {
        "steps": len(losses),
        "learning_rate": rate,
        "losses": [round(loss, 6) for loss in losses],
        "trainable_parameters": student.trainable,
        "dtype": student.dtype,
        "training_texts": len(lessons.kept),
    }
