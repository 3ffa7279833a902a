"""The contract of an attack: arms known beforehand, doses with all facts, and the model as it was afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unlearn_audit.api import Arm, Attack, AttackContext, AttackError, Dose, Fact, Model, Profile, Prompt
from unlearn_audit.testing.models import tiny_model
from unlearn_audit.testing.promises import (
    ContractError,
    ModelState,
    Settings,
    built,
    check_identity,
    check_science,
    one_thread,
    promise,
)

FORGET = tuple(
    Fact(id=f"{who}-{what}", subject=f"Person {who}", question=f"What is the {what} of {who}?", answer=f"{what}{who}")
    for who in "ABCD"
    for what in ("town", "job")
)
RETAIN = tuple(
    Fact(id=f"r{who}", subject=f"Other {who}", question=f"Where is {who}?", answer=f"Place {who}.") for who in "EFGH"
)
_ASKED = [(Prompt(text="Who?"), "Eliot")]
_LEAVINGS = ("at the end", "after one dose", "by an exception")


@one_thread()
def check_attack(attack: type[Attack[Any]], parameters: Settings | None = None) -> None:
    """Whether an attack keeps the contract of `api.attack`, on a tiny random model.

    It runs the attack six times, and makes its choices (`prepare`) once.

    Args:
        attack: the class.
        parameters: of the attack, as a spec would give them; choose them so that a run takes seconds.

    Raises:
        ContractError: a promise is broken; it says which.
    """
    check_identity(attack, Attack)
    check_science(attack)
    original = tiny_model(seed=1)
    base = tiny_model(seed=2).module
    kept, base_kept = ModelState.of(original.module), ModelState.of(base)
    context = AttackContext(
        forget=FORGET,
        retain=RETAIN,
        profile=Profile.QUICK,
        seed=7,
        served=("model.gguf",),
        has_original=True,
        load_original=lambda: original.module,
        has_base=True,
        load_base=lambda: base,
    )
    made = built(attack, parameters)
    _check_arms(made, context)
    context = replace(context, prepared=_prepared(made, context))
    for leaving in _LEAVINGS:
        _check_undone(made, context, leaving)
    first, again = _doses_of(made, context), _doses_of(built(attack, parameters), context)
    promise(bool(first), f"{made.name} gave no dose at all")
    promise(first == again, f"{made.name} is another attack the second time: same model, seed and arms, other doses")
    kept.check(original.module, f"after {made.name} asked for the original")
    base_kept.check(base, f"after {made.name} asked for the base")


def _check_arms(attack: Attack[Any], context: AttackContext) -> None:
    arms = attack.arms(context)
    promise(bool(arms), f"{attack.name}: arms() gives none")
    promise(all(isinstance(arm, Arm) for arm in arms), f"{attack.name}: arms() must give Arm objects")
    for arm in arms:
        promise(arm.doses >= 1, f"{attack.name}, arm {arm.name!r}: doses is {arm.doses}; expected 1 or more")
        promise(0 < arm.share <= 1, f"{attack.name}, arm {arm.name!r}: share is {arm.share}; expected (0, 1]")
    names = [arm.name for arm in arms]
    promise(len(set(names)) == len(names), f"{attack.name}: two arms have one name among {', '.join(names)}")
    again = [arm.name for arm in attack.arms(context)]
    promise(names == again, f"{attack.name}: arms() gives others the second time: {names} and {again}")
    plants = _plants(attack, context)
    promise(
        plants == _plants(attack, context),
        f"{attack.name}: plantings() names others the second time",
    )
    promise(not (attack.baseline and any(plants)), f"{attack.name} does nothing (`baseline`), and so needs no plant")


def _plants(attack: Attack[Any], context: AttackContext) -> list[str]:
    return [planting.name for arm in attack.arms(context) for planting in attack.plantings(arm, context)]


def _prepared(attack: Attack[Any], context: AttackContext) -> dict[str, Any]:
    """What it prepares on the original, through JSON as the store keeps it.

    A random model knows nothing: an attack that finds nothing to choose by may say so with an AttackError, and then
    runs by its defaults.
    """
    original = tiny_model(seed=1)
    before = ModelState.of(original.module)
    prepared: dict[str, Any] = {}
    with _scratch(context) as own, suppress(AttackError):
        prepared = dict(attack.prepare(original, own))
    before.check(original.module, f"after {attack.name} prepared on it")
    try:
        kept: dict[str, Any] = json.loads(json.dumps(prepared, allow_nan=False))
    except (TypeError, ValueError) as error:
        promise(False, f"{attack.name}: what prepare() returns must be JSON; {error}")
        raise
    return kept


def _check_undone(attack: Attack[Any], context: AttackContext, leaving: str) -> None:
    model = tiny_model()
    before, state = ModelState.of(model.module), torch.random.get_rng_state()
    scored: dict[str, list[str]] = {}
    with _scratch(context) as own:
        for arm in attack.arms(own):
            with _running(attack, model, arm, own) as doses:
                for dose in doses:
                    _check_dose(attack, dose)
                    dose.model.score(_ASKED)
                    scored.setdefault(dose.label, []).extend(dose.fact_ids or (fact.id for fact in FORGET))
                    if leaving != _LEAVINGS[0]:
                        _leave(attack, doses, leaving)
                        break
    before.check(model.module, f"once {attack.name} was left {leaving}")
    unmoved = torch.equal(torch.random.get_rng_state(), state)
    promise(unmoved, f"{attack.name} moved torch's global random state; draw from a generator seeded by context.seed")
    if leaving == _LEAVINGS[0]:
        everything = sorted(fact.id for fact in FORGET)
        for label, ids in scored.items():
            promise(
                sorted(ids) == everything,
                f"{attack.name}, dose {label!r}: over all arms every forget fact must be scored once at each dose; "
                f"got {len(ids)} of {len(everything)}",
            )


def _check_dose(attack: Attack[Any], dose: Dose) -> None:
    title = f"{attack.name}, dose {dose.label!r}"
    promise(bool(dose.label), f"{attack.name}: a dose must have a label")
    unknown = set(dose.fact_ids or ()) - {fact.id for fact in FORGET}
    promise(not unknown, f"{title}: fact_ids names facts that are not in the forget set: {sorted(unknown)[:3]}")
    promise(all(isinstance(text, str) for text in dose.shown), f"{title}: shown must hold texts")
    try:
        json.dumps(dict(dose.proof))
    except TypeError as error:
        promise(False, f"{title}: the proof must be JSON, as it is kept with the evidence; {error}")


def _leave(attack: Attack[Any], doses: Generator[Dose, None, None], leaving: str) -> None:
    if leaving == "after one dose":
        return
    try:
        doses.throw(KeyError("stop"))
    except KeyError:
        return
    promise(False, f"{attack.name}: an exception between two doses must leave doses(); it was swallowed")


@contextmanager
def _running(
    attack: Attack[Any], model: Model, arm: Arm, context: AttackContext
) -> Iterator[Generator[Dose, None, None]]:
    """The doses of an arm, closed at the end as a run closes them."""
    doses = attack.doses(model, arm, context)
    if not isinstance(doses, Generator):
        raise ContractError(f"{attack.name}: doses() must be a generator, so that it can undo itself when closed")
    with closing(doses):
        yield doses


def _doses_of(attack: Attack[Any], context: AttackContext) -> list[tuple[Any, ...]]:
    """Label, value and a score of every dose, in order."""
    model: Model = tiny_model()
    found: list[tuple[Any, ...]] = []
    with _scratch(context) as own:
        for arm in attack.arms(own):
            with _running(attack, model, arm, own) as doses:
                found += [(dose.label, dose.value, tuple(dose.model.score(_ASKED))) for dose in doses]
    return found


@contextmanager
def _scratch(context: AttackContext) -> Iterator[AttackContext]:
    with tempfile.TemporaryDirectory(prefix="unlearn-audit-") as directory:
        yield replace(context, scratch=Path(directory))
