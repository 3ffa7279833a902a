"""Observations of one finding as matrices: one row a dose, way of asking, fact and seed; one column a model."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
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
EVERYTHING = frozenset({"doses", "variants", "seeds"})
"""What a fact's maximum may be taken over: an adversary needs one that works."""

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

    def at(self, items: Codes) -> Scores:
        """Of some items."""
        return Scores(scored=self.scored[items], low=self.low[items], high=self.high[items])


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

    @property
    def named(self) -> NDArray[np.object_]:
        """Shape (rows,), the names themselves."""
        return np.asarray(self.known[self.codes], dtype=object)

    def grouped(self, group_of: Mapping[str, str]) -> NDArray[np.object_]:
        """Shape (rows,), the group of each name; "" where it has none."""
        groups = np.array([group_of.get(name, "") for name in self.known], dtype=object)
        return np.asarray(groups[self.codes], dtype=object)

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

    def numbered(self, *, but: frozenset[str] = frozenset()) -> tuple[Codes, Codes]:
        """The number of each row's item in order of dose, way of asking, fact and seed, and a row for each item.

        Args:
            but: what does not count: `doses`, `variants`, `seeds`.
        """
        keys = {"doses": self.doses.codes, "variants": self.variants.codes, "facts": self.facts.codes}
        code: NDArray[Any] = np.zeros(len(self), dtype=np.int64)
        for name, one in {**keys, "seeds": self.seeds}.items():
            if name not in but:
                code = code * (int(one.max(initial=0)) + 1) + one
        _, first, number = np.unique(code, return_index=True, return_inverse=True)
        return number.astype(np.intp), first.astype(np.intp)

    def cells(self) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
        """Each dose and way of asking in order, with a mask of its rows, shape (items,)."""
        for dose, way in np.unique(np.stack([self.doses.codes, self.variants.codes], axis=1), axis=0):
            there = (self.doses.codes == dose) & (self.variants.codes == way)
            yield str(self.doses.known[dose]), str(self.variants.known[way]), there

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
        known: the original's scores un-attacked, shape (items, 1), by suffix ("" for its own).
    """

    keys: tuple[str, ...]
    items: Items
    alive: NDArray[np.bool_]
    own: Scores
    beside: Mapping[str, Scores]
    known: Mapping[str, Scores]

    @classmethod
    def of(cls, rows: pd.DataFrame, keys: list[str], finding: str, unattacked: pd.DataFrame) -> ScoreTable:
        """Rows out of `places.checked`, with a column for each of `keys`.

        Args:
            rows: the finding's.
            keys: its models.
            finding: its id.
            unattacked: what the original showed of the same measure under the baseline.

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

        own, items = Scores.of(matrix("score")), given.at(first, item)
        return cls(
            keys=tuple(keys),
            items=items,
            alive=np.asarray(np.isfinite(own.scored).any(axis=1), dtype=np.bool_),
            own=own,
            beside={suffix: Scores.of(matrix(column)) for suffix, column in BESIDE.items()},
            known=_known(items, unattacked, {"": "score", **BESIDE}),
        )

    @cached_property
    def together(self) -> ScoreTable:
        """Each fact at its maximum over doses, ways of asking and seeds; made once, for all that read it."""
        return self.at_maximum(over=EVERYTHING)

    def at_maximum(self, *, over: frozenset[str] = frozenset({"variants"})) -> ScoreTable:
        """Each fact at its maximum over the ways of asking, within a dose and a seed (design 6.4), or over more.

        A way of asking that no model has a score for is out of the budget of every model. The twins' maximum cannot be
        had from their means: it lies between the largest of them and their sum, and both ends are kept.

        Args:
            over: of `doses`, `variants`, `seeds`.
        """
        alive = self.alive
        code, first = self.items.numbered(but=over)
        merged = self.items.at(first, code)
        if "doses" in over:
            doses = _any_of(self.items.doses, alive, len(first))
            merged = replace(merged, doses=doses, dose_values=np.full(len(first), np.nan))
        if "variants" in over:
            merged = replace(merged, variants=_any_of(self.items.variants, alive, len(first)))
        if "seeds" in over:
            merged = replace(merged, seeds=np.zeros(len(first), dtype=np.intp))
        scored_somewhere = np.zeros(len(first), dtype=np.bool_)
        scored_somewhere[code[alive]] = True

        def largest(values: FloatArray, start: float) -> FloatArray:
            out = np.full((len(first), values.shape[1]), start)
            np.fmax.at(out, code[alive], values[alive])
            return out

        def settled(scores: Scores) -> Scores:
            # A fact is settled for a model when every way of asking is, or when one of them shows it fully.
            low, high = largest(scores.low, 0.0), largest(scores.high, 0.0)
            return Scores(scored=np.where(low == high, high, np.nan), low=low, high=high)

        def of_twins(scores: Scores) -> Scores:
            total = np.zeros((len(first), scores.high.shape[1]))
            np.add.at(total, code[alive], scores.high[alive])
            low = largest(scores.low, 0.0)
            return Scores(scored=largest(scores.scored, np.nan), low=low, high=np.minimum(total, 1.0))

        return ScoreTable(
            keys=self.keys,
            items=merged,
            alive=scored_somewhere,
            own=settled(self.own),
            beside={TWINS: of_twins(self.beside[TWINS]), PLACEBO: settled(self.beside[PLACEBO])},
            known={
                suffix: of_twins(scores) if suffix == TWINS else settled(scores)
                for suffix, scores in self.known.items()
            },
        )


