"""Results as small CSV files, one row a setting, so that a killed run goes on; and tables in docs/statistics.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from unlearn_audit.api import derive_seed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    SettingT = TypeVar("SettingT", bound=DataclassInstance)
else:
    SettingT = TypeVar("SettingT")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "statistics.md"
RESULTS = Path(__file__).resolve().parent / "results"

Numbers = Mapping[str, float | int]


@dataclass(frozen=True, kw_only=True)
class Store:
    """A CSV file of settings and what was measured there."""

    path: Path

    def frame(self) -> pd.DataFrame:
        """All rows so far."""
        return pd.read_csv(self.path) if self.path.exists() else pd.DataFrame()

    def fill(self, settings: Iterable[SettingT], measure: Callable[[SettingT, np.random.Generator], Numbers]) -> None:
        """Measures the settings that have no row yet, each with a generator of its own (seeded by the setting)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = self.frame()
        for setting in settings:
            place = asdict(setting)
            if len(known) and (known[list(place)].astype(str) == list(map(str, place.values()))).all(axis=1).any():
                continue
            rng = np.random.default_rng(derive_seed(0, self.path.stem, *place.values()))
            row = pd.DataFrame([{**place, **measure(setting, rng)}])
            row.to_csv(self.path, mode="a", header=not self.path.exists(), index=False)


def write_table(name: str, table: str, page: Path = PAGE) -> None:
    """Puts a table between the markers `<!-- name -->` and `<!-- /name -->` of the page.

    Raises:
        ValueError: the page does not have the two markers once each.
    """
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{page} needs the markers <!-- {name} --> and <!-- /{name} --> once each")
    page.write_text(pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text), encoding="utf-8")


def markdown(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table; the first column is text, the others are aligned to the right."""
    titles = [str(one) for one in head]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)
