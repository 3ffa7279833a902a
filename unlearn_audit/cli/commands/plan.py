"""What `plan` says before anything runs: jobs, power, time, and which verdicts are possible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.audit.prospects import Prospects
from unlearn_audit.plan.case import LeftOut
from unlearn_audit.report.parts.numbers import duration
from unlearn_audit.verdict.result import Outcome

_DEAREST = 3  # probes whose time is shown
_MANY = 3  # that are skipped for one reason


def show_forecasts(plans: Mapping[str, Prospects], console: Console, *, as_json: bool) -> int:
    """Prints the forecast of each. Exit code 0, or that of INCONCLUSIVE if no PASS is possible at this size.

    As JSON, one document; of several, a list of such.
    """
    for place, (name, found) in enumerate(plans.items(), 1):
        if as_json:
            continue
        if len(plans) > 1:
            console.print(f"Checkpoint {place} of {len(plans)}: {name}", markup=False, highlight=False)
        _show(found, console)
    if as_json:
        documents = [found.document() for found in plans.values()]
        console.out(json.dumps(documents if len(plans) > 1 else documents[0], indent=2), highlight=False)
    elif len(plans) > 1:
        jobs = [job.key for found in plans.values() for job in found.live.plan.jobs]
        line = f"In all {len(jobs)} jobs; {len(jobs) - len(set(jobs))} of them are shared, and run once."
        console.print(line, highlight=False)
    obstacles = [found.obstacle for found in plans.values()]
    return Outcome.INCONCLUSIVE.exit_code if any(obstacles) else 0


def _skipped(left_out: Iterable[LeftOut]) -> list[str]:
    """A line for each that is left out; one for all where a reason keeps out many."""
    found: dict[str, dict[str, None]] = {}
    for item in left_out:
        found.setdefault(item.why, {})[item.what] = None
    lines = (([", ".join(names)] if len(names) >= _MANY else names, why) for why, names in found.items())
    return [f"skipped: {what}: {why}" for told, why in lines for what in told]


def _show(found: Prospects, console: Console) -> None:
    live, took = found.live, found.forecast
    models = ", ".join(model.name for model in live.plan.loaded)
    sets = ", ".join(f"{len(facts.facts)} {name}" for name, facts in live.facts.items())
    console.print(f"Models: {models}. Facts: {sets}. Release: {live.plan.spec.release}.", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("attack", "time", "arms", "jobs", "probes"):
        table.add_column(column, overflow="fold")
    for name in live.plan.attacks:
        jobs = [job for job in live.plan.jobs if job.attack == name]
        arms = dict.fromkeys(job.arm.name for job in jobs)
        probes = dict.fromkeys(probe for job in jobs for probe in job.probes)
        time = duration(took.attacks[name])
        table.add_row(name, time, escape(", ".join(arms)), str(len(jobs)), ", ".join(probes))
    console.print(table)
    for line in _skipped(live.case.left_out):
        console.print(line, markup=False, highlight=False)
    for line in (*(f"Note: {remark}." for remark in found.notes), *found.lines):
        console.print(line, markup=False, highlight=False)
    dear = sorted(took.probes, key=lambda name: -took.probes[name])[:_DEAREST]
    most = ", ".join(f"{name} {duration(took.probes[name])}" for name in dear)
    console.print(
        f"Time: about {duration(took.seconds)} here (rough; earlier runs not counted; comparisons of models and what "
        f"attacks prepare come on top). Of the probes: {most}. Of the checkpoint it is as much work as asking it about "
        f"every fact {took.evaluations:.0f} times.",
        highlight=False,
    )
