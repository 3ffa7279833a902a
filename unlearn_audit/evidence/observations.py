"""Observations as a table: its columns, its order, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.evidence.old_names import ATTACKS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "dose": "str",
    "dose_value": "float64",
    "probe": "str",
    "measure": "str",
    "variant": "str",
    "fact_id": "str",
    "score": "float64",
    "twin_score": "float64",
    "placebo_score": "float64",
    "missing": "object",
}
PEOPLE = ("subject", "relation")
"""Columns of the table that a reader gets: whom a fact is about, by pseudonym, and how, where it says so. They follow
from the result, and stand in no digest of the evidence."""
SCORE_DIGITS = 6


def observation_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame with the columns of COLUMNS, in a canonical order."""
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(["dose", "probe", "measure", "variant", "fact_id"], ignore_index=True)


def frame_digest(frame: pd.DataFrame) -> str:
    """SHA-256 over the rows in sorted order, scores to six digits (beyond that, hardware speaks)."""
    lines = sorted(map("\x1f".join, zip(*(_tokens(frame[name]) for name in frame.columns), strict=True)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def evidence_digest(observations: pd.DataFrame) -> str:
    """SHA-256 over all observations with their roles: equal for equal evidence, in whatever order it came."""
    # An attack that has another name today goes in under its first one: a digest outlives a name.
    first = {new: old for old, new in ATTACKS.items()}
    named = observations.assign(attack=observations["attack"].astype(str).replace(first))
    return frame_digest(named[sorted(named.columns)])


def _tokens(column: pd.Series[Any]) -> list[str]:
    """Each value as text, made once for equal values: a column has few."""
    import pandas as pd

    values = column.to_numpy()
    if values.dtype == np.float64:  # by its bits, for which 0.0 is not -0.0
        places, bits = pd.factorize(values.view(np.int64))
        found = bits.view(np.float64)
    else:
        places, found = pd.factorize(values)
    texts = [*map(_token, found.tolist()), ""]  # the last for what is absent, whose place is -1
    return [texts[place] for place in places]


def _token(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.{SCORE_DIGITS}f}" if isinstance(value, float) else str(value)
