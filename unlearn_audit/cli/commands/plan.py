"""What `plan` says before anything runs: jobs, power, time, and which verdicts are possible."""

from __future__ import annotations

import json
import time
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.api import FactSet, Role
from unlearn_audit.cli.telling.outlooks import outlook_lines
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.plan import Job
from unlearn_audit.spec.policy import Population, Unit
from unlearn_audit.verdict.findings.contrasts import STAND_INS_NEEDED
from unlearn_audit.verdict.policy.rules import decides
from unlearn_audit.verdict.reach import cannot_be_met, power_lines, smallest_passing_subjects
from unlearn_audit.verdict.result import Outcome

PROMPT_TOKENS, ANSWER_TOKENS = 40, 16
OPTIONS_SCORED = 31
GENERATED_COST = 10
"""Cost of a generated token, relative to one that is read in a batch with all others."""
CHOICES = "forced-choice"


def show_forecast(live: LivePlan, console: Console, *, as_json: bool) -> int:
    """Prints the forecast. Exit code 0, or that of INCONCLUSIVE if no PASS is possible at this size."""
    more = [found for found in (control_obstacle(live), thin_wording(live)) if found is not None]
    obstacle = cannot_be_met(live.case, live.plan.spec.policy) or next(iter(more), None)
    lines = power_lines(live.case, live.plan.spec.policy) + more + outlook_lines(live)
    lines += advisory_lines(live) + judge_lines(live)
    seconds = estimated_seconds(live)
    if as_json:
        about = {
            **live.plan.as_json(),
            "remarks": live.remarks,
            "power": lines,
            "obstacle": obstacle,
            "estimated_seconds": round(seconds),
        }
        console.out(json.dumps(about, indent=2), highlight=False)
    else:
        _show(live, console, lines, seconds)
    return 0 if obstacle is None else Outcome.INCONCLUSIVE.exit_code


def judge_lines(live: LivePlan) -> list[str]:
    """Which model will judge the outputs, if one does."""
    checkpoint = live.plan.judge.checkpoint
    if checkpoint is None:
        return []
    return [f"Outputs are judged by {live.plan.judge.kind}, {checkpoint.reference}; its time is not in the estimate."]


def advisory_lines(live: LivePlan) -> list[str]:
    """Which probes could decide but do not, because the policy does not name them."""
    could = {finding.probe for finding in live.case.planned if finding.gates}
    do = {finding.probe for finding in live.case.planned if decides(finding, live.plan.spec.policy)}
    silent = [name for name in live.plan.probes if name in could - do]
    if not silent:
        return []
    return [
        f"Advisory: {', '.join(silent)} could decide, but the policy does not name them in `gate` or a rule; what they "
        "find is reported and decides nothing."
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


def estimated_seconds(live: LivePlan) -> float:
    """A rough time: tokens through each model, two operations per weight and token, at this machine's speed."""
    speed = measured_flops(live.plan.spec.models.device, live.plan.spec.models.dtype)
    return sum(_operations(live, job) for job in live.plan.jobs) / speed


def _operations(live: LivePlan, job: Job) -> float:
    facts = len(live.facts[FactSet.FORGET].facts)
    forms = 1 + max((len(fact.paraphrases) for fact in live.facts[FactSet.FORGET].facts), default=0)
    # Each form is read, answered and scored; the options of forced choice share one reading of the prompt.
    asked = forms * len(set(job.probes) - {CHOICES}) * (2 * PROMPT_TOKENS + (1 + GENERATED_COST) * ANSWER_TOKENS)
    if CHOICES in job.probes:
        asked += PROMPT_TOKENS + OPTIONS_SCORED * ANSWER_TOKENS // 2
    asked *= 2 if live.placebo else 1
    read = job.arm.doses * job.arm.share * facts * asked
    trained = 3 * job.arm.training_texts * (PROMPT_TOKENS + ANSWER_TOKENS)
    return 2.0 * max(1, job.model.checkpoint.extent.weights) * (read + trained)


def measured_flops(device: str, dtype: str = "auto") -> float:
    """Floating-point operations per second of a matrix product here, halved for everything else.

    The best of a few: others may use the machine for a moment.
    """
    import torch

    from unlearn_audit.models.loading import choose_device

    where = choose_device(device)
    side = 4096 if where.type == "cuda" else 512
    kind = torch.float32 if dtype == "auto" else getattr(torch, dtype)
    matrix = torch.rand(side, side, device=where).to(kind)
    fastest, begun = float("inf"), time.monotonic()
    while time.monotonic() - begun < 0.2:
        once = time.monotonic()
        float((matrix @ matrix)[0, 0])
        fastest = min(fastest, time.monotonic() - once)
    return 0.5 * 2 * side**3 / fastest


def _show(live: LivePlan, console: Console, lines: list[str], seconds: float) -> None:
    models = ", ".join(model.name for model in live.plan.models)
    sets = ", ".join(f"{len(facts.facts)} {name}" for name, facts in live.facts.items())
    console.print(f"Models: {models}. Facts: {sets}. Release: {live.plan.spec.release}.", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("attack", "arms", "jobs", "probes"):
        table.add_column(column, overflow="fold")
    for name in live.plan.attacks:
        jobs = [job for job in live.plan.jobs if job.attack == name]
        arms = dict.fromkeys(job.arm.name for job in jobs)
        probes = dict.fromkeys(probe for job in jobs for probe in job.probes)
        table.add_row(name, escape(", ".join(arms)), str(len(jobs)), ", ".join(probes))
    console.print(table)
    for item in live.case.left_out:
        console.print(f"skipped: {item.what}: {item.why}", markup=False, highlight=False)
    for line in (*(f"Note: {remark}." for remark in (*live.plan.notes, *live.remarks)), *lines):
        console.print(line, markup=False, highlight=False)
    console.print(f"Time: about {_duration(seconds)} here (rough; earlier runs not counted).", highlight=False)


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
