"""docs/memory.md, from the measurements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearn_audit.attacks.shared.memory import GIB, Batch, full_training_bytes

from benchmarks.memory.models import MODELS, TOKENS, WARM_UP, audited

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"
HEAD = """<!-- Written by `python -m benchmarks.memory table`. Do not edit. -->

# What full fine-tuning takes of memory

Relearning trains all weights (`full`) in one of two ways. The plan counts what each would hold at most, looks at what
is free, and takes the plain way where it fits, else the frugal one, else none; all roles are trained in the same way,
and the report says in which. `frugal: true` (or `false`) asks for one.

| | plain | frugal |
|---|---|---|
| weights in training | a copy in float32 | a copy in bfloat16, rounded at random to one of its two neighbours |
| moments of AdamW | two in float32 | two in eight bits, by blocks of 256 |
| gradients | all at once | one at a time, in two passes: the first measures their length, the second clips and moves |
| what a pass leaves | everything | what went into each block |
| bytes a weight, the attacked model in bfloat16 counted in | 18 | 6 |
| passes through the weights a step (forward 1, back 2) | 3 | 8 |

Both need besides what a batch leaves behind, and a few rows in float32 while they move. The formula is
`full_training_bytes` in `attacks/shared/memory.py`.

## The formula and what was measured

Random weights in bfloat16, two steps, each training in a fresh process; the most that the process held (on a GPU: the
allocator) over what it held before the model was made. Texts of 64 tokens.

    python -m benchmarks.memory measure   # what is not in results.json yet
    python -m benchmarks.memory table

| model | way | weights | texts a batch | counted | measured | counted / measured |
|---|---|---|---|---|---|---|
"""


def write(rows: Mapping[str, Any]) -> None:
    """Writes the page."""
    PAGE.write_text(HEAD + "\n".join(map(_row, rows.items())) + "\n" + _larger(rows), encoding="utf-8")


def _row(item: tuple[str, Any]) -> str:
    (name, way), row = item[0].split(", "), item[1]
    counted, measured = _counted(name, way, row["texts"]), row["measured"]
    device = "" if row["device"] == "CPU" else f" ({row['device']})"
    return (
        f"| {name}{device} | {way} | {row['weights'] / 1e6:.0f} M | {row['texts']} | {counted / GIB:.2f} GiB "
        f"| {measured / GIB:.2f} GiB | {counted / measured:.2f} |"
    )


def _counted(name: str, way: str, texts: int) -> int:
    return full_training_bytes(audited(name), Batch(texts=texts, tokens=TOKENS), frugal=way == "frugal")


def _larger(rows: Mapping[str, Any]) -> str:
    missing = [name for name in MODELS if name != WARM_UP and f"{name}, frugal" not in rows]
    if not missing:
        return ""
    ways = [(name, way) for name in missing for way in ("plain", "frugal")]
    counted = [f"| {one} | {way} | {_counted(one, way, MODELS[one].texts) / GIB:.1f} GiB |" for one, way in ways]
    return (
        "\n## Counted, and not measured yet\n\nThe command above measures them: the billions where there is a GPU. "
        "Batches as a GPU takes them, of 4 to 32 texts.\n\n| model | way | counted |\n|---|---|---|\n"
        + "\n".join(counted)
        + "\n"
    )