def _any_of(names: Names, alive: NDArray[np.bool_], size: int) -> Names:
    """One name for all that occur, `size` times."""
    name = f"any of {len(np.unique(names.codes[alive]))}"
    return Names(known=np.array([name], dtype=object), codes=np.zeros(size, dtype=np.intp))


def _known(items: Items, unattacked: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, Scores]:
    """What the original shows of each item's fact un-attacked, asked the same way; else its mean over the ways.

    By suffix, each of shape (items, 1); NaN where it was not scored.
    """
    facts, ways = Names.of(unattacked["fact_id"]), Names.of(unattacked["variant"])
    own_fact, own_way = _numbers(items.facts, facts.known), _numbers(items.variants, ways.known)
    wanted = np.where((own_fact >= 0) & (own_way >= 0), own_fact * len(ways.known) + own_way, -1)
    found = {}
    for suffix, column in columns.items():
        scores = unattacked[column].to_numpy(dtype=np.float64)
        there = np.flatnonzero(~np.isnan(scores))
        fact, way = facts.codes[there], ways.codes[there]
        alike = _means(fact * len(ways.known) + way, scores[there], wanted)
        anyhow = _means(fact, scores[there], own_fact)
        found[suffix] = Scores.of(np.where(np.isnan(alike), anyhow, alike)[:, None])
    return found


def _numbers(names: Names, known: NDArray[np.object_]) -> Codes:
    """Shape (rows,): the place of each name among others; -1 where it is not there."""
    places = {name: place for place, name in enumerate(known)}
    own = np.array([places.get(name, -1) for name in names.known], dtype=np.intp)
    found: Codes = own[names.codes]
    return found


def _means(codes: Codes, scores: FloatArray, wanted: Codes) -> FloatArray:
    """Shape (wanted,): the mean score of each wanted code; NaN where it has none."""
    there, number = np.unique(codes, return_inverse=True)
    if not len(there):
        return np.full(len(wanted), np.nan)
    means = np.bincount(number, scores) / np.bincount(number)
    place = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return np.where(there[place] == wanted, means[place], np.nan)


def _columns(models: Names, keys: list[str]) -> Codes:
    """The column of each row's model."""
    columns = np.array([keys.index(name) if name in keys else -1 for name in models.known], dtype=np.intp)
    found: Codes = columns[models.codes]
    return found
