"""How often an honest model passes an audit of a given size: a table of simulated audits, read with caution.

The table ships with the package as `pass_rates.json`; `python -m benchmarks.simulation pass-rates` writes it, and its
assumptions stand in docs/statistics.md. It holds the pass rate of one finding. An audit of F findings is taken to pass
at that rate to the power of F, as independent findings would: findings on the same facts rise and fall together, and
do so more often.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from unlearn_audit.statistics.bounds import TOLERANCE

TWINS = "twins"
"""The control's name in the table where no retrained model is given."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What the pass rate depends on.

    Attributes:
        facts: a subject.
        chance: hit rate of a model that knows nothing.
        controls: retrained models; 0 for twins.
        cells: a finding.
    """

    subjects: int
    facts: float
    chance: float
    controls: int
    cells: int
    findings: int


@dataclass(frozen=True, kw_only=True)
class PassRate:
    """A rate, and the size in the table that it was read at: no more favourable than the one asked for."""

    rate: float
    read_at: Size


class _Axes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    subjects: tuple[int, ...]
    facts: tuple[int, ...]
    chance: tuple[float, ...]
    controls: tuple[str, ...]
    cells: tuple[int, ...]


class PassRates(BaseModel):
    """The table.

    Attributes:
        between_cells: correlation of one fact's hits in two cells; `audits` were simulated for each setting.
        rates: of one finding, nested in the order of the axes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float
    alpha: float
    between_cells: float
    audits: int
    axes: _Axes
    rates: tuple[tuple[tuple[tuple[tuple[float, ...], ...], ...], ...], ...]

    def between(self, size: Size) -> tuple[PassRate, ...]:
        """The rates at the chance levels of the table on both sides of a size's own, the less favourable first.

        One rate where the level is in the table or below it, none where there is none (see `read`).
        """
        above = self.read(size)
        if above is None:
            return ()
        below = [level for level in self.axes.chance if level <= size.chance + TOLERANCE]
        kinder = self.read(replace(size, chance=below[-1])) if below else None
        return (above,) if kinder is None or kinder.read_at == above.read_at else (above, kinder)

    def read(self, size: Size) -> PassRate | None:
        """The rate at the nearest size in the table that is no more favourable; None where there is none.

        Fewer subjects and facts, a higher chance level, more cells and more controls are less favourable.
        """
        axes = self.axes
        name = str(size.controls) if size.controls else TWINS
        places = (
            bisect.bisect_right(axes.subjects, size.subjects) - 1,
            bisect.bisect_right(axes.facts, size.facts + TOLERANCE) - 1,
            bisect.bisect_left(axes.chance, size.chance - TOLERANCE),
            axes.controls.index(name) if name in axes.controls else -1,
            bisect.bisect_left(axes.cells, size.cells),
        )
        if min(places) < 0 or places[2] == len(axes.chance) or places[4] == len(axes.cells):
            return None
        subjects, facts, chance, controls, cells = places
        read_at = replace(
            size,
            subjects=axes.subjects[subjects],
            facts=axes.facts[facts],
            chance=axes.chance[chance],
            cells=axes.cells[cells],
        )
        rate = self.rates[subjects][facts][chance][controls][cells]
        return PassRate(rate=rate**size.findings, read_at=read_at)


@lru_cache(maxsize=1)
def pass_rates() -> PassRates:
    """The table that the package ships."""
    text = Path(__file__).with_name("pass_rates.json").read_text(encoding="utf-8")
    return PassRates.model_validate_json(text)
