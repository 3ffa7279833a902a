"""What a plan can reach, said before anything runs: its time, its power, and whether it can pass at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from unlearn_audit.api import FactSet, Role
from unlearn_audit.api.kit.printable import clean
from unlearn_audit.audit.outlooks import outlook_lines
from unlearn_audit.plan.budget import budget_line
from unlearn_audit.plan.forecasting.forecast import Forecast, forecast
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.report.parts.numbers import duration
from unlearn_audit.spec.policy import Population, Unit
from unlearn_audit.verdict.findings.contrasts import STAND_INS_NEEDED
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.reach import cannot_be_met, power_lines, smallest_passing_subjects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Prospects:
    """What a plan can reach.

    Attributes:
        live: the plan.
    """

    live: LivePlan

    @cached_property
    def forecast(self) -> Forecast:
        """How long it takes here, measured on the checkpoint."""
        return forecast(self.live)

    @cached_property
    def obstacle(self) -> str | None:
        """Why it cannot end in PASS, or None."""
        found = cannot_be_met(self.live.case, self.live.plan.spec.policy)
        return found or next(iter(self._obstacles_of_facts), None)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """What an audit of this size can prove, which facts it cannot score, and what is advisory."""
        live, policy = self.live, self.live.plan.spec.policy
        lines = [*power_lines(live.case, policy), *self._obstacles_of_facts, *outlook_lines(live)]
        lines += [*advisory_lines(live), *judge_lines(live)]
        budget = budget_line(self.forecast, live.plan.spec)
        return (*lines, *([budget] if budget is not None else []))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the request and of the facts' rows."""
        return notes_of(self.live)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        minutes = {
            kind: {name: round(seconds / 60, 2) for name, seconds in found.items()}
            for kind, found in (("attacks", self.forecast.attacks), ("probes", self.forecast.probes))
        }
        return {
            **self.live.plan.as_json(),
            "remarks": self.live.remarks,
            "power": list(self.lines),
            "obstacle": self.obstacle,
            "estimated_seconds": round(self.forecast.seconds),
            "estimated_evaluations": round(self.forecast.evaluations, 1),
            "estimated_minutes": minutes,
        }

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """One row per job: `attack`, `arm`, `model`, `role`, `seed`, `probes`, and its `seconds` as forecast."""
        import pandas as pd

        seconds = self.forecast.jobs
        rows = [
            {
                "attack": job.attack,
                "arm": job.arm.name,
                "model": job.model.name,
                "role": job.model.role.value,
                "seed": job.seed,
                "probes": ", ".join(job.probes),
                "seconds": seconds[job.key].seconds,
            }
            for job in self.live.plan.jobs
        ]
        return pd.DataFrame(rows, columns=["attack", "arm", "model", "role", "seed", "probes", "seconds"])

    @property
    def seconds(self) -> float:
        """The whole run, roughly; preparations and comparisons of models come on top."""
        return self.forecast.seconds

    def __repr__(self) -> str:
        may = "cannot end in PASS" if self.obstacle else "every verdict is possible"
        return f"<Prospects: {len(self.live.plan.jobs)} jobs, about {duration(self.seconds)}; {may}>"

    def _repr_html_(self) -> str:
        told = [self.obstacle] if self.obstacle else []
        items = [*told, *(f"Note: {note}." for note in self.notes), *self.lines]
        listed = Markup("").join(Markup("<li>{}</li>").format(clean(item)) for item in dict.fromkeys(items))
        by_attack = self.jobs.groupby("attack", sort=False)["seconds"].agg(["count", "sum"])
        rows = Markup("").join(
            Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>").format(name, int(row["count"]), duration(row["sum"]))
            for name, row in by_attack.iterrows()
        )
        head = Markup("<tr><th>attack</th><th>jobs</th><th>time</th></tr>")
        return Markup(
            "<p><strong>{} jobs, about {}</strong></p><table><thead>{}</thead><tbody>{}</tbody></table><ul>{}</ul>"
        ).format(len(self.jobs), duration(self.seconds), head, rows, listed)

    @cached_property
    def _obstacles_of_facts(self) -> tuple[str, ...]:
        return tuple(found for found in (control_obstacle(self.live), thin_wording(self.live)) if found is not None)


def notes_of(live: LivePlan) -> tuple[str, ...]:
    """What the user should know of the request and of the facts' rows."""
    return (*live.plan.notes, *live.remarks)


def warnings_of(live: LivePlan) -> tuple[str, ...]:
    """What is told before a run: its notes, and why it cannot end in PASS by its size or policy, if it cannot."""
    obstacle = cannot_be_met(live.case, live.plan.spec.policy)
    return (*notes_of(live), *([obstacle] if obstacle is not None else []))


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
