"""What lies on the disk -> organisms with their truth, this tool's verdicts in detail, and every auditor's answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.validity.auditing import alone, kept, tool
from benchmarks.validity.auditing.contract import Answer
from benchmarks.validity.making.building import is_built, read_card
from benchmarks.validity.making.zoo import CONTROLS, Recipe, recipes
from benchmarks.validity.paths import Home
from benchmarks.validity.people.worlds import World
from benchmarks.validity.truth.readout import READOUT
from benchmarks.validity.truth.results import Entered, Results
from benchmarks.validity.truth.retraining import RETRAINING
from benchmarks.validity.truth.tabulation import Decided, Organism, decide_run, truth_of
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.finished.redecide import written
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.result import Outcome


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What an oracle reads out of a world's original and controls, against which its organisms are measured.

    Attributes:
        original: what it reads out of the original, as a share of the forget values; `controls` their mean.
    """

    original: float
    controls: float

    def share(self, told: float) -> float:
        """The share of the original's readable knowledge that is readable still."""
        return (told - self.controls) / (self.original - self.controls)


def readout_number(home: Home, world: World, name: str) -> float | None:
    """The readout oracle's number; None where it was not asked of the model, the original and both controls."""
    told = [_told(home.oracle(READOUT, world.name, one)) for one in (name, "original", *CONTROLS)]
    known = [one["forget"] for one in told if one]
    if len(known) < len(told):
        return None
    return Yardstick(original=known[1], controls=sum(known[2:]) / len(CONTROLS)).share(known[0])


def retraining_number(home: Home, world: World, name: str) -> float | None:
    """The largest share over learning rates that retraining brings back; None where it was not asked of all."""
    told = [_told(home.oracle(RETRAINING, world.name, one)) for one in (name, "original", *CONTROLS)]
    rates = [one["by_rate"] for one in told if one]
    if len(rates) < len(told):
        return None
    own, original, *controls = rates
    shares = [
        Yardstick(original=original[rate], controls=sum(one[rate] for one in controls) / len(controls)).share(own[rate])
        for rate in own
    ]
    return float(max(shares))


def _told(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def organism_of(home: Home, world: World, recipe: Recipe) -> Organism:
    """An organism with its truth."""
    hits = read_card(home.organism(world.name, recipe.name))["hits"]
    retain = read_card(home.organism(world.name, "original"))["hits"]["retain"]
    kept_share = hits["retain"] / retain
    readout, retraining = readout_number(home, world, recipe.name), retraining_number(home, world, recipe.name)
    return Organism(
        world=world.name,
        name=recipe.name,
        family=recipe.family,
        truth=truth_of(recipe.known, kept=kept_share, readout=readout, retraining=retraining),
        forget=hits["forget"],
        kept=round(kept_share, 3),
        oracle=None if retraining is None else round(retraining, 3),
        readout=None if readout is None else round(readout, 3),
    )


def collect(home: Home, worlds: Sequence[World]) -> Results:
    """Every built organism that any auditor has judged, in the order of the zoo; this tool's runs decided again."""
    decided: dict[str, list[Decided]] = {}
    entered = []
    for world in worlds:
        for recipe in recipes(world):
            if not (recipe.audited and is_built(home.world(world.name), recipe)):
                continue
            organism = organism_of(home, world, recipe)
            answers: dict[str, Answer] = {}
            for battery in tool.Battery:
                if kept.answered(home, battery.row, world, recipe):
                    answer = kept.kept(home, battery.row, world, recipe)[""]
                    one, others = _decided_again(home, world, recipe, battery, organism, answer)
                    decided.setdefault(battery.value, []).append(one)
                    answers |= {battery.row: answer} | (others if battery is tool.Battery.QUICK else {})
            for row in _other_rows(home):
                if kept.answered(home, row, world, recipe):
                    found = kept.kept(home, row, world, recipe)
                    answers |= {name or row: one for name, one in found.items()}
            if answers:
                entered.append(Entered(organism=organism, answers=answers))
    return Results(decided=decided, entered=entered)


def _other_rows(home: Home) -> list[str]:
    own = {battery.row for battery in tool.Battery}
    folder = home.folder / "answers"
    return sorted(one.name for one in folder.iterdir() if one.name not in own) if folder.is_dir() else []


def _decided_again(
    home: Home, world: World, recipe: Recipe, battery: tool.Battery, organism: Organism, answer: Answer
) -> tuple[Decided, dict[str, Answer]]:
    """This tool's verdict in detail, and what simpler auditors say of the same evidence."""
    run = home.run(world.name, recipe.name, battery)
    if answer.verdict is Outcome.ERROR and not (run / "result.json").is_file():
        why = Decided(
            organism=organism, outcome=Outcome.ERROR, deciding=answer.note, without={}, seconds=answer.seconds
        )
        return why, {}
    one = decide_run(run, organism, Policy(), seconds=answer.seconds)
    result = written(run)
    return one, alone.judge(result, EvidenceStore(run).gather(result.jobs))
