"""What `plan` says before anything runs: jobs, power, time, and which verdicts are possible."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.api import FactSet, Role
from unlearn_audit.cli.telling.outlooks import outlook_lines
from unlearn_audit.plan.budget import budget_line
from unlearn_audit.plan.forecast import Forecast, forecast
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.report.parts.numbers import duration
from unlearn_audit.spec.policy import Population, Unit
from unlearn_audit.verdict.findings.contrasts import STAND_INS_NEEDED
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.reach import cannot_be_met, power_lines, smallest_passing_subjects
from unlearn_audit.verdict.result import Outcome

_DEAREST = 3  # probes whose time is shown


def show_forecasts(plans: Mapping[str, LivePlan], console: Console, *, as_json: bool) -> int:
    """Prints the forecast of each. Exit code 0, or that of INCONCLUSIVE if no PASS is possible at this size.

    As JSON, one document; of several, a list of such.
    """
    documents, obstacles = [], []
    for place, (name, live) in enumerate(plans.items(), 1):
        if len(plans) > 1 and not as_json:
            console.print(f"Checkpoint {place} of {len(plans)}: {name}", markup=False, highlight=False)
        document, obstacle = _forecast(live, console, as_json=as_json)
        documents.append(document)
        obstacles.append(obstacle)
    if as_json:
        console.out(json.dumps(documents if len(plans) > 1 else documents[0], indent=2), highlight=False)
    elif len(plans) > 1:
        jobs = [job.key for live in plans.values() for job in live.plan.jobs]
        line = f"In all {len(jobs)} jobs; {len(jobs) - len(set(jobs))} of them are shared, and run once."
        console.print(line, highlight=False)
    return 0 if not any(obstacles) else Outcome.INCONCLUSIVE.exit_code


def _forecast(live: LivePlan, console: Console, *, as_json: bool) -> tuple[dict[str, object], str | None]:
    """The forecast of one as a document, shown unless that is wanted; and why it cannot pass, if it cannot."""
    more = [found for found in (control_obstacle(live), thin_wording(live)) if found is not None]
    obstacle = cannot_be_met(live.case, live.plan.spec.policy) or next(iter(more), None)
    lines = power_lines(live.case, live.plan.spec.policy) + more + outlook_lines(live)
    lines += advisory_lines(live) + judge_lines(live)
    found = forecast(live)
    lines += [line for line in (budget_line(found, live.plan.spec),) if line is not None]
    if not as_json:
        _show(live, console, lines, found)
    document: dict[str, object] = {
        **live.plan.as_json(),
        "remarks": live.remarks,
        "power": lines,
        "obstacle": obstacle,
        "estimated_seconds": round(found.seconds),
        "estimated_minutes": {
            "attacks": {name: round(seconds / 60, 2) for name, seconds in found.attacks.items()},
            "probes": {name: round(seconds / 60, 2) for name, seconds in found.probes.items()},
        },
    }
    return document, obstacle


def judge_lines(live: LivePlan) -> list[str]:
    """Which model will judge the outputs, if one does."""
    checkpoint = live.plan.judge.checkpoint
    if checkpoint is None:
        return []
    return [f"Outputs are judged by {live.plan.judge.kind}, {checkpoint.reference}; its time is not in the estimate."]


def advisory_lines(live: LivePlan) -> list[str]:
    """Which probes could decide but do not, because the policy does not name them; and which of them can still fail."""
    planned = under(live.case, live.plan.spec.policy).planned
    could = {finding.probe for finding in live.case.planned if finding.gates}
    silent = could - {finding.probe for finding in planned if finding.gates}
    failing = {finding.probe for finding in planned if finding.exploratory}
    told = (
        (silent & failing, "no PASS needs them, and a leak that they prove is a FAIL"),
        (silent - failing, "what they find is reported and decides nothing"),
    )
    return [
        f"Advisory: {', '.join(name for name in live.plan.probes if name in group)} could decide, but the policy does "
        f"not name them in `gate` or a rule; {what}."
        for group, what in told
        if group
    ]


def control_obstacle(live: LivePlan) -> str | None:
    """Why there is neither a retrained model nor a stand-in to serve as the control, or None."""
    facts = live.facts[FactSet.FORGET].facts
    if live.plan.spec.policy.population is Population.LISTED:
        return None  # a count passes without
    if live.plan.model(Role.RETRAINED) is not None or _placebo_share(live) >= STAND_INS_NEEDED:
        return None
    answers = Counter(relation for relation, _ in {(fact.relation, fact.answer) for fact in facts})
    needed = live.plan.spec.policy.minimum_twins
    if all(fact.relation is not None and answers[fact.relation] > needed for fact in facts):
        return None
    return (
        "This audit cannot end in PASS: no --retrained control, too few different answers to one relation to stand in "
        f"for it ({needed} twins a fact needed), and too few questions that name their subject "
        "(for placebo facts)."
    )


def _placebo_share(live: LivePlan) -> float:
    """Share of questions and paraphrases that can also be asked of a placebo."""
    facts = live.pool(FactSet.FORGET)
    asked = sum(1 + len(fact.paraphrases) for fact in facts)
    return sum(1 + len(fact.paraphrases) for fact in live.placebo.values()) / asked


def thin_wording(live: LivePlan) -> str | None:
    """Which way of asking has too few subjects to pass, or None: each must pass on its own."""
    policy = live.plan.spec.policy
    if policy.unit is Unit.FACT or policy.population is Population.LISTED:
        return None
    needed = smallest_passing_subjects(
        policy.margin, policy.alpha, live.case.has_original, twins=not live.case.controls
    )
    asked = max((getattr(probe.parameters, "max_paraphrases", 0) for probe in live.probes.values()), default=0)
    for number in range(1, asked + 1):
        holders = {fact.subject for fact in live.pool(FactSet.FORGET) if len(fact.paraphrases) >= number}
        if 0 < len(holders) < needed:
            return (
                f"This audit cannot end in PASS: only {len(holders)} subjects have {number} paraphrases or more, each "
                f"is a way of asking that must pass, and a clean result needs {needed} subjects. Add some to more "
                f"subjects, or use fewer (`max_paraphrases: {number - 1}` of the probe)."
            )
    return None


def _show(live: LivePlan, console: Console, lines: list[str], found: Forecast) -> None:
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
        took = duration(found.attacks[name])
        table.add_row(name, took, escape(", ".join(arms)), str(len(jobs)), ", ".join(probes))
    console.print(table)
    for item in live.case.left_out:
        console.print(f"skipped: {item.what}: {item.why}", markup=False, highlight=False)
    for line in (*(f"Note: {remark}." for remark in (*live.plan.notes, *live.remarks)), *lines):
        console.print(line, markup=False, highlight=False)
    dear = sorted(found.probes, key=lambda name: -found.probes[name])[:_DEAREST]
    most = ", ".join(f"{name} {duration(found.probes[name])}" for name in dear)
    console.print(
        f"Time: about {duration(found.seconds)} here (rough; earlier runs not counted; comparisons of models and what "
        f"attacks prepare come on top). Of the probes: {most}.",
        highlight=False,
    )
