"""Observations of one finding -> cells: for each dose and way of asking, what is known of every model, by subject.

Missing is never 0 and never dropped silently. A fact that no model has a score for is skipped and counted. A fact
that only some models have a score for is *unresolved*: the missing score could be anything in [0, 1],
and both ends are carried along, so that either verdict must hold whatever it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn_audit.api import Role
from unlearn_audit.errors import AuditError
from unlearn_audit.plan.case import BASELINE as BASELINE
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.statistics.bounds import FloatArray
from unlearn_audit.verdict.findings.score_tables import BESIDE, ITEM, Codes, Names, Scores, ScoreTable
from unlearn_audit.verdict.policy.terms import Terms

UNLEARNED = "unlearned"
ORIGINAL = "original"
CHANCE = "chance"
KNOWN = "known"
"""What the original shows un-attacked."""

SHAM = " sham"  # suffix: what an attack toward a twin answer makes the model score for that answer

_CONTROL = "control "  # prefix: a user may call a control "original"
_PLANT = "plant "
_SCORES = ["score", *BESIDE.values()]
_COLUMNS = ["role", "model", "attack", "dose", "dose_value", "probe", "measure", *ITEM[1:], *_SCORES, "sham"]


def named_model(key: str) -> str:
    """How a column is called where people read it."""
    known = {UNLEARNED: "the checkpoint", ORIGINAL: "the original"}
    return known.get(key, key.removeprefix(_CONTROL))


def control_key(name: str) -> str:
    """The key under which a retrained model's scores stand in a cell."""
    return _CONTROL + name


def plant_key(name: str) -> str:
    """The key of a plant's rows, out of `checked`."""
    return _PLANT + name


@dataclass(frozen=True, kw_only=True)
class Span:
    """What is known of one quantity, subject by subject: the mean over a subject's facts lies in [low, high].

    Attributes:
        low: shape (subjects,); equal to `high` where every score is there.
        high: shape (subjects,).
        shown: mean over subjects of what was scored, for display; None where nothing was.
    """

    low: FloatArray
    high: FloatArray
    shown: float | None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One dose x one way of asking, every model paired by subject.

    Attributes:
        sizes: items of each subject.
        spans: by model key (`UNLEARNED`, `ORIGINAL`, `KNOWN`, `control_key(...)`), with `TWINS`, `PLACEBO` or `SHAM`
            added, or `CHANCE`.
        facts: scored in some model; `unresolved` of them not in all; `missing` others in none.
    """

    dose: str
    dose_value: float | None
    variant: str
    subjects: tuple[str, ...]
    sizes: FloatArray
    facts: int
    unresolved: int
    missing: int
    spans: Mapping[str, Span]

    @property
    def key(self) -> tuple[str, str]:
        """Dose and way of asking."""
        return self.dose, self.variant

    @property
    def place(self) -> str:
        """`dose, variant`, for a reader."""
        return f"{self.dose}, {self.variant}"


@dataclass(frozen=True, kw_only=True)
class FindingScores:
    """All scores of a finding, cell by cell.

    Attributes:
        lacking: a line for each dose that some models have and another does not.
        shares: share of the checkpoint's and the original's scores that carry a twin score (`TWINS`), a placebo's
            (`PLACEBO`).
        fact_ids: all facts that were scored in some model; `asked` those that any model has a row of.
        covered: the facts that a model has a score for, in some way of asking, by dose and model.
        met: by dose and way of asking, the model with the fewest facts that it has all scores for, how many those are,
            and how many were asked.
        table: the scores themselves.
        union: all cells and seeds as one; None where there is but one of them.
    """

    cells: tuple[Cell, ...]
    lacking: tuple[str, ...]
    shares: Mapping[str, float]
    fact_ids: frozenset[str]
    asked: frozenset[str]
    covered: Mapping[str, Mapping[str, frozenset[str]]]
    met: Mapping[tuple[str, str], tuple[str, int, int]]
    table: ScoreTable
    union: Cell | None


def checked(observations: pd.DataFrame, case: Case) -> pd.DataFrame:
    """The observations of models that the case knows, with a column `key` that names the model.

    Names come back as categories: an audit has half a million rows and a few hundred names.

    Raises:
        AuditError: a column is missing, a score is outside [0, 1], or a retrained model is not in the case.
    """
    lacking = [column for column in _COLUMNS if column not in observations.columns]
    if lacking:
        raise AuditError(f"expected the columns of api.Observation; missing: {', '.join(lacking)}")
    frame = observations[_COLUMNS].copy()
    frame["role"] = frame["role"].astype(str)
    for column in (*_SCORES, "dose_value"):
        frame[column] = pd.to_numeric(frame[column]).astype(float)
    for column in _SCORES:
        outside = frame[column].notna() & ~frame[column].between(0.0, 1.0)
        if outside.any():
            row = frame[outside].iloc[0]
            raise AuditError(
                f"expected {column} in [0, 1], got {row[column]} for {row['fact_id']} under {row['attack']}"
            )
    roles = {str(Role.UNLEARNED), str(Role.RETRAINED)} | ({str(Role.ORIGINAL)} if case.has_original else set())
    roles |= {str(Role.PLANT)} if case.plants else set()
    frame = frame[frame["role"].isin(roles)].reset_index(drop=True)
    retrained = frame["role"] == str(Role.RETRAINED)
    strangers = sorted(set(frame.loc[retrained, "model"].astype(str)) - set(case.controls))
    if strangers:
        raise AuditError(f"the evidence holds retrained models {strangers}, but the plan named {list(case.controls)}")
    key = frame["role"].where(~retrained, _CONTROL + frame["model"].astype(str))
    key = key.where(frame["role"] != str(Role.PLANT), _PLANT + frame["model"].astype(str))
    frame["key"] = key.where(~frame["sham"].astype(bool), key + SHAM)
    names = ["key", "attack", "dose", "probe", "measure", "variant", "fact_id"]
    return frame.assign(**{name: _as_category(frame[name]) for name in names})


def _as_category(column: pd.Series[Any]) -> pd.Series[Any]:
    """The column as categories that are plain strings: pandas' own kind of string costs a call into Arrow each time."""
    found = pd.Categorical(column.astype(str).astype(object))
    return pd.Series(found, index=column.index)


