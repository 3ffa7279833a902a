"""The observations as a table: CSV for spreadsheets, Parquet for everything else."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from unlearn_audit.api.kit.printable import clean
from unlearn_audit.evidence.observations import COLUMNS

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
    frame = _ordered(observations)
    for name in frame.columns:
        if frame[name].dtype.kind not in "biuf":
            frame[name] = _harmless(frame[name])
    return frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def as_parquet(observations: pd.DataFrame) -> bytes:
    """One row per observation, texts and numbers as they are."""
    stream = io.BytesIO()
    _ordered(observations).to_parquet(stream, index=False)
    return stream.getvalue()


def _ordered(observations: pd.DataFrame) -> pd.DataFrame:
    return observations[[*_PLACES, *COLUMNS]].copy()


def _harmless(column: pd.Series) -> pd.Series:
    return column.map({value: harmless_text(str(value)) for value in column.dropna().unique()})


def harmless_text(value: str) -> str:
    """One line that no spreadsheet runs."""
    return _INNER_FORMULA.sub(r"\1'", clean(value, _LONGEST))
