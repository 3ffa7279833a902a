"""What is compared with what: the controls of a finding, and the linear forms that are bounded.

Everything that is compared is linear in the models' scores, so that a score which is missing enters at whichever end
of [0, 1] speaks against the verdict at hand: for the upper bound the checkpoint knew it and the control did not, for
the lower bound and the p-value the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.statistics.bounds import FloatArray, gaffke_bounds
from unlearn_audit.verdict.findings.places import (
    CHANCE,
    ORIGINAL,
    SHAM,
    UNLEARNED,
    Cell,
    FindingScores,
    control_key,
)
from unlearn_audit.verdict.findings.score_tables import PLACEBO, TWINS
from unlearn_audit.verdict.policy.terms import Terms
from unlearn_audit.verdict.result import Control, Interval

SEED = 0
"""Of every Monte Carlo draw: the same evidence always gives the same verdict."""

STAND_INS_NEEDED = 0.95
"""Share of the checkpoint's and the original's scores that must come with a twin's or placebo's score to use it."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A linear form in the models' mean scores, all of them in [0, 1].

    Attributes:
        control: the control's name, for display.
        beside: key of what the checkpoint is compared with.
        weights: by key of a cell's spans.
        offset: added to the sum.
    """

    control: str
    beside: str
    weights: Mapping[str, float]
    offset: float = 0.0

    @property
    def lo(self) -> float:
        """The least value that there can be: every score at its unfavourable end."""
        return self.offset + sum(min(weight, 0.0) for weight in self.weights.values())

    @property
    def hi(self) -> float:
        """The largest."""
        return self.offset + sum(max(weight, 0.0) for weight in self.weights.values())

    def least(self, cell: Cell) -> FloatArray:
        """By subject, with every missing score at the end that makes the value small."""
        return self._sum(
            {key: cell.spans[key].low if w > 0 else cell.spans[key].high for key, w in self.weights.items()}
        )

    def most(self, cell: Cell) -> FloatArray:
        """By subject, with every missing score at the end that makes the value large."""
        return self._sum(
            {key: cell.spans[key].high if w > 0 else cell.spans[key].low for key, w in self.weights.items()}
        )

    def estimate(self, cell: Cell) -> float:
        """Mean over subjects; halfway between both ends where scores are missing."""
        return float((self.least(cell).mean() + self.most(cell).mean()) / 2)

    def _sum(self, values: Mapping[str, FloatArray]) -> FloatArray:
        total: FloatArray = np.sum([self.weights[key] * value for key, value in values.items()], axis=0) + self.offset
        return total


@dataclass(frozen=True, kw_only=True)
class Contrasts:
    """What a finding is compared with, once for each control.

    Attributes:
        excess: L = (U - C) - margin (O - C), or U - C - margin without an original; at most 0 is what a pass needs.
        shown: O - C, which power asks for; empty without an original.
    """

    control: Control
    excess: tuple[Contrast, ...]
    shown: tuple[Contrast, ...]


def contrasts_for(planned: PlannedFinding, scores: FindingScores, terms: Terms) -> Contrasts | None:
    """What a finding is compared with: the best available control (design 6.1), or None.

    Retrained models, else stand-ins (twins, placebo facts), else chance for hits.
    """
    case = terms.case
    if case.controls:
        own = [_Pair.of(name, control_key(name)) for name in case.controls]
        return _against(Control.RETRAINED, own, terms, sham=planned.sham)
    twins, placebo = (scores.shares[suffix] >= STAND_INS_NEEDED for suffix in (TWINS, PLACEBO))
    pairs = [_Pair.beside("twins", TWINS)] * twins + [_Pair.beside("placebo", PLACEBO)] * placebo
    if planned.sham:
        return _against(Control.SHAM, [_Pair.beside("sham", SHAM), *pairs], terms)
    if pairs:
        kinds = {(True, True): Control.TWINS_AND_PLACEBO, (True, False): Control.TWINS}
        return _against(kinds.get((twins, placebo), Control.PLACEBO), pairs, terms)
    if planned.kind is ScoreKind.HIT and not scores.fact_ids.isdisjoint(case.chance):
        return _against(Control.CHANCE, [_Pair.of("chance", CHANCE)], terms)
    return None


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A control by name, with the keys of what the checkpoint and what the original are compared with."""

    name: str
    of_unlearned: str
    of_original: str

    @classmethod
    def of(cls, name: str, key: str) -> _Pair:
        """A control that is one for both."""
        return cls(name=name, of_unlearned=key, of_original=key)

    @classmethod
    def beside(cls, name: str, suffix: str) -> _Pair:
        """A control that each model brings itself."""
        return cls(name=name, of_unlearned=UNLEARNED + suffix, of_original=ORIGINAL + suffix)


def _against(control: Control, pairs: Sequence[_Pair], terms: Terms, *, sham: bool = False) -> Contrasts:
    """Contrasts against each control.

    Stand-ins are scored on each model's own outputs, so that U and O have some of their own; else the two keys are one,
    its weights add up to -(1 - margin), and L lies in [-1, 1]. With `sham`, what each model shows for a twin answer is
    subtracted from what it shows for the true one (design 6.6): every weight comes back with the other sign.
    """
    margin, with_original = terms.margin, terms.case.has_original
    excess, shown = [], []
    for pair in pairs:
        weights = {UNLEARNED: 1.0, pair.of_unlearned: -1.0}
        if with_original:
            weights |= {ORIGINAL: -margin}
            weights[pair.of_original] = weights.get(pair.of_original, 0.0) + margin
        excess.append(_contrast(pair, weights, sham=sham, offset=0.0 if with_original else -margin))
        shown.append(_contrast(pair, {ORIGINAL: 1.0, pair.of_original: -1.0}, sham=sham))
    return Contrasts(control=control, excess=tuple(excess), shown=tuple(shown) if with_original else ())


def _contrast(pair: _Pair, weights: Mapping[str, float], *, sham: bool, offset: float = 0.0) -> Contrast:
    shams = {key + SHAM: -weight for key, weight in weights.items()} if sham else {}
    return Contrast(control=pair.name, beside=pair.of_unlearned, weights={**weights, **shams}, offset=offset)


def both_bounds(least: FloatArray, most: FloatArray, contrast: Contrast, terms: Terms) -> tuple[FloatArray, FloatArray]:
    """Lower bounds of `least` and upper bounds of `most`, both of shape (subjects, columns), in a contrast's range."""
    settled = np.array_equal(least, most)
    values = least if settled else np.hstack([least, most])
    lower, upper = gaffke_bounds(values, contrast.lo, contrast.hi, terms.alpha, terms.draws, SEED)
    columns = least.shape[1]
    return lower[:columns], upper[-columns:]


def bounded(contrast: Contrast, cell: Cell, terms: Terms) -> Interval:
    """A contrast's mean over one cell's subjects, with its bounds."""
    least, most = contrast.least(cell)[:, None], contrast.most(cell)[:, None]
    lower, upper = both_bounds(least, most, contrast, terms)
    return Interval(estimate=contrast.estimate(cell), lower=float(lower[0]), upper=float(upper[0]))