def scores_for(
    planned: PlannedFinding, rows: pd.DataFrame, terms: Terms, unattacked: pd.DataFrame | None = None
) -> FindingScores:
    """The cells of one finding.

    Args:
        planned: which finding; with `any_of`, the ways of asking are one cell a dose, each fact at its maximum.
        rows: its observations, out of `checked`.
        terms: the case with its subjects, models and chance levels; with `Unit.FACT`, a fact is its own subject.
        unattacked: observations of the same measure under the baseline; where the original has none there, what it
            shows under the attack is what it knows.

    Raises:
        AuditError: two scores for one place, or a fact that the case does not know in a finding that gates.
    """
    case = terms.case
    known = Names.of(rows["fact_id"]).among(case.subjects)
    if planned.gates and not known.all():
        stranger = rows.loc[~known, "fact_id"].iloc[0]
        raise AuditError(f"{planned.id} scores fact {stranger!r}, which is not in the case's forget set")
    # What a measure cannot be about was known before the run, by the facts alone: it is no hole and no guess.
    known &= ~Names.of(rows["fact_id"]).among(case.unscorable.get(f"{planned.probe}.{planned.measure}", ()))
    keys = [UNLEARNED, *([ORIGINAL] if case.has_original else []), *map(control_key, case.controls)]
    models, facts = Names.of(rows["key"]), Names.of(rows["fact_id"])
    if planned.sham:
        # A fact without a twin answer has no sham to subtract, and is out for every model.
        shams = [key + SHAM for key in keys]
        known &= facts.among(set(facts.known[facts.codes[known & models.among(shams)]]))
        keys += shams
    rows = rows[known & models.among(keys)]
    asked = rows.iloc[:0] if unattacked is None else _of_original(unattacked)
    single = ScoreTable.of(rows, keys, planned.id, _of_original(rows) if asked.empty else asked)
    table = single.at_maximum() if planned.any_of else single
    scored = rows[rows["score"].notna().to_numpy()]
    shown = scored[Names.of(scored["key"]).among([UNLEARNED, ORIGINAL])]
    cells = _cells(table, terms)
    return FindingScores(
        cells=cells,
        lacking=_lacking(rows, keys),
        shares={
            suffix: float(shown[column].notna().mean()) if len(shown) else 0.0 for suffix, column in BESIDE.items()
        },
        fact_ids=frozenset(scored["fact_id"]),
        asked=frozenset(rows["fact_id"]),
        covered=_covered(table),
        met=_met(single),
        table=table,
        union=_union(table, terms),
    )


def _union(table: ScoreTable, terms: Terms) -> Cell | None:
    """Each fact at its maximum over doses, ways of asking and seeds."""
    if len(np.unique(table.items.facts.codes)) == len(table.items):
        return None
    return next(iter(_cells(table.together, terms)), None)


