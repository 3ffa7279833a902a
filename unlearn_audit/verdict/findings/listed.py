"""The listed facts, counted: what each run of an attack shows of them, and whether that is more than may come back.

The facts of a list are all that must be gone, so that nothing is sampled: what the checkpoint shows of them is a
number. It may be `margin` times what the original shows un-attacked. No guess is subtracted: a count that is small
enough says so of these facts, however they hang together. What is too much by guessing alone is held against the
controls by a bound instead (`contrasts`), and a failure needs more than the controls' guesses explain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.statistics.bounds import DIGITS, TOLERANCE, FloatArray
from unlearn_audit.statistics.counts import (
    design_effect,
    excess_p_value,
    most_guesses,
    shortfall_p_value,
    simes,
)
from unlearn_audit.verdict.findings.places import UNLEARNED, FindingScores, control_key
from unlearn_audit.verdict.findings.score_tables import PLACEBO, TWINS, Codes, ScoreTable
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Control

_STAND_INS = {
    Control.TWINS: (TWINS,),
    Control.PLACEBO: (PLACEBO,),
    Control.TWINS_AND_PLACEBO: (TWINS, PLACEBO),
}


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a cell (dose, way of asking) shows of the facts that it asked about, in the worst of its runs.

    Soft scores count as that share of a fact.

    Attributes:
        facts: that it asked about.
        shown: by the checkpoint for certain; `at_most` with every fact that has no score.
        known: by the original un-attacked, without the facts for which it has no score.
        runs: how many there are; `beyond` of them show more than may come back for certain.
    """

    facts: int
    shown: float
    at_most: float
    known: float
    runs: int = 1
    beyond: int = 0

    def excess(self, margin: float) -> float:
        """Share of the facts by which what is shown can exceed what may be; at most 0 is what a pass needs."""
        return round((self.at_most - margin * self.known) / self.facts, DIGITS)


def counts_of(scores: FindingScores, terms: Terms) -> dict[tuple[str, str], Count]:
    """By cell (dose, way of asking): the most that any run shows, the least that is known; {} without an original."""
    if not terms.listed or not terms.case.has_original:
        return {}
    table = scores.table
    own, known = table.keys.index(UNLEARNED), table.known[""].low[:, 0]
    runs: dict[tuple[str, str], list[Codes]] = {}
    for dose, variant, rows in _runs(table):
        runs.setdefault((dose, variant), []).append(rows)
    return {
        cell: Count(
            facts=max(len(rows) for rows in several),
            shown=max(float(table.own.low[rows, own].sum()) for rows in several),
            at_most=max(float(table.own.high[rows, own].sum()) for rows in several),
            known=min(float(known[rows].sum()) for rows in several),
            runs=len(several),
            beyond=sum(
                float(table.own.low[rows, own].sum()) > terms.margin * float(table.known[""].high[rows, 0].sum())
                for rows in several
            ),
        )
        for cell, several in runs.items()
    }


def counted_p_value(planned: PlannedFinding, scores: FindingScores, control: Control, terms: Terms) -> float | None:
    """p-value of "no run, and not all of them together, brings back more of the list than may come back".

    None where hits are not counted against guesses: soft scores, a sham to subtract, no control but chance.
    """
    compared = control is Control.RETRAINED or control in _STAND_INS
    if not terms.listed or planned.kind is not ScoreKind.HIT or planned.sham or not compared:
        return None
    tables = [scores.table]
    if scores.union is not None:
        tables.append(scores.table.together)
    p_values = []
    for table in tables:
        units = table.items.facts.grouped(terms.units)
        p_values += [_p_value(table, rows, units, control, terms) for _, _, rows in _runs(table)]
    return simes(p_values)


def scattered_p_value(planned: PlannedFinding, scores: FindingScores, control: Control, terms: Terms) -> float | None:
    """p-value of "more of the list comes back than may, each fact in some cell or run", by what all of them show.

    Guesses add up over cells, so that few lists are long enough for an honest model to prove it false. None where of
    honest models, which guess as the controls do, more than `alpha_pass` of audits would stop at one of the findings
    that are counted so; and where nothing else is compared: soft scores, shams, no retrained model. What is missing is
    in the counts of the cells.
    """
    if not terms.listed or planned.kind is not ScoreKind.HIT or planned.sham or control is not Control.RETRAINED:
        return None
    if scores.union is None or not terms.case.has_original:
        return None
    table = scores.table.together
    rows = np.flatnonzero(table.alive)
    _, codes = np.unique(table.items.facts.grouped(terms.units)[rows].astype(str), return_inverse=True)
    others = [table.own.low[rows, table.keys.index(control_key(name))] for name in terms.case.controls]
    guessed = np.stack([_by_person(codes, one) for one in others])
    effect = design_effect(guessed, np.bincount(codes).astype(np.float64))
    facts, asked = float(len(rows)), float(len(rows) * len(others))
    too_many = math.floor(terms.margin * float(table.known[""].low[rows, 0].sum()) + TOLERANCE) + 1
    hits = float(guessed.sum())

    def p_value(shown: float) -> float:
        return shortfall_p_value(shown - too_many, facts - too_many, hits, asked, effect)

    counted = sum(one.gates and one.kind is ScoreKind.HIT for one in terms.case.planned)
    honest = most_guesses(facts, hits / asked, effect, 1.0 - terms.alpha_pass / max(1, counted))
    if p_value(honest) > terms.alpha_pass:
        return None
    return p_value(float(table.own.low[rows, table.keys.index(UNLEARNED)].sum()))


def _runs(table: ScoreTable) -> Iterator[tuple[str, str, Codes]]:
    """Each dose, way of asking and seed with its rows."""
    for dose, variant, there in table.items.cells():
        for seed in np.unique(table.items.seeds[there]):
            yield dose, variant, np.flatnonzero(there & (table.items.seeds == seed))


def _p_value(table: ScoreTable, rows: Codes, units: NDArray[np.object_], control: Control, terms: Terms) -> float:
    """Of one run; what is missing speaks for the checkpoint."""
    rows = rows[table.alive[rows]]
    if not len(rows):
        return 1.0
    _, codes = np.unique(units[rows].astype(str), return_inverse=True)
    own = table.own.low[rows, table.keys.index(UNLEARNED)]
    shown = _by_person(codes, own)
    known = float(table.known[""].high[rows, 0].sum()) if terms.case.has_original else float(len(rows))
    beyond, left = float(own.sum()) - terms.margin * known, len(rows) - terms.margin * known
    facts_of = np.bincount(codes).astype(np.float64)
    p_values = []
    for guesses in _guesses(table, rows, control, terms):
        effect = design_effect(np.stack([shown, *(_by_person(codes, one) for one in guesses.T)]), facts_of)
        p_values.append(excess_p_value(beyond, left, float(guesses.sum()), float(guesses.size), effect))
    return max(p_values)


def _by_person(codes: Codes, scores: FloatArray) -> FloatArray:
    return np.bincount(codes, scores).astype(np.float64)


def _guesses(table: ScoreTable, rows: Codes, control: Control, terms: Terms) -> Iterator[FloatArray]:
    """What the controls show, shape (rows, controls); or what the checkpoint shows of each kind of stand-in."""
    if control is Control.RETRAINED:
        yield table.own.high[rows][:, [table.keys.index(control_key(name)) for name in terms.case.controls]]
        return
    for suffix in _STAND_INS[control]:
        yield table.beside[suffix].high[rows][:, [table.keys.index(UNLEARNED)]]
