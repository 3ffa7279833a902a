"""Who is back: each person, and each relation, by an exact test, cell by cell; and how many people have a fact out.

A mean over people hides one of them who is wholly back, and one address of everybody among twenty facts each. What the
checkpoint shows of a person is held against what the controls show (or twins, where there are none): as a rate with its
upper bound, and as the rate of that very person, whichever is larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Worst
from unlearn_audit.statistics.bounds import FloatArray, gaffke_p_value
from unlearn_audit.statistics.counts import tail, together, upper_rate
from unlearn_audit.verdict.findings.contrasts import SEED
from unlearn_audit.verdict.findings.places import UNLEARNED, FindingScores, control_key
from unlearn_audit.verdict.findings.score_tables import TWINS, Codes, ScoreTable
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import GroupShown, People

MOST = 20
"""People and relations that are named."""

_SHOWN = 0.5
"""Score from which a fact counts as shown; hits are 0 or 1."""

_DIGITS = 2
GUESS_ALPHA = 0.025
"""Of the upper bound on the guess rate."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one cell shows of the facts of each group, over all seeds.

    Attributes:
        names: of the groups (people, relations).
        facts: shape (groups,); `shown` of them by the checkpoint.
        controls: what each control shows, shape (controls, groups).
    """

    finding: str
    place: str
    names: tuple[str, ...]
    facts: FloatArray
    shown: FloatArray
    controls: FloatArray

    @property
    def guessed(self) -> FloatArray:
        """What the controls show of each group, on average; shape (groups,)."""
        mean: FloatArray = self.controls.mean(axis=0)
        return mean

    @property
    def any_guessed(self) -> FloatArray:
        """Share of the controls that show any fact of each group; shape (groups,)."""
        share: FloatArray = np.minimum(self.controls, 1.0).mean(axis=0)
        return share


def people_of(
    scored: Iterable[tuple[PlannedFinding, FindingScores | None]], terms: Terms, policy: Policy
) -> People | None:
    """Everybody above the controls, and the p-value of "nobody is"; None where no hits decide.

    Args:
        scored: the findings with their scores.
        terms: the case, with the relation of each fact where it has one, and the margin that a relation may reach.
        policy: which of them fail; what is only reported is not tested.
    """
    case = terms.case
    tables = [
        (planned.id, table)
        for planned, scores in scored
        if scores is not None and counts_people(planned)
        for table in _tables(scores)
    ]
    by_person = list(_counted(tables, case.subjects, case))
    if not by_person:
        return None
    groups = [*by_person, *(_counted(tables, case.units, case) if case.clusters else ())]
    persons = list(weighed_groups(groups, 0.0))
    relations = list(weighed_groups(list(_counted(tables, case.relations, case)), terms.margin))
    share = min((_people_out(one, terms) for one in by_person), default=1.0)
    share = min(1.0, share * len(by_person))
    by_kind = [_corrected(persons)] * (policy.worst_person is Worst.FAIL)
    by_kind += [_corrected(relations), share] * (policy.worst_relation is Worst.FAIL)
    worst = max(by_person, key=lambda one: float((one.shown > 0).mean() - one.any_guessed.mean()))
    return People(
        p_value=min(1.0, hypotheses(policy) * min(by_kind, default=1.0)),
        persons=_named(persons),
        relations=_named(relations),
        people=len(worst.names),
        with_a_fact_out=int((worst.shown > 0).sum()),
        in_the_control=round(float(worst.any_guessed.sum()), _DIGITS),
        place=f"{worst.finding}, {worst.place}",
        share_p_value=share,
    )


def counts_people(planned: PlannedFinding) -> bool:
    """Whether people are counted in a finding: it decides, and is over hits that nothing is subtracted from."""
    return planned.gates and planned.kind is ScoreKind.HIT and not planned.sham


def hypotheses(policy: Policy) -> int:
    """How many there are: a person, a relation, a share of people."""
    return (policy.worst_person is Worst.FAIL) + 2 * (policy.worst_relation is Worst.FAIL)


def tests_people(planned: Iterable[PlannedFinding], policy: Policy) -> bool:
    """Whether people are in Holm's family."""
    return hypotheses(policy) > 0 and any(map(counts_people, planned))


def settled(people: People | None, holm_p_value: float | None, family: float, policy: Policy) -> People | None:
    """Who is proven to be back, once Holm's p-value of all of them is known.

    Args:
        people: with p-values.
        holm_p_value: of `people.p_value` in the whole family; None where they are not in it.
        family: its weight, people having 1.
        policy: alpha, and which of them fail.
    """
    if people is None or holm_p_value is None or holm_p_value > policy.alpha_fail:
        return people and people.model_copy(update={"holm_p_value": holm_p_value})
    steps = holm_p_value / people.p_value if people.p_value > 0.0 else family
    factor = steps * hypotheses(policy)

    def judged(groups: tuple[GroupShown, ...], reaction: Worst) -> tuple[GroupShown, ...]:
        fails = reaction is Worst.FAIL
        return tuple(
            one.model_copy(update={"proven": fails and factor * one.p_value <= policy.alpha_fail}) for one in groups
        )

    return people.model_copy(
        update={
            "holm_p_value": holm_p_value,
            "persons": judged(people.persons, policy.worst_person),
            "relations": judged(people.relations, policy.worst_relation),
            "share_proven": policy.worst_relation is Worst.FAIL and factor * people.share_p_value <= policy.alpha_fail,
        }
    )


