"""What the files of a run say in plain sight: their bytes and, where they are compressed, what is in them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHORTEST = 4
"""Letters of a text that is looked for: a shorter one stands in some digest by chance."""


def secrets_of(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Every name, question and answer of some facts."""
    told = {str(row[key]) for row in rows for key in ("subject", "question", "answer") if key in row}
    told |= {str(text) for row in rows for key in ("aliases", "paraphrases") for text in row.get(key, ())}
    return {text for text in told if len(text) >= SHORTEST}


def found_in(folder: Path, secrets: Iterable[str]) -> dict[str, list[str]]:
    """File -> the secrets that stand in it, in any case, in UTF-8 or as JSON escapes them."""
    wanted = {text: (text.lower(), json.dumps(text)[1:-1].lower()) for text in secrets}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            told = "\n".join(_contents(path)).lower()
            held = sorted(text for text, forms in wanted.items() if any(form in told for form in forms))
            if held:
                found[path.relative_to(folder).as_posix()] = held
    return found


def _contents(path: Path) -> Iterator[str]:
    content = path.read_bytes()
    yield content.decode("utf-8", "replace")
    if path.suffix == ".parquet":
        yield pd.read_parquet(io.BytesIO(content)).to_csv()
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with np.load(io.BytesIO(content)) as arrays:
            yield from _of_arrays([arrays[name] for name in arrays.files])


def _of_arrays(arrays: Sequence[Any]) -> Iterator[str]:
    """Arrays as text and as bytes: numbers below 256 may be letters."""
    for array in arrays:
        yield str(array.tolist())
        yield array.tobytes().decode("utf-8", "replace")