def _scored(table: ScoreTable) -> dict[str, NDArray[np.bool_]]:
    """By model, shape (items,): whether it has a score there, and of the twin answer too where that is subtracted."""
    found: dict[str, NDArray[np.bool_]] = {}
    for key, column in zip(table.keys, np.isfinite(table.own.scored).T, strict=True):
        model = key.removesuffix(SHAM)
        found[model] = found[model] & column if model in found else column
    return found


def _covered(table: ScoreTable) -> dict[str, dict[str, frozenset[str]]]:
    """By dose and model: the facts that it has a score for."""
    doses, facts, scored = table.items.doses, table.items.facts, _scored(table)

    def known(there: NDArray[np.bool_]) -> frozenset[str]:
        return frozenset(map(str, facts.known[np.unique(facts.codes[there])]))

    return {
        str(doses.known[dose]): {key: known(own & (doses.codes == dose)) for key, own in scored.items()}
        for dose in np.unique(doses.codes)
    }


def _met(table: ScoreTable) -> dict[tuple[str, str], tuple[str, int, int]]:
    """By dose and way of asking: the model with the fewest facts scored in every run, how many, and of how many."""
    facts, scored = table.items.facts.codes, _scored(table)
    found = {}
    for dose, way, there in table.items.cells():
        asked = len(np.unique(facts[there]))
        met = {key: asked - len(np.unique(facts[there & ~own])) for key, own in scored.items()}
        fewest = min(met, key=met.__getitem__)
        found[dose, way] = fewest, met[fewest], asked
    return found


def _of_original(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["key"] == ORIGINAL).to_numpy()]


def _lacking(rows: pd.DataFrame, keys: list[str]) -> tuple[str, ...]:
    """Doses that some models have and others have no row of. Seeds count apart where there are several."""
    doses, models = Names.of(rows["dose"]), Names.of(rows["key"])
    seeds, seed = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    present: dict[tuple[int, int], set[str]] = {}
    for dose, one, model in np.unique(np.stack([doses.codes, seed, models.codes], axis=1), axis=0):
        present.setdefault((dose, one), set()).add(models.known[model])
    return tuple(
        f"{key} has no evidence at dose {doses.known[dose]}" + (f" with seed {seeds[one]}" if len(seeds) > 1 else "")
        for (dose, one), found in present.items()
        for key in keys
        if key not in found
    )


def _cells(table: ScoreTable, terms: Terms) -> tuple[Cell, ...]:
    items = table.items
    # The frame holds other findings' facts among its names; none of those is met below.
    subjects = items.facts.grouped(terms.units)
    chance = np.array([terms.case.chance.get(name, np.nan) for name in items.facts.known])
    cells = []
    for dose, variant, there in items.cells():
        places, kept = np.flatnonzero(there), np.flatnonzero(there & table.alive)
        if not len(kept):
            continue
        facts = items.facts.codes[kept]
        gaps = np.isnan(table.own.scored[kept]).any(axis=1)
        codes, owners = pd.factorize(subjects[kept], sort=True)
        value = items.dose_values[places][np.isfinite(items.dose_values[places])]
        cells.append(
            Cell(
                dose=dose,
                dose_value=float(value[0]) if len(value) else None,
                variant=variant,
                subjects=tuple(map(str, owners)),
                sizes=np.bincount(codes).astype(np.float64),
                facts=len(np.unique(facts)),
                unresolved=len(np.unique(facts[gaps])),
                missing=len(np.setdiff1d(items.facts.codes[places], facts)),
                spans=_spans(table, kept, codes.astype(np.intp), chance[facts]),
            )
        )
    return tuple(sorted(cells, key=lambda c: (math.inf if c.dose_value is None else c.dose_value, c.dose, c.variant)))


def _spans(table: ScoreTable, kept: Codes, codes: Codes, chance: FloatArray) -> dict[str, Span]:
    spans = {CHANCE: _span(codes, Scores.of(chance[:, None]), 0)}
    for suffix, scores in {"": table.own, **table.beside}.items():
        there = scores.at(kept)
        spans |= {key + suffix: _span(codes, there, place) for place, key in enumerate(table.keys)}
    for suffix, scores in table.known.items():
        spans[KNOWN + suffix] = _span(codes, scores.at(kept), 0)
    return spans


def _span(codes: Codes, scores: Scores, place: int) -> Span:
    """Items of one model -> subject means."""
    scored = scores.scored[:, place]
    counts = np.bincount(codes)
    there = np.isfinite(scored)
    shown = None
    if there.any():
        totals, held = np.bincount(codes[there], scored[there]), np.bincount(codes[there])
        shown = float(np.mean(totals[held > 0] / held[held > 0]))
    return Span(
        low=np.bincount(codes, scores.low[:, place]) / counts,
        high=np.bincount(codes, scores.high[:, place]) / counts,
        shown=shown,
    )