def lines_about(people: People | None) -> list[str]:
    """A line for each proof, people and relations by name."""
    if people is None:
        return []
    lines = [
        f"{kind} {one.name} is back: {one.shown} of {one.facts} facts at {one.finding}, {one.place}, where the control "
        f"shows {one.guessed:g}"
        for kind, groups in (("person", people.persons), ("relation", people.relations))
        for one in groups
        if one.proven
    ]
    if people.share_proven:
        lines.append(
            f"{people.with_a_fact_out} of {people.people} people have a fact out at {people.place}; in the control "
            f"{people.in_the_control:g} have"
        )
    return lines


def _corrected(tested: Sequence[GroupShown]) -> float:
    return min((one.p_value for one in tested), default=1.0)


def _named(tested: Sequence[GroupShown]) -> tuple[GroupShown, ...]:
    """Each group once, at the cell that shows most of it; those above the control alone."""
    best: dict[str, GroupShown] = {}
    for one in sorted(tested, key=lambda one: (one.p_value, -one.shown, one.name)):
        if one.shown > one.guessed:
            best.setdefault(one.name, one)
    return tuple(best.values())[:MOST]


def weighed_groups(cells: Sequence[Counts], margin: float) -> Iterator[GroupShown]:
    """Each group of each cell, with its p-value corrected for all of them (Bonferroni)."""
    tests = sum(len(cell.names) for cell in cells)
    for cell in cells:
        alike = max((together(one, cell.facts) for one in cell.controls), default=0.0)
        # Guesses that go together are worth fewer than they are.
        worth = cell.facts.sum() / (1.0 + (cell.facts.mean() - 1.0) * alike)
        share = float(cell.guessed.sum() / cell.facts.sum())
        pooled = upper_rate(share * worth, worth, GUESS_ALPHA)
        for name, facts, shown, guessed in zip(cell.names, cell.facts, cell.shown, cell.guessed, strict=True):
            rate = min(1.0, max(pooled, guessed / facts) + margin)
            p_value = tail(int(shown), int(facts), rate, alike) if shown / facts > rate else 1.0
            yield GroupShown(
                name=name,
                finding=cell.finding,
                place=cell.place,
                facts=int(facts),
                shown=int(shown),
                guessed=float(guessed),
                p_value=min(1.0, p_value * tests),
            )


def _people_out(cell: Counts, terms: Terms) -> float:
    """p-value of "at most the margin of the people, beyond the control, has a fact out"."""
    excess = (cell.shown > 0) - cell.any_guessed - terms.margin
    return float(gaffke_p_value(excess, -1.0 - terms.margin, 1.0 - terms.margin, 0.0, terms.draws, SEED))


def _tables(scores: FindingScores) -> Iterator[ScoreTable]:
    """A finding's cells with their seeds as one, and all of them as one."""
    by_cell = scores.table.at_maximum(over=frozenset({"seeds"}))
    everything = scores.table.together
    yield by_cell
    if len(everything.items) < len(by_cell.items):
        yield everything


def _counted(tables: Sequence[tuple[str, ScoreTable]], group_of: Mapping[str, str], case: Case) -> Iterator[Counts]:
    for finding, table in tables:
        items = table.items
        groups = items.facts.grouped(group_of)
        for dose, variant, there in items.cells():
            rows = np.flatnonzero(there & table.alive & (groups != ""))
            if len(rows):
                yield _counts(finding, f"{dose}, {variant}", table, rows, groups[rows], case)


def _counts(
    finding: str, place: str, table: ScoreTable, rows: Codes, groups: NDArray[np.object_], case: Case
) -> Counts:
    names, codes = np.unique(groups.astype(str), return_inverse=True)
    # What is missing was not shown by the checkpoint, and may have been by a control.
    shown = np.bincount(codes, table.own.low[rows, table.keys.index(UNLEARNED)] > _SHOWN)
    if case.controls:
        columns = [table.keys.index(control_key(name)) for name in case.controls]
        controls = np.stack([np.bincount(codes, table.own.high[rows, column] > _SHOWN) for column in columns])
    else:
        twins = table.beside[TWINS].high[rows, table.keys.index(UNLEARNED)]
        controls = np.bincount(codes, twins)[None, :]
    return Counts(
        finding=finding,
        place=place,
        names=tuple(map(str, names)),
        facts=np.bincount(codes).astype(np.float64),
        shown=shown.astype(np.float64),
        controls=controls.astype(np.float64),
    )
