"""Observations of one finding as matrices: one row a dose, way of asking, fact and seed; one column a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

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
class ScoreTable:
    """The scores of a finding.

    Attributes:
        items: columns dose, dose_value, variant, fact_id, seed.
        alive: shape (items,), whether any model has a score there.
        own: the models' scores; `beside` the scores that go with them, by suffix.
    """

    keys: tuple[str, ...]
    items: pd.DataFrame
    alive: NDArray[np.bool_]
    own: Scores
    beside: Mapping[str, Scores]

    @classmethod
    def of(cls, rows: pd.DataFrame, keys: list[str], finding: str) -> ScoreTable:
        """Rows out of `cells.checked`, with a column for each of `keys`.

        Raises:
            AuditError: two scores for one place.
        """
        if rows.duplicated([*ITEM, "key"]).any():
            row = rows[rows.duplicated([*ITEM, "key"])].iloc[0]
            raise AuditError(
                f"{finding} has two scores of {row['key']} for fact {row['fact_id']!r} at dose {row['dose']!r}, "
                f"{row['variant']!r}: expected one each. Do two parts of the attack share a dose label?"
            )
        groups = rows.groupby(ITEM, sort=True, observed=True)
        item = groups.ngroup().to_numpy()
        columns = np.array(
            [keys.index(key) if key in keys else -1 for key in rows["key"].cat.categories], dtype=np.intp
        )
        model = columns[rows["key"].cat.codes.to_numpy()]

        def matrix(column: str) -> FloatArray:
            values = np.full((groups.ngroups, len(keys)), np.nan)
            values[item, model] = rows[column].to_numpy()
            return values

        own = Scores.of(matrix("score"))
        return cls(
            keys=tuple(keys),
            items=groups["dose_value"].first().reset_index(),
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
        groups = self.items.groupby(["dose", "fact_id", "seed"], sort=True, observed=True)
        code: Codes = groups.ngroup().to_numpy().astype(np.intp)
        ways = self.items["variant"].to_numpy()[alive]
        items = groups["dose_value"].first().reset_index().assign(variant=f"any of {len(set(ways))}")
        shape = (groups.ngroups, len(self.keys))
        scored_somewhere = np.zeros(groups.ngroups, dtype=np.bool_)
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
        return ScoreTable(
            keys=self.keys,
            items=items,
            alive=scored_somewhere,
            own=settled(self.own),
            beside={TWINS: of_twins, PLACEBO: settled(self.beside[PLACEBO])},
        )
