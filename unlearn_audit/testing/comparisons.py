"""The contract of a comparison: numbers out of each model, estimates out of numbers, and no text on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unlearn_audit.api import (
    Compared,
    Comparison,
    ComparisonContext,
    Fact,
    FactSet,
    Features,
    GroupReading,
    Model,
    Profile,
    Role,
)
from unlearn_audit.run.isolation import own_randomness
from unlearn_audit.testing.models import tiny_model
from unlearn_audit.testing.promises import (
    ModelState,
    Settings,
    built,
    check_identity,
    check_science,
    one_thread,
    promise,
)

SUBJECTS = 24
ROLES = {"original": Role.ORIGINAL, "retrained": Role.RETRAINED, "unlearned": Role.UNLEARNED}


def _facts(name: FactSet, place: str) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            id=f"{name}-{number}",
            subject=f"{place} {number}",
            question=f"Where was {place} {number} born?",
            answer=f"In {('London', 'Paris', 'Middlemarch')[number % 3]}, town {number}.",
            aliases=(f"town {number}",),
            relation="born",
        )
        for number in range(SUBJECTS)
    )


CONTEXT = ComparisonContext(
    facts={
        FactSet.FORGET: _facts(FactSet.FORGET, "Ada"),
        FactSet.RETAIN: _facts(FactSet.RETAIN, "George"),
        FactSet.HOLDOUT: _facts(FactSet.HOLDOUT, "France"),
    },
    profile=Profile.QUICK,
    seed=7,
)


@one_thread()
def check_comparison(comparison: type[Comparison[Any]], parameters: Settings | None = None) -> None:
    """Whether a comparison keeps the contract of `api.comparison`, on three tiny random models.

    It is given 24 facts of each set and a model of each role, as an audit with everything would.

    Args:
        comparison: the class.
        parameters: of the comparison, as a spec would give them; choose them so that it takes seconds.

    Raises:
        ContractError: a promise is broken; it says which.
    """
    check_identity(comparison, Comparison)
    check_science(comparison)
    made = built(comparison, parameters)
    _check_needs(made)
    models = {name: tiny_model(seed=seed) for seed, name in enumerate(ROLES)}
    taken = {name: _taken(made, model, f"{made.name}, extract") for name, model in models.items()}
    again = _taken(made, models["unlearned"], f"{made.name}, extract")
    _check_same(made, taken["unlearned"], again)
    if made.crosses:
        taken = {name: {**own, **_crossed(made, models[name], name, taken)} for name, own in taken.items()}
    compared = [
        Compared(role=role, name=name, features=_without(taken[name], made.hands_on)) for name, role in ROLES.items()
    ]
    readings = _compared(made, compared)
    promise(bool(readings), f"{made.name}: compare() gives no reading at all")
    places = [(one.measure, one.variant, one.between) for one in readings]
    twice = next((place for place in places if places.count(place) > 1), None)
    promise(twice is None, f"{made.name} reads one place twice: {twice}")
    for reading in readings:
        _check_reading(made, reading)
    promise(readings == _compared(made, compared), f"{made.name}: compare() gives others the second time")


def _check_needs(comparison: Comparison[Any]) -> None:
    title = comparison.name
    promise(all(isinstance(one, FactSet) for one in comparison.reads), f"{title}.reads must hold FactSets")
    promise(all(isinstance(one, Role) for one in comparison.roles), f"{title}.roles must hold Roles")
    crosses = type(comparison).cross is not Comparison.cross
    promise(comparison.crosses == crosses, f"{title}: `crosses` must be true if and only if it has a cross()")
    promise(isinstance(comparison.hands_on, frozenset), f"{title}.hands_on must be a frozenset of names of features")


def _taken(comparison: Comparison[Any], model: Model, title: str) -> Features:
    before = ModelState.of(model.module)
    with own_randomness(CONTEXT.seed):
        features = comparison.extract(model, CONTEXT)
    before.check(model.module, f"after {comparison.name} took its features")
    return _numbers(features, title)


def _crossed(comparison: Comparison[Any], model: Model, name: str, taken: Mapping[str, Features]) -> Features:
    before = ModelState.of(model.module)
    others = {other: features for other, features in taken.items() if other != name}
    with own_randomness(CONTEXT.seed):
        features = comparison.cross(model, taken[name], others, CONTEXT)
    before.check(model.module, f"after {comparison.name} looked at it again")
    return _numbers(features, f"{comparison.name}, cross")


def _numbers(features: Features, title: str) -> Features:
    """The features as arrays; what is not a number could be a model's text, and would be kept with the evidence."""
    arrays = {name: np.asarray(values) for name, values in features.items()}
    for name, values in arrays.items():
        promise(
            values.dtype.kind in "biuf",
            f"{title}: feature {name!r} is of type {values.dtype}; expected numbers, for text would be stored",
        )
    return arrays


def _check_same(comparison: Comparison[Any], first: Features, again: Features) -> None:
    promise(first.keys() == again.keys(), f"{comparison.name}: extract() gives other features the second time")
    for name, values in first.items():
        same = values.shape == again[name].shape and np.allclose(
            values.astype(float), again[name].astype(float), rtol=1e-4, atol=1e-5, equal_nan=True
        )
        promise(same, f"{comparison.name}: feature {name!r} of one model is another the second time")


def _without(features: Features, names: frozenset[str]) -> Features:
    """What is left once the run has thrown away what was for handing on alone."""
    return {name: values for name, values in features.items() if name not in names}


def _compared(comparison: Comparison[Any], models: Sequence[Compared]) -> list[GroupReading]:
    with own_randomness(CONTEXT.seed):
        found: Iterator[GroupReading] = comparison.compare(models, CONTEXT)
        return list(found)


def _check_reading(comparison: Comparison[Any], reading: GroupReading) -> None:
    title = f"{comparison.name}, {reading.measure} ({reading.variant})"
    promise(isinstance(reading, GroupReading), f"{comparison.name}: compare() must give GroupReading objects")
    unknown = [name for name in reading.between if name not in ROLES]
    promise(bool(reading.between) and not unknown, f"{title}: between must name models; got {reading.between}")
    promise(
        (reading.estimate is None) == bool(reading.missing),
        f"{title}: an estimate, or a reason why there is none (`missing`)",
    )
    numbers = (reading.estimate, reading.lower, reading.upper, reading.p_value, *(reading.null or ()))
    finite = all(value is None or np.isfinite(value) for value in numbers)
    promise(finite, f"{title}: a number that is not finite; say `missing` instead")
    for name, interval in (("lower and upper", (reading.lower, reading.upper)), ("null", reading.null)):
        if interval is not None and interval[0] is not None and interval[1] is not None:
            promise(interval[0] <= interval[1], f"{title}: {name} {interval} is not an interval")
    promise(reading.p_value is None or 0 <= reading.p_value <= 1, f"{title}: p-value {reading.p_value}")
    promise(reading.size >= 0, f"{title}: size {reading.size}")
