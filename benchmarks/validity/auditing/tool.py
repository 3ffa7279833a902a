"""Every organism audited: the same battery for all, the evidence of original and controls shared within a world."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.validity.making.building import quieten, read_card
from benchmarks.validity.making.zoo import CONTROLS, recipes
from benchmarks.validity.paths import Battery, Home
from benchmarks.validity.people.worlds import World
from benchmarks.validity.truth.tabulation import Truth
from unlearn_audit.api import Profile
from unlearn_audit.audit import audit
from unlearn_audit.cli.telling.progress import Quiet
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Outcome

ATTACKS: dict[Battery, dict[str, dict[str, Any]]] = {
    # What docs/validity.md was measured with: bitsandbytes' quantizers, and the forget set itself as relearning's data.
    Battery.QUICK: {
        "as-is": {},
        "quantization": {"quantizers": ["nf4", "fp4", "int8"]},
        "relearning": {"data": ["in-domain"]},
    },
    Battery.HARDER: {"as-is": {}, "relearning": {"data": ["in-domain"], "methods": ["full"], "steps": [0, 40, 160]}},
}
POLICIES = {
    Battery.QUICK: Policy(),
    # Of an attack that it does not hold no power is asked; else not even an honest model could pass.
    Battery.HARDER: Policy(required={Release.OPEN_WEIGHTS: ("as-is/recall", "relearning/recall")}),
}

PROBES: dict[str, dict[str, Any]] = {
    "recall": {"max_paraphrases": 1},
    "forced-choice": {},
    "extraction-strength": {},
    "utility": {},
}
TIMES = "time.json"
HONEST_EXAMPLE = "retrained-3"


def spec_of(home: Home, world: World, name: str, battery: Battery) -> AuditSpec:
    """The audit of one organism by a battery."""
    folder = home.world(world.name)
    return AuditSpec(
        checkpoint=str(folder / name),
        original=str(folder / "original"),
        retrained=tuple(str(folder / control) for control in CONTROLS),
        forget=str(folder / "forget.jsonl"),
        retain=str(folder / "retain.jsonl"),
        profile=Profile.QUICK,
        attacks=ATTACKS[battery],
        probes=PROBES,
        comparisons={},
        policy=POLICIES[battery],
    )


def audit_one(home: Home, world: World, name: str, battery: Battery) -> str:
    """One audit, with its wall time and processor time beside its result; a line that says how it went."""
    out = home.run(world.name, name, battery)
    if not is_audited(home, world, name, battery):
        shutil.rmtree(out, ignore_errors=True)
        begun, busy = time.monotonic(), time.process_time()
        out.parent.mkdir(parents=True, exist_ok=True)
        result = audit(
            make_plan(spec_of(home, world, name, battery)),
            out,
            Quiet(Console(stderr=True)),
            shared=home.store(world.name),
            formats=("json",),
        )
        times = {
            "wall": round(time.monotonic() - begun, 1),
            "processor": round(time.process_time() - busy, 1),
            "outcome": result.outcome,
            "settings": _settings(home, world, name),
        }
        (out / TIMES).write_text(json.dumps(times) + "\n", encoding="utf-8")
    return f"{world.name} {name}: {(out / TIMES).read_text(encoding='utf-8').strip()}"


def audit_all(home: Home, worlds: Sequence[World], *, workers: int, only: Sequence[str] = ()) -> None:
    """Audits what is not yet audited."""
    names = {
        world: [one.name for one in recipes(world) if one.audited and (not only or one.name in only)]
        for world in worlds
    }
    _audit(home, names, Battery.QUICK, workers)


def try_harder(home: Home, worlds: Sequence[World], *, workers: int) -> None:
    """Fully fine-tunes, for four times as long, what was unlearned and did not fail; and one honest model beside it."""
    names = {world: [HONEST_EXAMPLE, *not_failed(home, world)] for world in worlds}
    _audit(home, {world: own for world, own in names.items() if len(own) > 1}, Battery.HARDER, workers)


def not_failed(home: Home, world: World) -> list[str]:
    """The unlearned models of a world that did not fail, in the order of the zoo."""
    return [
        one.name
        for one in recipes(world)
        if one.audited
        and one.known is not Truth.NEVER
        and read_times(home.run(world.name, one.name, Battery.QUICK))["outcome"] != Outcome.FAIL
    ]


def is_audited(home: Home, world: World, name: str, battery: Battery) -> bool:
    """Whether the audit on disk is finished, and of the organism on disk."""
    out = home.run(world.name, name, battery)
    return (out / TIMES).is_file() and read_times(out)["settings"] == _settings(home, world, name)


def _settings(home: Home, world: World, name: str) -> dict[str, float]:
    settings: dict[str, float] = read_card(home.organism(world.name, name))["settings"]
    return settings


def read_times(out: Path) -> dict[str, Any]:
    """What was written beside a finished audit."""
    times: dict[str, Any] = json.loads((out / TIMES).read_text(encoding="utf-8"))
    return times


def _audit(home: Home, names: Mapping[World, Sequence[str]], battery: Battery, workers: int) -> None:
    """The first audit of a world pays for its original and its controls; the rest wait for it and find their jobs."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        first = {pool.submit(audit_one, home, world, own[0], battery): world for world, own in names.items() if own}
        rest = []
        for done in as_completed(first):
            print(done.result(), flush=True)
            rest += [pool.submit(audit_one, home, first[done], name, battery) for name in names[first[done]][1:]]
        for done in as_completed(rest):
            print(done.result(), flush=True)
