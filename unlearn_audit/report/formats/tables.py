"""An audit as tables: observations as CSV for spreadsheets and Parquet for everything else, findings and cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.observations import COLUMNS, PEOPLE
from unlearn_audit.verdict.result import CellEstimate, Finding

if TYPE_CHECKING:
    import pandas as pd

_PLACES = ("role", "model", "attack", "seed", "sham")
# In some locales a spreadsheet splits at other signs, e.g. semicolons: what follows one may then start a cell.
_INNER_FORMULA = re.compile(r"""([;,|]["\s]*)(?=[=+\-@＝＋－＠])""")
_LONGEST = 32_000  # a spreadsheet's cell holds 32,767 characters


def as_csv(observations: pd.DataFrame) -> str:
    """One row per observation; a missing score is an empty field, and a text is one line that no spreadsheet runs.

    Texts are quoted, and an apostrophe precedes what would start a formula: to join tables use the Parquet file, which
    keeps all texts as they are.
    """
    frame = ordered(observations)
    for name in frame.columns:
        if frame[name].dtype.kind not in "biuf":
            frame[name] = _harmless(frame[name])
    return frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def as_parquet(observations: pd.DataFrame) -> bytes:
    """One row per observation, texts and numbers as they are."""
    stream = io.BytesIO()
    ordered(observations).to_parquet(stream, index=False)
    return stream.getvalue()


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per finding, with its numbers at its worst cell; a number that there is none of is NaN.

    Columns: `finding`, `attack`, `probe`, `measure`, `status`, `gates`, `dose` and `variant` of the worst cell;
    `checkpoint`, `original` and `control` (their mean) in [0, 1]; `excess` beyond the margin with `lower` and `upper`;
    `bound` (a pass needs at most 0), `recovered`, `margin`, `p_value`, `holm_p_value`, `subjects`, `facts`, `reason`.
    """
    import pandas as pd

    columns = {
        "finding": [one.id for one in findings],
        **{name: [getattr(one, name) for one in findings] for name in ("attack", "probe", "measure")},
        "status": [one.status.value for one in findings],
        "gates": [one.gates for one in findings],
        **_cell_columns([one.worst for one in findings]),
        **{name: _numbers([getattr(one, name) for one in findings]) for name in ("bound", "recovered", "margin")},
        **{name: _numbers([getattr(one, name) for one in findings]) for name in ("p_value", "holm_p_value")},
        "subjects": [one.subjects for one in findings],
        "facts": [one.facts for one in findings],
        "reason": [one.reason for one in findings],
    }
    return pd.DataFrame(columns)


def cells_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row per dose and way of asking of every finding: `finding`, then as `findings_frame`, with `dose_value`."""
    import pandas as pd

    placed = [(one.id, cell) for one in findings for cell in one.cells]
    cells = [cell for _, cell in placed]
    return pd.DataFrame(
        {
            "finding": [name for name, _ in placed],
            **_cell_columns(cells),
            "dose_value": _numbers([cell.dose_value for cell in cells]),
            "subjects": [cell.subjects for cell in cells],
            "facts": [cell.facts for cell in cells],
        }
    )


def _cell_columns(cells: Sequence[CellEstimate | None]) -> dict[str, list[str | None] | list[float]]:
    def control(cell: CellEstimate) -> float | None:
        return sum(cell.controls.values()) / len(cell.controls) if cell.controls else None

    def numbers(value: Callable[[CellEstimate], float | None]) -> list[float]:
        return _numbers([None if cell is None else value(cell) for cell in cells])

    return {
        "dose": [None if cell is None else cell.dose for cell in cells],
        "variant": [None if cell is None else cell.variant for cell in cells],
        "checkpoint": numbers(lambda cell: cell.unlearned),
        "original": numbers(lambda cell: cell.original),
        "control": numbers(control),
        "excess": numbers(lambda cell: cell.excess.estimate),
        "lower": numbers(lambda cell: cell.excess.lower),
        "upper": numbers(lambda cell: cell.excess.upper),
    }


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def ordered(observations: pd.DataFrame) -> pd.DataFrame:
    """The columns in the order in which a reader gets them: where, what, who."""
    return observations[[*_PLACES, *COLUMNS, *PEOPLE]].copy()


def _harmless(column: pd.Series) -> pd.Series:
    return column.map({value: harmless_text(str(value)) for value in column.dropna().unique()})


def harmless_text(value: str) -> str:
    """One line that no spreadsheet runs."""
    return _INNER_FORMULA.sub(r"\1'", clean(value, _LONGEST))
