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
from unlearn_audit.statistics.finite import closer_than_gaffke, finite_upper
from unlearn_audit.verdict.findings.places import (
    CHANCE,
    KNOWN,
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
        control: the control's name, for display; of several, what it says of their mean.
        beside: keys of what the checkpoint is compared with, by the control's name.
        weights: by key of a cell's spans.
        offset: added to the sum.
    """

    control: str
    beside: Mapping[str, str]
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
        excess: L = (U - C) - margin (K - C), or U - C - margin without an original; at most 0 is what a pass needs.
        known: K - C, K being what the original shows un-attacked: what the margin is a share of.
        shown: O - C under the attack, which power asks for; empty without an original, as `known`.
    """

    control: Control
    excess: tuple[Contrast, ...]
    known: tuple[Contrast, ...]
    shown: tuple[Contrast, ...]

    @property
    def beside(self) -> dict[str, str]:
        """Keys of all that the checkpoint is compared with, by the control's name."""
        return {name: key for one in self.excess for name, key in one.beside.items()}


def contrasts_for(planned: PlannedFinding, scores: FindingScores, terms: Terms) -> Contrasts | None:
    """What a finding is compared with: the best available control (design 6.1), or None.

    Retrained models, else stand-ins (twins, placebo facts), else chance for hits. A list can be counted against
    nothing: whatever is shown counts then, guesses and all.
    """
    case = terms.case
    if case.controls:
        mean = _Pair.of({name: control_key(name) for name in case.controls})
        return _against(Control.RETRAINED, [mean], terms, sham=planned.sham)
    twins, placebo = (scores.shares[suffix] >= STAND_INS_NEEDED for suffix in (TWINS, PLACEBO))
    pairs = [_Pair.of_each("twins", TWINS)] * twins + [_Pair.of_each("placebo", PLACEBO)] * placebo
    if planned.sham:
        return _against(Control.SHAM, [_Pair.of_each("sham", SHAM), *pairs], terms)
    if pairs:
        kinds = {(True, True): Control.TWINS_AND_PLACEBO, (True, False): Control.TWINS}
        return _against(kinds.get((twins, placebo), Control.PLACEBO), pairs, terms)
    if planned.kind is ScoreKind.HIT and not scores.fact_ids.isdisjoint(case.chance):
        return _against(Control.CHANCE, [_Pair.of({"chance": CHANCE})], terms)
    if terms.listed and case.has_original:
        return _against(Control.NOTHING, [_Pair(name="nothing", own={}, known={}, shown={}, beside={})], terms)
    return None


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """What the checkpoint and the original are compared with, as weights of a cell's spans that add up to 1.

    Attributes:
        own: for the checkpoint; `known` for the original un-attacked, `shown` for the original under the attack.
        beside: keys of `own` by the control's name, for display.
    """

    name: str
    own: Mapping[str, float]
    known: Mapping[str, float]
    shown: Mapping[str, float]
    beside: Mapping[str, str]

    @classmethod
    def of(cls, beside: Mapping[str, str]) -> _Pair:
        """The mean of some controls, the same for all: one more of them makes no pass rarer."""
        weights = {key: 1.0 / len(beside) for key in beside.values()}
        name = next(iter(beside)) if len(beside) == 1 else f"the mean of {len(beside)} controls"
        return cls(name=name, own=weights, known=weights, shown=weights, beside=beside)

    @classmethod
    def of_each(cls, name: str, suffix: str) -> _Pair:
        """A control that each model brings itself; nobody aims at a twin answer where nobody attacks."""
        own, shown = UNLEARNED + suffix, ORIGINAL + suffix
        known = {} if suffix == SHAM else {KNOWN + suffix: 1.0}
        return cls(name=name, own={own: 1.0}, known=known, shown={shown: 1.0}, beside={name: own})


def _against(control: Control, pairs: Sequence[_Pair], terms: Terms, *, sham: bool = False) -> Contrasts:
    """Contrasts against each of the pairs.

    Stand-ins are scored on each model's own outputs, so that U and K have some of their own; else the keys are the
    same, their weights add up to -(1 - margin), and L lies in [-1, 1]. With `sham`, what each model shows for a twin
    answer is subtracted from what it shows for the true one (design 6.6): every weight of an attacked model comes back
    with the other sign.
    """
    margin, with_original = terms.margin, terms.case.has_original
    excess, known, shown = [], [], []
    for pair in pairs:
        weights = _sum({UNLEARNED: 1.0}, pair.own, -1.0)
        if with_original:
            weights = _sum(_sum(weights, {KNOWN: 1.0}, -margin), pair.known, margin)
        excess.append(_contrast(pair, weights, sham=sham, offset=0.0 if with_original else -margin))
        known.append(_contrast(pair, _sum({KNOWN: 1.0}, pair.known, -1.0), sham=sham))
        shown.append(_contrast(pair, _sum({ORIGINAL: 1.0}, pair.shown, -1.0), sham=sham))
    if not with_original:
        known, shown = [], []
    return Contrasts(control=control, excess=tuple(excess), known=tuple(known), shown=tuple(shown))


def _sum(weights: Mapping[str, float], others: Mapping[str, float], factor: float) -> dict[str, float]:
    keys = dict.fromkeys((*weights, *others))
    return {key: weights.get(key, 0.0) + factor * others.get(key, 0.0) for key in keys}


def _contrast(pair: _Pair, weights: Mapping[str, float], *, sham: bool, offset: float = 0.0) -> Contrast:
    attacked = {key: weight for key, weight in weights.items() if not key.startswith(KNOWN)}
    shams = {key + SHAM: -weight for key, weight in attacked.items()} if sham else {}
    return Contrast(control=pair.name, beside=pair.beside, weights={**weights, **shams}, offset=offset)


def both_bounds(
    least: FloatArray, most: FloatArray, contrast: Contrast, terms: Terms, *, turned: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Lower bounds of `least` and upper bounds of `most`, both of shape (subjects, columns), in a contrast's range.

    Args:
        least: by subject and column; `most` likewise.
        most: see `least`.
        contrast: whose range it is.
        terms: the error rates; a small upper bound is what passes.
        turned: a large lower bound is what passes (power, utility).
    """
    below, above = (terms.alpha_pass, terms.alpha_fail) if turned else (terms.alpha_fail, terms.alpha_pass)
    if terms.whole is not None and closer_than_gaffke(len(least), terms.whole):
        lower = -finite_upper(-least, -contrast.hi, -contrast.lo, below, terms.whole, SEED)
        return lower, finite_upper(most, contrast.lo, contrast.hi, above, terms.whole, SEED)
    columns = least.shape[1]
    if below == above:
        values = least if np.array_equal(least, most) else np.hstack([least, most])
        lower, upper = gaffke_bounds(values, contrast.lo, contrast.hi, below, terms.draws, SEED)
        return lower[:columns], upper[-columns:]
    lower, _ = gaffke_bounds(least, contrast.lo, contrast.hi, below, terms.draws, SEED)
    _, upper = gaffke_bounds(most, contrast.lo, contrast.hi, above, terms.draws, SEED)
    return lower, upper


def bounded(contrast: Contrast, cell: Cell, terms: Terms) -> Interval:
    """A contrast's mean over one cell's subjects, with its bounds; it is large where all is well."""
    least, most = contrast.least(cell)[:, None], contrast.most(cell)[:, None]
    lower, upper = both_bounds(least, most, contrast, terms, turned=True)
    return Interval(estimate=contrast.estimate(cell), lower=float(lower[0]), upper=float(upper[0]))


def counted(contrast: Contrast, cell: Cell) -> Interval:
    """A contrast's mean over one cell's subjects where these are all there are: only what is missing is unknown."""
    least, most = float(contrast.least(cell).mean()), float(contrast.most(cell).mean())
    return Interval(estimate=contrast.estimate(cell), lower=least, upper=most)
