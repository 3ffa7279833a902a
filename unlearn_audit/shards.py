"""Parts of one plan, run in several places and joined: `run --shard 1/3`, then `merge`. Loads no model.

A part is a run of cells that follow each other in the plan, which is sorted by model: a place loads few models. A
part judges nothing. Parts of other specifications, versions or data do not fit together, and are refused; so are two
parts that hold the same cell with other evidence, or that prepared an attack differently.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from unlearn_audit.agreement import agreed
from unlearn_audit.api import AuditError
from unlearn_audit.digests import IntegrityError
from unlearn_audit.evidence import EvidenceStore, evidence_digest, read_json
from unlearn_audit.policy import Policy
from unlearn_audit.result import (
    Case,
    CellRecord,
    ComparisonRecord,
    DataRecord,
    JudgeRecord,
    ModelRecord,
    Record,
    Result,
)
from unlearn_audit.verdict import judge
from unlearn_audit.waivers import Waiving

SHARD = "shard.json"
_NOT_LOADED = "not loaded"
_SAME = ("policy", "spec_digest", "data", "versions", "profile", "seed", "tool_version", "prepared", "judge")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part `number` of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `2/3`.

        Raises:
            AuditError: it is no part of anything.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise AuditError(f"--shard {text}: expected a part of a number of parts, 1/3 to 3/3 say")
        return cls(number=number, count=count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """Its part of some things, in their order; all parts together have each of them once."""
        first, last = (len(items) * place // self.count for place in (self.number - 1, self.number))
        return tuple(items[first:last])


class ShardRecord(Record):
    """All that a result needs beside the evidence and the verdict; of a part or of the whole."""

    shard: str = ""
    tool_version: str
    policy: Policy
    spec_digest: str
    case: Case
    comparisons: tuple[ComparisonRecord, ...]
    models: tuple[ModelRecord, ...]
    data: tuple[DataRecord, ...]
    cells: tuple[CellRecord, ...]
    prepared: tuple[str, ...]
    judge: JudgeRecord = JudgeRecord()
    versions: dict[str, str]
    profile: str
    seed: int
    started: str
    seconds: float
    command: str


def concluded(record: ShardRecord, store: EvidenceStore, waivers: Waiving | None = None) -> Result:
    """The verdict on evidence that is all there."""
    policy, observations = record.policy, store.gather(record.cells)
    verdict = judge(observations, record.case.under(policy), policy, record.comparisons, waivers)
    kept = {name: getattr(record, name) for name in Result.model_fields.keys() & ShardRecord.model_fields.keys()}
    return Result(
        outcome=verdict.outcome,
        exit_code=verdict.outcome.exit_code,
        verdict=verdict,
        policy_digest=policy.digest(),
        evidence_digest=evidence_digest(observations),
        **{**kept, "judge": agreed(record.judge, record.cells)},
    )


def merged(parts: Sequence[Path], out: Path) -> tuple[ShardRecord, EvidenceStore]:
    """Joins parts into a new run directory.

    Raises:
        AuditError: they are no parts of one plan, cells are lacking, or `out` is not empty.
        IntegrityError: two parts contradict each other, or a cell is not what was written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AuditError(f"{out}: is there already; merge into a new directory")
    records = [_read(part) for part in parts]
    first, plan = records[0], read_json(parts[0] / "plan.json")
    for part, record in zip(parts[1:], records[1:], strict=True):
        differing = [name for name in _SAME if getattr(record, name) != getattr(first, name)]
        if differing or read_json(part / "plan.json") != plan:
            raise AuditError(f"{part} and {parts[0]}: are no parts of one plan ({', '.join(differing) or 'plan.json'})")
    keys = [cell["key"] for cell in plan["cells"]]
    cells = _joined(parts, records)
    lacking = sum((Counter(keys) - Counter({key: len(several) for key, several in cells.items()})).values())
    if lacking:
        ran = ", ".join(sorted(record.shard for record in records))
        raise IncompleteError(f"{lacking} of {len(keys)} cells did not run in these parts ({ran}); nothing is judged")
    store = EvidenceStore(out)
    _copy(parts, out, first.prepared)
    return _whole(records, keys, cells), store


class IncompleteError(AuditError):
    """Not all cells ran: exit code 3."""


def _read(part: Path) -> ShardRecord:
    if not (part / SHARD).is_file():
        raise AuditError(f"{part}: no {SHARD} here; `run --shard 1/3 --out {part}` makes one")
    try:
        return ShardRecord.model_validate(read_json(part / SHARD))
    except ValidationError as error:
        raise IntegrityError(f"{part / SHARD}: is not what a part of a run leaves behind") from error


def _joined(parts: Sequence[Path], records: Sequence[ShardRecord]) -> dict[str, list[CellRecord]]:
    """Key -> records of the cell (two roles with the same weights share one), a done one before one that faulted."""
    found: dict[str, list[CellRecord]] = {}
    for part, record in zip(parts, records, strict=True):
        for cell in record.cells:
            others = [one for one in found.setdefault(cell.key, []) if _place(one) == _place(cell)]
            if any(one.status == cell.status == "done" and one.digest != cell.digest for one in others):
                raise IntegrityError(f"{part}: holds other evidence of {cell.attack} on {cell.model} than another part")
            if not others:
                found[cell.key].append(cell)
            elif cell.status == "done":
                found[cell.key] = [cell if _place(one) == _place(cell) else one for one in found[cell.key]]
    return found


def _place(cell: CellRecord) -> tuple[str, str, str, int, bool]:
    return cell.attack, cell.arm, cell.model, cell.seed, cell.sham


def _copy(parts: Sequence[Path], out: Path, prepared: Sequence[str]) -> None:
    """The cells of all parts, and notes; equal ones once."""
    for part in parts:
        for cell in sorted((part / "cells").iterdir()):
            target = out / "cells" / cell.name
            if not target.exists():
                shutil.copytree(cell, target)
            elif cell.name in prepared and read_json(cell / "cell.json") != read_json(target / "cell.json"):
                raise IntegrityError(f"{cell}: an attack was prepared differently there than in another part")
    for name in ("spec.yaml", "plan.json"):
        shutil.copy(parts[0] / name, out / name)


def _whole(records: Sequence[ShardRecord], keys: Sequence[str], cells: dict[str, list[CellRecord]]) -> ShardRecord:
    ordered = tuple(cell for key in dict.fromkeys(keys) for cell in cells[key])
    faulty = {(cell.attack, cell.arm, cell.model) for cell in ordered if cell.status != "done"}
    faults = [fault for record in records for fault in record.case.faults]
    kept = tuple(dict.fromkeys(fault for fault in faults if (fault.attack, fault.arm, fault.model) in faulty))
    return records[0].model_copy(
        update={
            "shard": "",
            "case": records[0].case.model_copy(update={"faults": kept}),
            "comparisons": next((record.comparisons for record in records if record.comparisons), ()),
            "models": tuple(_loaded(records)),
            "cells": ordered,
            "started": min(record.started for record in records),
            "seconds": round(sum(record.seconds for record in records), 3),
            "command": "; ".join(record.command for record in records),
        }
    )


def _loaded(records: Sequence[ShardRecord]) -> Iterator[ModelRecord]:
    """Each model as some part loaded it."""
    for place, model in enumerate(records[0].models):
        several = [record.models[place] for record in records]
        yield next((one for one in several if one.dtype != _NOT_LOADED), model)
