"""What a measurement gives: named numbers, each with the set and the number of rows behind it. JSON as it is kept."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from unlearn_audit.errors import AuditError
from unlearn_audit.evidence.files import read_json, write_json

_FILE = "metrics.json"


class Suite(StrEnum):
    """Whose table."""

    TOFU = "tofu"
    MUSE = "muse"
    RWKU = "rwku"
    WMDP = "wmdp"
    OPEN_UNLEARNING = "open-unlearning"


class Figure(BaseModel):
    """One number of one model.

    Attributes:
        name: as its authors call it.
        value: None where it cannot be taken, with `missing` saying why.
        rows: how many rows it is over.
        by_row: row -> field -> value, in the authors' own names, for formats that keep them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float | None
    rows: int = 0
    missing: str | None = None
    by_row: dict[str, dict[str, float | list[float] | None]] = {}


class ModelTable(BaseModel):
    """The figures of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    reference: str
    figures: tuple[Figure, ...]

    def value(self, name: str) -> float | None:
        """A figure by its name; None where there is none."""
        return next((one.value for one in self.figures if one.name == name), None)


class Metrics(BaseModel):
    """The table of a suite: what was measured on which models, with which labels.

    Attributes:
        system_prompt: that was put before every question of the suite; None: none.
        date: that the chat template was given; None: its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: Suite
    benchmark: str
    labels: str
    system_prompt: str | None = None
    date: dt.date | None = None
    models: tuple[ModelTable, ...]

    @property
    def put(self) -> tuple[str, ...]:
        """What stood before every question because the user gave it, in words."""
        text = () if self.system_prompt is None else (f"system prompt: {self.system_prompt}",)
        return text if self.date is None else (*text, f"date: {self.date.isoformat()}")

    @property
    def names(self) -> tuple[str, ...]:
        """What each model is called: its role, numbered as in the rest of the audit where several have one."""
        roles = [one.role for one in self.models]
        return tuple(
            f"{role}-{roles[: place + 1].count(role)}" if roles.count(role) > 1 else role
            for place, role in enumerate(roles)
        )


def figure(name: str, by_row: Mapping[str, Mapping[str, float | list[float] | None]], field: str) -> Figure:
    """The mean of a field over rows; rows without it are left out, and a mean of none is missing."""
    values = [float(one) for row in by_row.values() if isinstance(one := row.get(field), float | int)]
    rows = {key: dict(row) for key, row in by_row.items()}
    if not values:
        return Figure(name=name, value=None, missing="no row has it", by_row=rows)
    mean = sum(values) / len(values)
    if math.isnan(mean):
        return Figure(name=name, value=None, rows=len(values), missing="nan", by_row=rows)
    return Figure(name=name, value=mean, rows=len(values), by_row=rows)


def single(name: str, value: float | None, missing: str = "it has no value here", rows: int = 0) -> Figure:
    """A number over other numbers."""
    absent = value is None or math.isnan(value)
    return Figure(name=name, value=None if absent else value, rows=rows, missing=missing if absent else None)


def write_published(run: Path, metrics: Metrics) -> Path:
    """Writes a table into a run directory; the last one written is the one that reports read."""
    write_json(run / _FILE, metrics.model_dump(mode="json"))
    return run / _FILE


def read_published(run: Path) -> Metrics:
    """The table of a run directory.

    Raises:
        AuditError: there is none, or it is not one of ours.
    """
    path = run / _FILE
    if not path.is_file():
        raise AuditError(f"{run}: has no published figures; run the audit with --metrics tofu (or another suite)")
    try:
        return Metrics.model_validate(read_json(path))
    except ValidationError as error:
        raise AuditError(f"{path}: expected the figures of `run --metrics`; got something else") from error
