"""Observations of one finding as matrices: one row a dose, way of asking, fact and seed; one column a model."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn_audit.errors import AuditError
from unlearn_audit.statistics.bounds import FloatArray

Codes: TypeAlias = NDArray[np.intp]

TWINS = " twins"  # suffix: what the same outputs score for the twins of a fact
PLACEBO = " placebo"  # suffix: what the model scores on the placebo of a fact
BESIDE = {TWINS: "twin_score", PLACEBO: "placebo_score"}
ITEM = ["dose", "variant", "fact_id", "seed"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores as matrices: one row an item (dose, variant, fact, seed), one column a model.

    Attributes:
        scored: the score, NaN where missing; `low` and `high` what it can have been.
    """

    scored: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, scored: FloatArray) -> Scores:
        """A missing score can have been anything in [0, 1]."""
        return cls(scored=scored, low=np.nan_to_num(scored, nan=0.0), high=np.nan_to_num(scored, nan=1.0))


@dataclass(frozen=True, kw_only=True)
class Names:
    """A column of names.

    Attributes:
        known: all names there can be, sorted; some may occur nowhere.
        codes: shape (rows,), which of them.
    """

    known: NDArray[np.object_]
    codes: Codes

    @classmethod
    def of(cls, column: pd.Series[Any]) -> Names:
        """A column of a frame; categories keep those that occur nowhere."""
        found = column.cat if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category").cat
        return cls(known=found.categories.to_numpy(dtype=object), codes=found.codes.to_numpy().astype(np.intp))

    def at(self, rows: Codes) -> Names:
        """Some rows of it."""
        return Names(known=self.known, codes=self.codes[rows])

    def among(self, wanted: Container[str]) -> NDArray[np.bool_]:
        """Shape (rows,), which names are among the wanted ones."""
        chosen = np.fromiter((name in wanted for name in self.known), dtype=np.bool_, count=len(self.known))
        return np.asarray(chosen[self.codes], dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Items:
    """What was scored: one row for each dose, way of asking, fact and seed.

    Attributes:
        seeds: shape (items,).
        dose_values: shape (items,), NaN where a dose has none.
    """

    doses: Names
    variants: Names
    facts: Names
    seeds: Codes
    dose_values: FloatArray

    def __len__(self) -> int:
        return len(self.seeds)

    def numbered(self, *, variants: bool = True) -> tuple[Codes, Codes]:
        """The number of each row's item in order of dose, way of asking, fact and seed, and a row for each item.

        Args:
            variants: whether the way of asking counts.
        """
        keys = [self.doses.codes, *([self.variants.codes] if variants else []), self.facts.codes, self.seeds]
        code: NDArray[Any] = np.zeros(len(self), dtype=np.int64)
        for one in keys:
            code = code * (int(one.max(initial=0)) + 1) + one
        _, first, number = np.unique(code, return_index=True, return_inverse=True)
        return number.astype(np.intp), first.astype(np.intp)

    def at(self, rows: Codes, number: Codes) -> Items:
        """Its rows of those numbers, each with the first dose value that any row of its number has."""
        values = np.full(len(rows), np.nan)
        given = np.flatnonzero(np.isfinite(self.dose_values))[::-1]
        values[number[given]] = self.dose_values[given]
        return Items(
            doses=self.doses.at(rows),
            variants=self.variants.at(rows),
            facts=self.facts.at(rows),
            seeds=self.seeds[rows],
            dose_values=values,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """The scores of a finding.

    Attributes:
        alive: shape (items,), whether any model has a score there.
        own: the models' scores; `beside` the scores that go with them, by suffix.
    """

    keys: tuple[str, ...]
    items: Items
    alive: NDArray[np.bool_]
    own: Scores
    beside: Mapping[str, Scores]

    @classmethod
    def of(cls, rows: pd.DataFrame, keys: list[str], finding: str) -> ScoreTable:
        """Rows out of `places.checked`, with a column for each of `keys`.

        Raises:
            AuditError: two scores for one place.
        """
        given = Items(
            doses=Names.of(rows["dose"]),
            variants=Names.of(rows["variant"]),
            facts=Names.of(rows["fact_id"]),
            seeds=np.unique(rows["seed"].to_numpy(), return_inverse=True)[1].astype(np.intp),
            dose_values=rows["dose_value"].to_numpy(dtype=np.float64),
        )
        item, first = given.numbered()
        model = _columns(Names.of(rows["key"]), keys)
        places, first_of, count = np.unique(item * len(keys) + model, return_index=True, return_counts=True)
        if len(places) < len(rows):
            row = rows.iloc[first_of[count > 1][0]]
            raise AuditError(
                f"{finding} has two scores of {row['key']} for fact {row['fact_id']!r} at dose {row['dose']!r}, "
                f"{row['variant']!r}: expected one each. Do two parts of the attack share a dose label?"
            )

        def matrix(column: str) -> FloatArray:
            values = np.full((len(first), len(keys)), np.nan)
            values[item, model] = rows[column].to_numpy()
            return values

        own = Scores.of(matrix("score"))
        return cls(
            keys=tuple(keys),
            items=given.at(first, item),
            alive=np.asarray(np.isfinite(own.scored).any(axis=1), dtype=np.bool_),
            own=own,
            beside={suffix: Scores.of(matrix(column)) for suffix, column in BESIDE.items()},
        )

    def at_maximum(self) -> ScoreTable:
        """Each fact at its maximum over the ways of asking, within a dose and a seed (design 6.4).

        A way of asking that no model has a score for is out of the budget of every model. The twins' maximum cannot be
        had from their means: it lies between the largest of them and their sum, and both ends are kept.
        """
        alive = self.alive
        code, first = self.items.numbered(variants=False)
        merged = self.items.at(first, code)
        ways = f"any of {len(np.unique(self.items.variants.codes[alive]))}"
        shape = (len(first), len(self.keys))
        scored_somewhere = np.zeros(len(first), dtype=np.bool_)
        scored_somewhere[code[alive]] = True

        def largest(values: FloatArray, start: float) -> FloatArray:
            out = np.full(shape, start)
            np.fmax.at(out, code[alive], values[alive])
            return out

        def settled(scores: Scores) -> Scores:
            # A fact is settled for a model when every way of asking is, or when one of them shows it fully.
            low, high = largest(scores.low, 0.0), largest(scores.high, 0.0)
            return Scores(scored=np.where(low == high, high, np.nan), low=low, high=high)

        twins = self.beside[TWINS]
        total = np.zeros(shape)
        np.add.at(total, code[alive], twins.high[alive])
        of_twins = Scores(
            scored=largest(twins.scored, np.nan), low=largest(twins.low, 0.0), high=np.minimum(total, 1.0)
        )
        one_way = Names(known=np.array([ways], dtype=object), codes=np.zeros(len(first), dtype=np.intp))
        return ScoreTable(
            keys=self.keys,
            items=replace(merged, variants=one_way),
            alive=scored_somewhere,
            own=settled(self.own),
            beside={TWINS: of_twins, PLACEBO: settled(self.beside[PLACEBO])},
        )


def _columns(models: Names, keys: list[str]) -> Codes:
    """The column of each row's model."""
    columns = np.array([keys.index(name) if name in keys else -1 for name in models.known], dtype=np.intp)
    found: Codes = columns[models.codes]
    return found
