"""Two attacks, one after the other: what the first gives is the checkpoint that the second attacks.

`a+b` in a spec's attacks. The composition is an attack like any other: the same in every role, with a key of its own
and a plan that says what it leaves out. Its doses are named after both (`lora r16 step 160 + nf4`) and are few: a part
whose settings are not given runs at a few strong doses alone (`Attack.sparingly`), since each dose is a cell that an
honest model must pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, ClassVar, cast

from pydantic import Field, create_model

from unlearn_audit.api.attack import Arm, Attack, AttackContext, Dose, OutOfReach, Planting
from unlearn_audit.api.model import Model
from unlearn_audit.api.terms import Access, Json, Parameters, Profile, derive_seed
from unlearn_audit.errors import SpecError

SIGN = "+"
_KEPT = ("plateau", "steps", "broke_down", "own_lessons_answered", "answered_since_step")
"""What a verdict reads of a training's proof stays where it is read."""


class Composition(Attack[Any]):
    """The second attack on what the first gives.

    An arm is an arm of the first, made once; every arm of the second is run on each of its doses. A fact is scored at
    the doses at which both score it. What the first trained on is shown at every dose, with what the second shows.

    Attributes:
        parts: both classes, first the first.
    """

    parts: ClassVar[tuple[type[Attack[Any]], type[Attack[Any]]]]

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """The arms of the first; each has the doses of all arms of the second on each of its own."""
        first, second = self._parts(context.profile)
        then = _runnable(second, _own(context, second))
        doses, trained = sum(arm.doses for arm in then), sum(arm.training_texts for arm in then)
        share = sum(arm.share * arm.doses for arm in then) / max(1, doses)
        return [
            replace(
                arm,
                settings={"name": arm.name, "settings": dict(arm.settings)},
                doses=max(1, arm.doses * doses),
                share=arm.share * (share or 1.0),
                training_texts=arm.training_texts + arm.doses * trained,
            )
            for arm in first.arms(_own(context, first))
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """What either cannot run; everything, where nothing is left of the second."""
        first, second = self._parts(context.profile)
        own, then = _own(context, first), _own(context, second)
        gaps = list(first.out_of_reach(own, weight_bytes=weight_bytes, is_adapter=is_adapter))
        theirs = second.out_of_reach(then, weight_bytes=weight_bytes, is_adapter=is_adapter)
        if not _runnable(second, then):
            why = "; ".join(dict.fromkeys(item.why for item in theirs)) or "it has no arm"
            applies = any(item.applies for item in theirs)
            gaps += [
                OutOfReach(what=arm.name, why=f"{second.name}: {why}", applies=applies) for arm in self.arms(context)
            ]
        return gaps

    def prepare(self, original: Model, context: AttackContext) -> Mapping[str, Json]:
        """What each of them prepares on the original, as it is."""
        return {part.name: dict(part.prepare(original, _own(context, part))) for part in self._parts(context.profile)}

    def plantings(self, arm: Arm, context: AttackContext) -> Sequence[Planting]:
        """The ways of hiding that either is tested on."""
        first, second = self._parts(context.profile)
        own, then = _own(context, first), _own(context, second)
        found = [*first.plantings(_first_arm(arm), own)]
        found += [planting for each in _runnable(second, then) for planting in second.plantings(each, then)]
        return tuple({planting.name: planting for planting in found}.values())

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """Each dose of the first, under each dose of the second."""
        first, second = self._parts(context.profile)
        with closing(_generator(first, model, _first_arm(arm), _own(context, first))) as begun:
            for dose in begun:
                with ExitStack() as stack:
                    # An adapter that an attack trained is part of the weights for the next; a checkpoint's own stays.
                    whole = dose.model if dose.model.is_adapter else stack.enter_context(dose.model.merged())
                    for one in self._second(whole, second, _own(context, second)):
                        if (both := _together(dose, one)) is not None:
                            yield both

    def _second(self, model: Model, second: Attack[Any], context: AttackContext) -> Iterator[Dose]:
        for arm in _runnable(second, context):
            with closing(_generator(second, model, arm, context)) as doses:
                yield from doses

    def _parts(self, profile: Profile) -> tuple[Attack[Any], Attack[Any]]:
        """Both, with their settings; those without any at few doses."""
        first, second = (self._part(kind, profile) for kind in self.parts)
        return first, second

    def _part(self, kind: type[Attack[Any]], profile: Profile) -> Attack[Any]:
        given = getattr(self.parameters, kind.name)
        return kind(kind.Parameters()).sparingly(profile) if given is None else kind(given)


def composition(name: str, first: type[Attack[Any]], second: type[Attack[Any]]) -> type[Attack[Any]]:
    """The class of the attack `name`.

    Raises:
        SpecError: one of them does nothing, or both are the same.
    """
    for part in (first, second):
        if part.baseline or part.of_artifacts or issubclass(part, Composition):
            raise SpecError(f"attacks: {name!r} composes {part.name}, which attacks nothing; name two attacks")
    if first is second:
        raise SpecError(f"attacks: {name!r} composes {first.name} with itself; name two different attacks")
    both = (first, second)
    settings: dict[str, Any] = {
        part.name: (part.Parameters | None, Field(None, description=f"Of {part.name}; None: few doses."))
        for part in both
    }
    return type(
        "Composition",
        (Composition,),
        {
            "__module__": Composition.__module__,
            "__doc__": f"{first.summary} Then: {second.summary}",
            "name": name,
            "summary": f"Runs {first.name}, then {second.name} on what it gives.",
            "paper": first.paper,
            "access": max((part.access for part in both), key=list(Access).index),
            "dose_unit": second.dose_unit,  # `_together` keeps the second's value
            "seeded": any(part.seeded for part in both),
            "toward_answers": any(part.toward_answers for part in both),
            "with_original": any(part.with_original for part in both),
            "with_base": any(part.with_base for part in both),
            "extra": first.extra or second.extra,
            "Parameters": create_model("CompositionParameters", __base__=Parameters, **settings),
            "parts": both,
        },
    )


def _own(context: AttackContext, part: Attack[Any]) -> AttackContext:
    """The context of a part: draws of its own, and what it prepared itself."""
    shared = {name: value for name, value in context.prepared.items() if not isinstance(value, Mapping)}
    prepared = cast("Mapping[str, Json]", context.prepared.get(part.name) or {})
    return replace(context, seed=derive_seed(context.seed, part.name), prepared={**shared, **prepared})


def _runnable(attack: Attack[Any], context: AttackContext) -> list[Arm]:
    """The arms of the second that can run in this audit, as its plan would have them."""
    audited = context.audited
    refused = attack.out_of_reach(
        context,
        weight_bytes=0 if audited is None else 4 * audited.extent.weights,
        is_adapter=audited is not None and audited.is_adapter,
    )
    return [arm for arm in attack.arms(context) if not any(item.names(arm) for item in refused)]


def _first_arm(arm: Arm) -> Arm:
    return Arm(name=str(arm.settings["name"]), settings=cast("Mapping[str, Json]", arm.settings["settings"]))


def _generator(attack: Attack[Any], model: Model, arm: Arm, context: AttackContext) -> Any:
    return attack.doses(model, arm, context)


def _together(first: Dose, second: Dose) -> Dose | None:
    """A dose of the second on one of the first; None where they score no fact together."""
    scored = [dose.fact_ids for dose in (first, second) if dose.fact_ids is not None]
    facts = frozenset.intersection(*scored) if scored else None
    if facts is not None and not facts:
        return None
    kept = {key: first.proof[key] for key in _KEPT if key in first.proof}
    return replace(
        second,
        label=f"{first.label} {SIGN} {second.label}",
        fact_ids=facts,
        proof={"first": dict(first.proof), "second": dict(second.proof), **kept},
        shown=tuple(dict.fromkeys((*first.shown, *second.shown))),
        dropped=first.dropped + second.dropped,
    )
