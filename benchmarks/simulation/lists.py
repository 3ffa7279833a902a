"""Lists of facts, counted: how often is a verdict wrong, and what do honest and leaking models get?

One finding against retrained models, by the rules of `verdict.findings.listed` and `cell_bounds`. What must be gone is
the list itself, so that the truth is a number: the facts that the checkpoint knows in some cell.

*Wrong PASS*: it knows one fact more than may come back, and the finding passes. *Wrong FAIL*: it knows exactly as many
as may come back (or none), and the finding fails at the whole error rate.

A model that does not know a fact guesses it with a rate of its own for each person (beta, with the correlation given);
a cell repeats a fact's first guess with probability sqrt(0.5), else guesses afresh. What leaks does so in every cell
(`facts`, whole `people`, whole `clusters` of five people), in one cell each (`scattered`), or in one cell of all
(`one run`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from benchmarks.simulation.rule import BoolArray, passes
from benchmarks.simulation.store import Numbers, Store, markdown
from benchmarks.simulation.worlds import rates
from unlearn_audit.statistics.bounds import TOLERANCE, FloatArray
from unlearn_audit.statistics.counts import ASSUMED_CORRELATION, FEW_PEOPLE

ALPHA, MARGIN, BETWEEN_CELLS = 0.05, 0.10, 0.5
AUDITS, IN_MEMORY = 4_000, 12_000_000
CLUSTER = 5
BEYOND = ("fifth", "all", "scattered twice")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of checkpoint, and the size of its audit.

    Attributes:
        facts: a person; 0: unequal, one and more, lognormal.
        guesses: rate; `together` its correlation inside a person.
        leak: `none`, `facts`, `people`, `clusters`, `scattered`, `one run`; or beyond the margin: `scattered twice`,
            `fifth` (of all facts), `all`.
    """

    people: int
    facts: int
    cells: int
    controls: int
    guesses: float
    together: float
    leak: str


def grid() -> Iterator[Setting]:
    """One or two axes at a time around 60 x 3, 8 cells, 3 controls; and the sizes of the field's benchmarks."""
    usual = Setting(people=60, facts=3, cells=8, controls=3, guesses=0.02, together=0.0, leak="facts")
    for people, facts, leak in product((1, 2, 10, 20, 60, 120, 400), (1, 3, 20, 0), ("none", "facts", "people")):
        if people * max(facts, 3) <= 2_400:
            yield replace(usual, people=people, facts=facts, leak=leak)
    for guesses, together, leak in product((0.0, 0.05, 0.1), (0.0, 0.2, 0.5), ("none", "facts")):
        for people, facts in ((1, 100), (2, 20), (10, 20), (60, 3), (120, 3)):
            yield replace(usual, people=people, facts=facts, guesses=guesses, together=together, leak=leak)
    for cells, controls, leak in product((1, 8, 40), (1, 3, 10), ("none", "facts", "scattered", "one run")):
        yield replace(usual, cells=cells, controls=controls, leak=leak)
    for guesses, leak in product((0.0, 0.02, 0.05), ("clusters", "scattered", "one run")):
        yield replace(usual, people=120, guesses=guesses, leak=leak)
    for guesses, cells in product((0.0, 0.02, 0.05), (8, 40)):
        yield replace(usual, people=120, cells=cells, guesses=guesses, leak="scattered twice")
    for (people, guesses), leak in product(product((2, 10, 20), (0.02, 0.05)), ("none", "fifth", "all")):
        yield replace(usual, people=people, facts=20, controls=2, guesses=guesses, leak=leak)
    for guesses, leak in product((0.02, 0.05), ("none", "all")):
        yield replace(usual, people=1, facts=100, controls=2, guesses=guesses, leak=leak)
    for controls in (1, 3):
        yield replace(usual, people=120, controls=controls, guesses=0.1, leak="none")


@dataclass(frozen=True, kw_only=True)
class World:
    """Hits of many audits.

    Attributes:
        first: shape (people,), the place of each person's first fact.
        unlearned: shape (audits, cells, facts).
        controls: shape (controls, audits, cells, facts).
    """

    first: NDArray[np.intp]
    unlearned: BoolArray
    controls: BoolArray

    @property
    def sizes(self) -> FloatArray:
        """Facts of each person."""
        return np.diff(self.first, append=self.unlearned.shape[-1]).astype(np.float64)

    def by_person(self, hits: BoolArray) -> FloatArray:
        """Hits of each person, shape (..., people)."""
        return np.add.reduceat(hits, self.first, axis=-1, dtype=np.float64)


