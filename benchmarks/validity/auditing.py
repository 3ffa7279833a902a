"""Every organism audited: the same battery for all, the evidence of original and controls shared within a world."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from rich.console import Console

from benchmarks.validity.building import quieten
from benchmarks.validity.paths import Home
from benchmarks.validity.worlds import World
from benchmarks.validity.zoo import CONTROLS, recipes
from unlearn_audit.api import Profile
from unlearn_audit.audit import audit
from unlearn_audit.plan import make_plan
from unlearn_audit.progress import Quiet
from unlearn_audit.spec import AuditSpec

ATTACKS: dict[str, dict[str, Any]] = {
    "none": {},
    "quantization": {"quantizers": ["nf4", "fp4", "int8"]},
    "relearning": {},
}
"""As the profile `quick` has them, but for NF4 with nested scales, which rounds almost as NF4 does."""

PROBES: dict[str, dict[str, Any]] = {
    "recall": {"max_paraphrases": 1},
    "forced-choice": {},
    "extraction-strength": {},
    "utility": {},
}
TIMES = "time.json"


def spec_of(home: Home, world: World, name: str) -> AuditSpec:
    """The audit of one organism, by the default policy."""
    folder = home.world(world.name)
    return AuditSpec(
        checkpoint=str(folder / name),
        original=str(folder / "original"),
        retrained=tuple(str(folder / control) for control in CONTROLS),
        forget=str(folder / "forget.jsonl"),
        retain=str(folder / "retain.jsonl"),
        profile=Profile.QUICK,
        attacks=ATTACKS,
        probes=PROBES,
    )


def audit_one(home: Home, world: World, name: str) -> str:
    """One audit, with its wall time and processor time beside its result; a line that says how it went."""
    out = home.run(world.name, name)
    if not (out / TIMES).is_file():
        begun, busy = time.monotonic(), time.process_time()
        out.parent.mkdir(parents=True, exist_ok=True)
        result = audit(
            make_plan(spec_of(home, world, name)),
            out,
            Quiet(Console(stderr=True)),
            cells=home.cells(world.name),
            formats=("json",),
        )
        spent = {"wall": round(time.monotonic() - begun, 1), "processor": round(time.process_time() - busy, 1)}
        (out / TIMES).write_text(json.dumps({**spent, "outcome": result.outcome}) + "\n", encoding="utf-8")
    return f"{world.name} {name}: {(out / TIMES).read_text(encoding='utf-8').strip()}"


def audit_all(home: Home, worlds: Sequence[World], *, workers: int, only: Sequence[str] = ()) -> None:
    """Audits what is built and not yet audited.

    The first audit of a world pays for its original and its controls, and is waited for; the rest find their cells.
    """
    names = {
        world: [one.name for one in recipes(world) if one.is_audited and (not only or one.name in only)]
        for world in worlds
    }
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=quieten) as pool:
        first = [pool.submit(audit_one, home, world, own[0]) for world, own in names.items() if own]
        for done in first:
            print(done.result(), flush=True)
        rest = [pool.submit(audit_one, home, world, name) for world, own in names.items() for name in own[1:]]
        for done in rest:
            print(done.result(), flush=True)