def measure(setting: Setting, rng: np.random.Generator, audits: int = AUDITS) -> Numbers:
    """Share of audits that pass with one fact too many (or as the leak is), that fail at the margin, and of unions."""
    sizes = _sizes(setting, rng)
    block = max(1, min(audits, IN_MEMORY // int(sizes.sum() * setting.cells * (1 + setting.controls))))
    passed, failed, together = [], [], []
    for _ in range(-(-audits // block)):
        for extra in (1, 0):
            world = made(setting, sizes, rng, block, extra)
            if extra:
                passed.append(passing(world, alpha=ALPHA) & within_union(world))
                together.append(within_union(world))
            else:
                failed.append(p_values(world) <= ALPHA)
    return {
        "passed": round(float(np.mean(np.concatenate(passed))), 4),
        "failed": round(float(np.mean(np.concatenate(failed))), 4),
        "union_within": round(float(np.mean(np.concatenate(together))), 4),
    }


def made(setting: Setting, sizes: NDArray[np.intp], rng: np.random.Generator, audits: int, extra: int) -> World:
    """Audits of a setting; what leaks at the margin has `extra` facts more than may come back."""
    facts = int(sizes.sum())
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    person = np.repeat(np.arange(len(sizes)), sizes)

    def guessed() -> BoolArray:
        likely = rates(rng, setting.guesses, setting.together, (audits, len(sizes)))[:, person]
        answer = rng.random((audits, facts)) < likely
        shape = (audits, setting.cells, facts)
        again = rng.random(shape, dtype=np.float32) < np.sqrt(BETWEEN_CELLS)
        afresh = rng.random(shape, dtype=np.float32) < likely[:, None].astype(np.float32)
        return np.where(again, answer[:, None], afresh)

    known = np.stack([_known(setting, person, rng, extra) for _ in range(audits)])
    unlearned = guessed() | known
    controls = np.stack([guessed() for _ in range(setting.controls)])
    return World(first=first, unlearned=unlearned, controls=controls)


def _sizes(setting: Setting, rng: np.random.Generator) -> NDArray[np.intp]:
    if setting.facts:
        return np.full(setting.people, setting.facts, dtype=np.intp)
    return np.maximum(1, np.round(np.exp(rng.normal(1.0, 0.8, setting.people)))).astype(np.intp)


def _known(setting: Setting, person: NDArray[np.intp], rng: np.random.Generator, extra: int) -> BoolArray:
    """What the checkpoint knows in each cell, shape (cells, facts)."""
    facts = len(person)
    shares = {"none": 0.0, "fifth": 0.2, "all": 1.0, "scattered twice": 2.0 * MARGIN}
    number = round(shares[setting.leak] * facts) if setting.leak in shares else int(MARGIN * facts + TOLERANCE) + extra
    groups = {"people": person, "clusters": person // CLUSTER}.get(setting.leak, np.arange(facts))
    order = np.argsort(rng.permutation(groups.max() + 1)[groups], kind="stable")[:number]
    known = np.zeros((setting.cells, facts), dtype=np.bool_)
    match setting.leak:
        case "scattered" | "scattered twice":
            known[np.arange(number) % setting.cells, order] = True
        case "one run":
            known[0, order] = True
        case _:
            known[:, order] = True
    return known


def passing(world: World, *, alpha: float) -> BoolArray:
    """Which audits pass in every cell, by count or by the bound, shape (audits,)."""
    allowed = MARGIN * world.unlearned.shape[-1] + TOLERANCE
    counted = world.unlearned.sum(axis=-1) <= allowed
    passed: BoolArray = counted.all(axis=1)
    open_ = np.flatnonzero(~passed)
    if not len(open_):
        return passed
    sizes = world.sizes
    own = world.by_person(world.unlearned[open_]) / sizes
    controls = (world.by_person(world.controls[:, open_]) / sizes).mean(axis=0)
    excess = own - (1.0 - MARGIN) * controls - MARGIN
    excess[counted[open_]] = -1.0  # holds by its count
    clean = passes(_as_audits(excess), lo=-1.0, hi=1.0, alpha=alpha)
    if np.ptp(sizes) > 0:
        scaled = _as_audits(np.where(counted[open_][..., None], -1.0, excess * (sizes / sizes.max())))
        clean &= passes(scaled, lo=-1.0, hi=1.0, alpha=alpha)
    passed[open_] = clean
    return passed


def _as_audits(excess: FloatArray) -> FloatArray:
    """(audits, cells, people) -> (people, controls, cells, audits)."""
    return np.ascontiguousarray(excess.transpose(2, 1, 0)[:, None])


def within_union(world: World) -> BoolArray:
    """Where all cells together are within the margin, by people, against the controls' union; shape (audits,)."""
    sizes = world.sizes
    own = (world.by_person(world.unlearned.any(axis=1)) / sizes).mean(axis=-1)
    controls = (world.by_person(world.controls.any(axis=2)) / sizes).mean(axis=-1).mean(axis=0)
    within: BoolArray = own - controls - MARGIN * (1.0 - controls) <= TOLERANCE
    return within & ~_perhaps_scattered(world)


def _perhaps_scattered(world: World) -> BoolArray:
    """`listed.scattered_p_value` above `ALPHA`: where an honest model would show less, and this one does not."""
    sizes, facts, count = world.sizes, world.unlearned.shape[-1], len(world.controls)
    own = world.by_person(world.unlearned.any(axis=1)).sum(axis=-1)
    others = world.by_person(world.controls.any(axis=2))
    effect = _effects(others, sizes)
    too_many = np.floor(MARGIN * facts + TOLERANCE) + 1
    guessed = others.sum(axis=(0, 2))
    size = np.floor((facts - too_many) / effect + TOLERANCE)
    other_size = np.ceil(count * facts / effect - TOLERANCE)
    hits = np.floor(guessed / effect + TOLERANCE)

    def p_values(shown: FloatArray) -> FloatArray:
        beyond = np.ceil((shown - too_many) / effect - TOLERANCE)
        chance = hypergeom.cdf(beyond, size + other_size, np.maximum(beyond, 0) + hits, size)
        return np.where(shown < too_many, 0.0, np.where(hits > 0, chance, 1.0))

    rate = guessed / (count * facts)
    most = binom.ppf(1.0 - ALPHA, np.ceil(facts / effect - TOLERANCE), rate) * effect
    honest = np.where((rate > 0) & (rate < 1), np.minimum(facts, most), rate * facts)
    perhaps: BoolArray = (p_values(honest) <= ALPHA) & (p_values(own) > ALPHA)
    return perhaps


def p_values(world: World) -> FloatArray:
    """Of "no more than the margin leaks", by Simes over the cells and their union; shape (audits,)."""
    cells = world.unlearned.shape[1]
    found = [_p_values(world, world.unlearned[:, cell], world.controls[:, :, cell]) for cell in range(cells)]
    if cells > 1:
        found.append(_p_values(world, world.unlearned.any(axis=1), world.controls.any(axis=2)))
    ordered = np.sort(np.stack(found), axis=0)
    ranks = np.arange(1, len(ordered) + 1)[:, None]
    smallest: FloatArray = np.minimum(1.0, len(ordered) * ordered / ranks).min(axis=0)
    return smallest


def _p_values(world: World, unlearned: BoolArray, controls: BoolArray) -> FloatArray:
    """`counts.excess_p_value` of one cell with its design effect; shape (audits,)."""
    sizes, facts = world.sizes, unlearned.shape[-1]
    own, others = world.by_person(unlearned), world.by_person(controls)
    effect = _effects((own, *others), sizes)
    allowed = MARGIN * facts
    beyond = np.floor((own.sum(axis=-1) - allowed) / effect + TOLERANCE)
    size = np.ceil((facts - allowed) / effect - TOLERANCE)
    others_size = np.floor(len(controls) * facts / effect + TOLERANCE)
    guessed = np.minimum(np.ceil(others.sum(axis=(0, 2)) / effect - TOLERANCE), others_size)
    tails: FloatArray = hypergeom.sf(beyond - 1, size + others_size, np.maximum(beyond, 0) + guessed, size)
    return np.where((beyond <= 0) | (others_size <= 0), 1.0, tails)


def _effects(hits: Iterable[FloatArray], sizes: FloatArray) -> FloatArray:
    """`counts.design_effect` of each audit; each model's hits are of shape (audits, people)."""
    alike = np.stack([correlations(one, sizes) for one in hits]).max(axis=0)
    if len(sizes) < FEW_PEOPLE:
        alike = np.maximum(alike, ASSUMED_CORRELATION)
    effect: FloatArray = 1.0 + ((sizes**2).sum() / sizes.sum() - 1.0) * alike
    return effect


def correlations(hits: FloatArray, sizes: FloatArray) -> FloatArray:
    """`counts.correlation` of each row of `hits`, shape (audits, people)."""
    people, total = len(sizes), float(sizes.sum())
    if people < 2 or total <= people:
        return np.zeros(len(hits))
    rate, shares = hits.sum(axis=1) / total, hits / sizes
    between = (sizes * (shares - rate[:, None]) ** 2).sum(axis=1) / (people - 1)
    within = (sizes * shares * (1.0 - shares)).sum(axis=1) / (total - people)
    size = (total - float((sizes**2).sum()) / total) / (people - 1)
    spread = between + (size - 1.0) * within
    found = np.divide(between - within, spread, out=np.zeros(len(hits)), where=spread > 0)
    return np.where((rate > 0) & (rate < 1), np.clip(found, 0.0, 0.99), 0.0)


def run(store: Store, *, quick: bool) -> None:
    """Fills the store; `quick` takes small settings with 200 audits."""
    settings = list(dict.fromkeys(grid()))
    if quick:
        small = [one for one in settings if one.people * max(one.facts, 3) <= 200 and one.cells <= 8]
        store.fill(small[::12], lambda one, rng: measure(one, rng, 200))
    else:
        store.fill(settings, measure)


def tables(frame: pd.DataFrame) -> dict[str, str]:
    """Wrong verdicts by leak and by size, and what honest and leaking models get."""
    wrong = []
    for leak, part in frame[~frame["leak"].isin(BEYOND)].groupby("leak"):
        alone = part[part["together"] == 0.0]
        row = ["" if leak == "none" else f"{100 * alone['passed'].max():.1f}"]
        for alike in (0.0, 0.2, 0.5):
            found = part[part["together"] == alike]["failed"]
            row.append(f"{100 * found.max():.1f}" if len(found) else "-")
        wrong.append([leak, *row])
    for leak, part in frame[frame["leak"] == "scattered twice"].groupby("leak"):
        wrong.append([leak, f"{100 * part['passed'].max():.1f}", "", "", ""])
    sizes = []
    benchmarks = frame[(frame["controls"] == 2) & (frame["leak"].isin(["none", "fifth", "all"]))]
    for (people, facts), part in benchmarks.groupby(["people", "facts"]):
        row = []
        for leak, column in (("none", "passed"), ("fifth", "failed"), ("all", "failed")):
            found = part[part["leak"] == leak].set_index("guesses")[column]
            row.append(" / ".join(f"{100 * found[rate]:.0f}" if rate in found else "-" for rate in (0.02, 0.05)))
        sizes.append([f"{people} x {facts}", *row])
    return {
        "wrong verdicts on lists": markdown(
            ["leak", "wrong PASS", "wrong FAIL, guesses alone", "alike by 0.2", "alike by 0.5"], wrong
        ),
        "lists": markdown(["people x facts", "honest: PASS", "a fifth back: FAIL", "all back: FAIL"], sizes),
        "scattered leaks": _scattered(frame),
    }


def _scattered(frame: pd.DataFrame) -> str:
    """Wrong PASS of leaks of which each fact shows in another cell, and PASS of honest models of the same settings."""
    places = ["people", "facts", "cells", "controls", "guesses"]
    alone = frame[frame["together"] == 0.0].drop_duplicates([*places, "leak"]).set_index([*places, "leak"])["passed"]
    rows = []
    for place in (place for *place, leak in alone.index if leak == "scattered"):
        people, facts, cells, controls, guesses = place
        honest = alone.get((*place, "none"))
        shown = "-" if honest is None else f"{100 * honest:.1f}"
        wrong = f"{100 * alone[(*place, 'scattered')]:.1f}"
        rows.append([f"{people} x {facts}", cells, controls, f"{100 * guesses:.0f} %", wrong, shown])
    return markdown(["people x facts", "cells", "controls", "guesses", "scattered: PASS", "honest: PASS"], rows)
